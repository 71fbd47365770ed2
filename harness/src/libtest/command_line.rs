//! The command line of a test program: libtest's own, and where the cases run.

use libtest_mimic::Trial;

use super::TestsError;
use crate::here::Env;

/// Set for each test by nextest, which runs one test a process.
const NEXTEST: &str = "NEXTEST";

/// What a test program is started with.
#[derive(Debug, clap::Parser)]
#[command(name = "gpu", about = "The cases of the suite files, as tests")]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) libtest: libtest_mimic::Arguments,
    /// Run the cases on the project's default node, or on that of --node
    #[arg(long)]
    pub(super) gpu_remote: bool,
    /// Where to run: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE")]
    pub(super) node: Option<String>,
}

/// Where the output of a case goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    /// To this process's own, as it comes.
    Live,
    /// It is told where the case fails.
    OnFailure,
}

impl CommandLine {
    /// One test a process needs no telling apart.
    pub(super) fn streams(&self, env: &Env) -> Streams {
        if self.libtest.nocapture || is_nextest(env) { Streams::Live } else { Streams::OnFailure }
    }

    /// In a list the name stands alone: a runner takes the whole line for it.
    pub(super) fn says_what_it_ignores(&self, env: &Env) -> bool {
        !self.libtest.list && !is_nextest(env)
    }

    /// A name that no test has would be a run of no tests, which passes.
    pub(super) fn check_exact(&self, tests: &[Trial], env: &Env) -> Result<(), TestsError> {
        let libtest = &self.libtest;
        let Some(name) =
            libtest.filter.as_ref().filter(|_| libtest.exact && !libtest.list && is_nextest(env))
        else {
            return Ok(());
        };
        let count = tests.iter().filter(|test| !libtest.is_filtered_out(test)).count();
        if count == 1 { Ok(()) } else { Err(TestsError::NotOne { name: name.clone(), count }) }
    }
}

fn is_nextest(env: &Env) -> bool {
    env.get(NEXTEST).is_some_and(|value| value == "1")
}
