//! What a CI service is told of a run, beside JUnit: where in the files something is wrong, and a page about it.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`annotation`] | what is wrong, and at which line of which file? |
//! | [`github`] | how does GitHub Actions take it? |
//! | [`bitbucket`] | how does Bitbucket's Code Insights take it? |
//!
//! Everything is a fold over the run's events, and nothing here changes a run's outcome: a service that does not
//! listen gets a line in the log.

pub mod annotation;
#[cfg(feature = "bitbucket")]
pub mod bitbucket;
pub mod github;
#[cfg(all(test, feature = "bitbucket"))]
mod one_judgement;

use std::path::PathBuf;

use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::load::Diagnostic;

use crate::here::{Env, Here};
use crate::report::{RunState, markdown};
use annotation::PathBase;

/// The service whose step this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    GitHub {
        /// Where the page of the step is written, where the runner takes one.
        summary: Option<PathBuf>,
        /// The repository's folder, to which annotations' paths are relative.
        root: Option<PathBuf>,
    },
    Bitbucket(Box<BitbucketStep>),
}

/// A step of Bitbucket Pipelines, as its variables describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitbucketStep {
    pub workspace: String,
    pub repository: String,
    pub commit: String,
    /// What tells this step's report from those of others.
    pub step: String,
    /// The repository's folder, to which annotations' paths are relative.
    pub root: Option<PathBuf>,
    /// Where requests go and how they are allowed.
    pub access: Access,
}

/// How Bitbucket's API is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Through the proxy beside each step, which adds the credentials of the step: its address.
    Proxy(String),
    /// With an access token that may write reports (scope `repository`).
    Token(String),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proxy(address) => f.debug_tuple("Proxy").field(address).finish(),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Where the proxy of a step listens: <https://support.atlassian.com/bitbucket-cloud/docs/code-insights/>.
const BITBUCKET_PROXY: &str = "http://localhost:29418";

impl Service {
    /// The service that an environment tells of.
    pub fn of(env: &Env) -> Option<Self> {
        let variable = |name: &str| env.get(name);
        if variable("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            return Some(Self::GitHub {
                summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
                root: variable("GITHUB_WORKSPACE").map(PathBuf::from),
            });
        }
        let build = variable("BITBUCKET_BUILD_NUMBER")?;
        let step = variable("BITBUCKET_STEP_UUID").unwrap_or_default();
        let access = match variable("GPU_HARNESS_BITBUCKET_TOKEN") {
            Some(token) => Access::Token(token),
            None => Access::Proxy(
                variable("GPU_HARNESS_BITBUCKET_PROXY").unwrap_or_else(|| BITBUCKET_PROXY.to_owned()),
            ),
        };
        Some(Self::Bitbucket(Box::new(BitbucketStep {
            workspace: variable("BITBUCKET_WORKSPACE")?,
            repository: variable("BITBUCKET_REPO_SLUG")?,
            commit: variable("BITBUCKET_COMMIT")?,
            step: format!("{build}-{}", step.trim_matches(['{', '}'])),
            root: variable("BITBUCKET_CLONE_DIR").map(PathBuf::from),
            access,
        })))
    }

    /// Tells it of mistakes in the project's files, for which nothing was run. The log has them besides.
    pub fn tell_mistakes(&self, diagnostics: &[Diagnostic], here: &Here) {
        if let Self::GitHub { root, .. } = self {
            let place = PathBase { root: root.as_deref(), cwd: &here.folder };
            here.console.say(&github::commands(&annotation::of_diagnostics(diagnostics, place)));
        }
    }

    /// Tells it of a case that is not good while its run goes on, where it listens to what is printed.
    pub fn tell_case(&self, state: &RunState, case: &CaseId, here: &Here) {
        if let Self::GitHub { root, .. } = self {
            let place = PathBase { root: root.as_deref(), cwd: &here.folder };
            let note = state.case(case).and_then(|case| annotation::of_case(state, case, place));
            here.console.say(&github::commands(note.as_slice()));
        }
    }

    pub async fn tell(&self, state: &RunState, exit: Exit, here: &Here) {
        match self {
            Self::GitHub { summary, root } => {
                let place = PathBase { root: root.as_deref(), cwd: &here.folder };
                here.console.say(&github::commands(&annotation::of_run(state, place)));
                if let Some(path) = summary
                    && let Err(error) = github::append(path, &markdown::page(state, exit))
                {
                    here.console.tell(&format!(
                        "note: the step's summary could not be written to {}: {error}",
                        path.display()
                    ));
                }
            }
            Self::Bitbucket(step) => tell_bitbucket(step, state, exit, here).await,
        }
    }
}

#[cfg(feature = "bitbucket")]
async fn tell_bitbucket(step: &BitbucketStep, state: &RunState, exit: Exit, here: &Here) {
    match bitbucket::tell(step, state, exit, &here.folder).await {
        Ok(annotations) => {
            here.console
                .tell(&format!("note: reported to Bitbucket's Code Insights ({annotations} annotations)"));
        }
        Err(error) => {
            here.console.tell(&format!(
                "note: not reported to Bitbucket's Code Insights: {}",
                crate::text::chain(&error)
            ));
        }
    }
}

#[cfg(not(feature = "bitbucket"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for Bitbucket")]
async fn tell_bitbucket(_: &BitbucketStep, _: &RunState, _: Exit, here: &Here) {
    here.console
        .tell("note: not reported to Bitbucket's Code Insights: this build has no feature `bitbucket`");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(variables: &[(&str, &str)]) -> Option<Service> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Service::of(&variables.iter().map(owned).collect())
    }

    #[test]
    fn each_service_is_known_by_its_variables() {
        assert_eq!(service(&[("CI", "true")]), None);
        assert_eq!(service(&[("GITHUB_ACTIONS", "false")]), None);
        let github =
            service(&[("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "/s"), ("GITHUB_WORKSPACE", "/w")]);
        assert_eq!(github, Some(Service::GitHub { summary: Some("/s".into()), root: Some("/w".into()) }));
        let step = [
            ("BITBUCKET_BUILD_NUMBER", "17"),
            ("BITBUCKET_STEP_UUID", "{a-b}"),
            ("BITBUCKET_WORKSPACE", "team"),
            ("BITBUCKET_REPO_SLUG", "models"),
            ("BITBUCKET_COMMIT", "1f9d"),
        ];
        let Some(Service::Bitbucket(found)) = service(&step) else { panic!("a step of Bitbucket's") };
        assert_eq!((found.step.as_str(), &found.access), ("17-a-b", &Access::Proxy(BITBUCKET_PROXY.into())));
        assert_eq!(service(&step[..4]), None, "a step that cannot be named is told nothing");
    }

    #[test]
    fn a_token_is_never_shown() {
        assert!(!format!("{:?}", Access::Token("secret".into())).contains("secret"));
    }
}
