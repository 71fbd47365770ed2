//! What a service is told of the changes of a run.

use gpu_suites::id::RunId;
use serde::Serialize;

use super::Change;
use crate::here::Env;
use crate::report::RunState;
use crate::text::figures::count;

/// The most changes that a chat's message names; the rest is counted.
const MOST: usize = 20;

#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Always `state-changed`: what may be told later has another name.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub run: RunId,
    /// The commit of the tree that holds the suites.
    pub commit: Option<String>,
    /// The run's page in CI, where it has one.
    pub page: Option<String>,
    pub changes: Vec<Change>,
}

impl Message {
    /// Of a run in which something changed; nothing where nothing did.
    pub fn of(state: &RunState, changes: Vec<Change>, env: &Env) -> Option<Self> {
        let run = state.run.clone().filter(|_| !changes.is_empty())?;
        Some(Self { kind: "state-changed", run, commit: state.commit.clone(), page: page(env), changes })
    }

    /// `2 new problems, 1 solved`.
    pub fn summary(&self) -> String {
        let bad = self.changes.iter().filter(|change| change.now.is_bad()).count();
        let solved = self.changes.len() - bad;
        match (bad, solved) {
            (0, _) => format!("{} solved", count(solved, "problem")),
            (_, 0) => count(bad, "new problem"),
            _ => format!("{}, {solved} solved", count(bad, "new problem")),
        }
    }

    /// As Slack's incoming webhooks take it, and what speaks like them (Mattermost, Rocket.Chat).
    pub fn for_slack(&self) -> serde_json::Value {
        let commit =
            self.commit.as_deref().map(|commit| format!(" at {}", escaped(commit))).unwrap_or_default();
        let page = self.page.as_deref().map(|page| format!(" (<{}|run>)", escaped(page))).unwrap_or_default();
        let mut lines = vec![format!("*gpu-harness*: {}{commit}{page}", self.summary())];
        lines.extend(self.changes.iter().take(MOST).map(|change| {
            let mark = if change.now.is_bad() { ":red_circle:" } else { ":large_green_circle:" };
            format!("{mark} *{}* {}", escaped(change.case.as_str()), escaped(&change.said))
        }));
        let more = self.changes.len().saturating_sub(MOST);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        serde_json::json!({ "text": lines.join("\n") })
    }
}

/// Slack takes nothing between these for its own: <https://docs.slack.dev/messaging/formatting-message-text>. What sets
/// letters bold, or calls a person, is text of a node's too.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace(['*', '_', '~', '`'], " ")
}

fn page(env: &Env) -> Option<String> {
    let variable = |name: &str| env.get(name);
    let github = || {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?))
    };
    let bitbucket = || {
        let (origin, build) = (variable("BITBUCKET_GIT_HTTP_ORIGIN")?, variable("BITBUCKET_BUILD_NUMBER")?);
        Some(format!("{origin}/pipelines/results/{build}"))
    };
    github().or_else(bitbucket).or_else(|| variable("CI_JOB_URL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::change::Now;

    fn message(count: usize) -> Message {
        let change = |number: usize| Change {
            case: format!("s::c{number}").as_str().into(),
            metric: None,
            now: if number % 3 == 2 { Now::Passing } else { Now::Failing },
            said: "failed: <!channel> & <http://x|y> *loud*".to_owned(),
        };
        let changes = (0..count).map(change).collect();
        Message { kind: "state-changed", run: "r".into(), commit: Some("1f9d".into()), page: None, changes }
    }

    #[test]
    fn a_chat_gets_a_line_a_change_and_no_command_of_a_node() {
        let text = message(3).for_slack()["text"].as_str().unwrap().to_owned();
        assert_eq!(text.lines().next(), Some("*gpu-harness*: 2 new problems, 1 solved at 1f9d"));
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains("<!channel>") && !text.contains("<http"), "{text}");
        assert!(message(50).for_slack()["text"].as_str().unwrap().ends_with("and 30 more"));
    }

    #[test]
    fn nothing_changed_is_no_message() {
        assert!(Message::of(&RunState::default(), vec![], &Env::default()).is_none());
    }
}
