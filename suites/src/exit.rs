//! How the process ends: a documented type, so that a CI step can tell a failed test from a lost node.

use std::process::ExitCode as ProcessExit;

use crate::outcome::Blame;

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

    /// The exit code of a run for whose cases these are to blame.
    ///
    /// The most useful answer wins: an interrupted run says so; then a failed check, since that is what the user
    /// asked about; then trouble of the infrastructure; then a limit. A run with no case is an error.
    pub fn of(blames: impl IntoIterator<Item = Blame>) -> Self {
        let rank = |blame: &Blame| match blame {
            Blame::User => 4,
            Blame::Code => 3,
            Blame::Infrastructure => 2,
            Blame::Limit => 1,
            Blame::Nobody => 0,
        };
        match blames.into_iter().max_by_key(rank) {
            Some(Blame::User) => Self::Interrupted,
            Some(Blame::Code) => Self::CheckFailed,
            Some(Blame::Infrastructure) | None => Self::Infrastructure,
            Some(Blame::Limit) => Self::Limit,
            Some(Blame::Nobody) => Self::AllPassed,
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
    use crate::outcome::Outcome;

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
            let blames = outcomes.iter().map(|outcome| outcome.blame());
            assert_eq!(Exit::of(blames).code(), code, "{outcomes:?}");
        }
    }
}
