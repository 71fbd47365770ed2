//! Bitbucket's Code Insights: a report on the commit, with a note at each line where something is wrong.
//!
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/>: the report is put under a name of the
//! step's own, its annotations are posted in lots of a hundred. In a step no token is needed: a proxy beside it adds the
//! step's credentials to plain http requests. Elsewhere, or where that is not allowed, an access token may be given.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Blame;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::annotation::{self, Annotation, Level, PathBase};
use super::{Access, BitbucketStep};
use crate::report::RunState;
use crate::report::look::Look;
use crate::report::standing::Standing;
use crate::report::summary;
use crate::text::clean::cut;
use crate::text::limits::QUOTE;

const TITLE: usize = 450;
const DETAILS: usize = 2000;
/// The most annotations of a request, and of a report.
const LOT: usize = 100;
const MOST: usize = 1000;

/// What is written as a number in a part of a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Times that a request is tried again, and the first pause before it; each further one is twice as long.
const RETRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// A step must not hang because a report cannot be told.
const PATIENCE: Duration = Duration::from_secs(5);
/// In all; and where the step is being stopped, which gives a process seconds.
const AT_MOST: Duration = Duration::from_secs(15);
const AT_MOST_INTERRUPTED: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum BitbucketError {
    #[error("failed to set up a connection to {address}")]
    Client { address: String, source: reqwest::Error },
    #[error(
        "failed to reach {address}; outside of a Bitbucket step, or in a container of one, set \
             GPU_HARNESS_BITBUCKET_PROXY=http://host.docker.internal:29418 or GPU_HARNESS_BITBUCKET_TOKEN"
    )]
    Send { address: String, source: reqwest::Error },
    #[error(
        "Bitbucket does not allow it ({status}); give the step GPU_HARNESS_BITBUCKET_TOKEN, a repository access \
             token with the scope `repository`"
    )]
    Forbidden { status: u16 },
    #[error("Bitbucket answers {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("Bitbucket did not take it within {0:?}")]
    TooSlow(Duration),
}

/// Tells Bitbucket of a run whose names begin at `cwd`, and gives the number of annotations.
pub async fn tell(
    step: &BitbucketStep,
    state: &RunState,
    exit: Exit,
    cwd: &Path,
) -> Result<usize, BitbucketError> {
    let limit = if exit == Exit::Interrupted { AT_MOST_INTERRUPTED } else { AT_MOST };
    let api = Api::new(step)?;
    tokio::time::timeout(limit, api.tell(step, state, exit, cwd))
        .await
        .unwrap_or(Err(BitbucketError::TooSlow(limit)))
}

struct Api {
    client: reqwest::Client,
    base: &'static str,
    address: String,
    token: Option<String>,
}

impl Api {
    fn new(step: &BitbucketStep) -> Result<Self, BitbucketError> {
        let builder =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        // The proxy takes plain http and goes on by https itself.
        let (builder, base, address, token) = match &step.access {
            Access::Proxy(address) => {
                let proxy = reqwest::Proxy::http(address)
                    .map_err(|source| BitbucketError::Client { address: address.clone(), source })?;
                (builder.no_proxy().proxy(proxy), "http://api.bitbucket.org/2.0", address.clone(), None)
            }
            Access::Token(token) => {
                let base = "https://api.bitbucket.org/2.0";
                (builder, base, base.to_owned(), Some(token.clone()))
            }
        };
        let client =
            builder.build().map_err(|source| BitbucketError::Client { address: address.clone(), source })?;
        Ok(Self { client, base, address, token })
    }

    async fn tell(
        &self,
        step: &BitbucketStep,
        state: &RunState,
        exit: Exit,
        cwd: &Path,
    ) -> Result<usize, BitbucketError> {
        let report = format!(
            "{}/repositories/{}/{}/commit/{}/reports/gpu-harness-{}",
            self.base,
            segment(&step.workspace),
            segment(&step.repository),
            segment(&step.commit),
            segment(&step.step)
        );
        self.send(reqwest::Method::PUT, &report, &report_body(state, exit)).await?;
        let notes = annotation::of_run(state, PathBase { root: step.root.as_deref(), cwd });
        let bodies = annotation_bodies(&notes);
        for lot in bodies.chunks(LOT) {
            self.send(reqwest::Method::POST, &format!("{report}/annotations"), &json!(lot)).await?;
        }
        Ok(bodies.len())
    }

    /// Sends it, again where the service is busy or fails for a while.
    async fn send(&self, method: reqwest::Method, url: &str, body: &Value) -> Result<(), BitbucketError> {
        let may_pass = |error: &BitbucketError| match error {
            BitbucketError::Refused { status, .. } => *status == 429 || *status >= 500,
            BitbucketError::Send { source, .. } => !source.is_builder(),
            _ => false,
        };
        let send = || self.once(method.clone(), url, body);
        send.retry(ExponentialBuilder::new().with_min_delay(PAUSE).with_max_times(RETRIES))
            .when(may_pass)
            .notify(|_, pause| tracing::info!(?pause, "Bitbucket is told again"))
            .await
    }

    async fn once(&self, method: reqwest::Method, url: &str, body: &Value) -> Result<(), BitbucketError> {
        let mut request = self.client.request(method, url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let failed = |source: reqwest::Error| BitbucketError::Send {
            address: self.address.clone(),
            source: source.without_url(),
        };
        let answer = request.body(body.to_string()).send().await.map_err(failed)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        if [401, 403].contains(&status.as_u16()) {
            return Err(BitbucketError::Forbidden { status: status.as_u16() });
        }
        let message = answer.text().await.unwrap_or_default();
        let message = crate::text::clean::log_line(&cut(&message, QUOTE));
        Err(BitbucketError::Refused { status: status.as_u16(), message })
    }
}

/// A name as a part of a path.
fn segment(name: &str) -> impl fmt::Display {
    utf8_percent_encode(name, ESCAPED)
}

/// How many cases came to what: each is counted once.
pub(super) fn counts(state: &RunState) -> Vec<(&'static str, usize)> {
    let standings = Vec::from_iter(state.cases().iter().map(|case| state.ending(case).standing));
    let count = |is: fn(Standing) -> bool| standings.iter().filter(|standing| is(**standing)).count();
    let mut counts = vec![
        ("Passed", count(|standing| matches!(standing, Standing::Passed | Standing::Flaky))),
        ("Failed", count(|standing| standing.blame() == Blame::Code)),
        (
            "Not judged (infrastructure, limits)",
            count(|standing| matches!(standing.blame(), Blame::Infrastructure | Blame::Limit | Blame::User)),
        ),
        ("Skipped", count(|standing| standing == Standing::Skipped)),
    ];
    let excused = count(|standing| matches!(standing, Standing::Excused { .. }));
    counts.extend((excused > 0).then_some(("In quarantine, and not good", excused)));
    counts
}

fn report_body(state: &RunState, exit: Exit) -> Value {
    let mut data = Vec::from_iter(
        counts(state)
            .into_iter()
            .map(|(title, value)| json!({ "title": title, "type": "NUMBER", "value": value })),
    );
    let took = milliseconds(state.seconds());
    data.push(json!({ "title": "Duration", "type": "DURATION", "value": took }));
    if !state.receipt.is_empty() {
        let cost = state.receipt.usd().map(crate::text::figures::dollars);
        data.extend(cost.map(|cost| json!({ "title": "Cost", "type": "TEXT", "value": cost })));
        let gone = state.receipt.left().next().is_none();
        data.push(json!({ "title": "Node given back", "type": "BOOLEAN", "value": gone }));
    }
    let node = state.node.as_ref().map_or("?", |node| node.as_str());
    let title =
        crate::text::clean::one_line(&format!("gpu-harness on {node}: {}", summary::meaning(exit)), TITLE);
    let details = [
        summary::heading(state, Look::PLAIN),
        summary::tally(state, Look::PLAIN),
        summary::meaning(exit).to_owned(),
    ];
    json!({
        "title": limited(&title, TITLE),
        "details": limited(&details.join("\n"), DETAILS),
        "report_type": "TEST",
        "reporter": "gpu-harness",
        // There is no third word for a run that says nothing about the code: its title does.
        "result": if exit == Exit::AllPassed { "PASSED" } else { "FAILED" },
        "data": data,
    })
}

fn milliseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn annotation_bodies(notes: &[Annotation]) -> Vec<Value> {
    let body = |(index, note): (usize, &Annotation)| {
        let (kind, severity) = match note.level {
            Level::Failure => ("BUG", "HIGH"),
            Level::Unjudged => ("BUG", "LOW"),
            Level::Warning => ("CODE_SMELL", "LOW"),
        };
        let mut body = json!({
            "external_id": format!("gpu-harness-{index}"),
            "annotation_type": kind,
            "severity": severity,
            "result": if note.level == Level::Failure { "FAILED" } else { "IGNORED" },
            "summary": limited(&note.title, TITLE),
            "details": limited(&note.message, DETAILS),
        });
        if let Some(path) = &note.path {
            body["path"] = path.as_str().into();
            // A line without a file means nothing to Bitbucket.
            if let Some(line) = note.line {
                body["line"] = line.into();
            }
        }
        body
    };
    notes.iter().take(MOST).enumerate().map(body).collect()
}

/// So many characters at most.
fn limited(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((end, _)) if text[end..].chars().count() > 1 => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_report_has_the_words_that_bitbucket_knows() {
        let state = sample::state(&sample::every_outcome());
        insta::assert_json_snapshot!(report_body(&state, state.exit()));
        insta::assert_json_snapshot!(annotation_bodies(&annotation::of_run(
            &state,
            PathBase { root: None, cwd: Path::new("/repo") }
        )));
    }

    #[test]
    fn no_text_is_longer_than_bitbucket_takes() {
        assert_eq!(limited("äöü", 3), "äöü");
        assert_eq!(limited("äöüß", 3), "äö…");
        let long = Annotation {
            level: Level::Warning,
            title: "t".repeat(9000),
            message: "m".repeat(9000),
            path: None,
            line: Some(3),
        };
        let bodies = annotation_bodies(&vec![long; 1200]);
        assert_eq!(bodies.len(), MOST);
        assert_eq!(bodies[0]["summary"].as_str().unwrap().chars().count(), TITLE);
        assert_eq!(bodies[0]["details"].as_str().unwrap().chars().count(), DETAILS);
        assert!(bodies[0].get("line").is_none());
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("{a/b}").to_string(), "%7Ba%2Fb%7D");
        assert_eq!(segment("my-repo_1.x").to_string(), "my-repo_1.x");
    }
}
