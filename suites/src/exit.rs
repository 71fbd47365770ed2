//! How the process ends: a documented type, so that a CI step can tell a failed test from a lost node.

use std::process::ExitCode as ProcessExit;

use crate::outcome::Outcome;

/// The exit code of `gpu-harness run`. See docs/exit-codes.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// 0: every case passed or was skipped with a reason.
    AllPassed,
    /// 1: a check did not hold.
    CheckFailed,
    /// 2: the command line, a suite file or an input file is wrong; nothing was run.
    Usage,
    /// 3: the infrastructure broke: no capacity, node lost or taken away, agent crashed, no case to run came back.
    Infrastructure,
    /// 4: a time or money limit was reached.
    Limit,
    /// 130: interrupted by the user.
    Interrupted,
}

impl Exit {
    /// The number given to the operating system.
    pub fn code(self) -> u8 {
        match self {
            Self::AllPassed => 0,
            Self::CheckFailed => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::Limit => 4,
            Self::Interrupted => 130,
        }
    }

    /// The exit code of a run whose cases ended like this.
    ///
    /// The most useful answer wins: an interrupted run says so; then a failed check, since that is what the user
    /// asked about; then trouble of the infrastructure; then a limit. A run with no case is an error.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut seen = Vec::from_iter(outcomes);
        if seen.is_empty() {
            return Self::Infrastructure;
        }
        seen.sort_unstable();
        let has = |outcome| seen.binary_search(&outcome).is_ok();
        if has(Outcome::Cancelled) {
            Self::Interrupted
        } else if has(Outcome::Failed) {
            Self::CheckFailed
        } else if has(Outcome::Errored) || has(Outcome::Interrupted) {
            Self::Infrastructure
        } else if has(Outcome::TimedOut) {
            Self::Limit
        } else {
            Self::AllPassed
        }
    }
}

impl From<Exit> for ProcessExit {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_told_apart_from_a_broken_node() {
        use Outcome::{Cancelled, Errored, Failed, Interrupted, Passed, Skipped, TimedOut};
        for (outcomes, code) in [
            (vec![], 3),
            (vec![Passed], 0),
            (vec![Passed, Skipped], 0),
            (vec![Passed, Failed], 1),
            (vec![Errored, Failed], 1),
            (vec![Passed, Errored], 3),
            (vec![Errored, TimedOut], 3),
            (vec![Passed, Interrupted], 3),
            (vec![Interrupted, Failed], 1),
            (vec![TimedOut, Interrupted], 3),
            (vec![TimedOut, Passed], 4),
            (vec![Cancelled, Failed], 130),
        ] {
            assert_eq!(Exit::of(outcomes.clone()).code(), code, "{outcomes:?}");
        }
    }
}
