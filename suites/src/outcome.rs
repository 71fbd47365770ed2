//! How a case can end. Infrastructure trouble is never a failure, and never a pass.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every check held (or was skipped with a reason, and at least one held).
    Passed,
    /// A check did not hold: the code under test is at fault.
    Failed,
    /// The node, the agent, the driver or the network broke: not the code under test.
    Errored,
    /// The node was taken away in mid-case, e.g. by a spot reclaim: it runs again on another node where one can be had.
    Interrupted,
    /// The case ran into its own time limit, or the run into its.
    TimedOut,
    /// Not run, for a stated reason.
    Skipped,
    /// Stopped on the user's request before it had ended.
    Cancelled,
}

/// Whose fault it is that a case is not good. Every report, the exit code and the history go by this one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// Nobody's: it is good, or was not to run.
    Nobody,
    /// The code under test.
    Code,
    /// The node, the agent, the driver or the network: nothing is said about the code.
    Infrastructure,
    /// A time limit was reached, and whether the code or the node was too slow is not known.
    Limit,
    /// The user wanted it to end.
    User,
}

impl Blame {
    /// Whether the code may be at fault: such an ending counts against the case in the history, and a quarantine excuses it.
    /// Trouble of the infrastructure is never excused.
    pub fn may_be_the_codes(self) -> bool {
        matches!(self, Self::Code | Self::Limit)
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::Failed,
        Self::Errored,
        Self::Interrupted,
        Self::TimedOut,
        Self::Skipped,
        Self::Cancelled,
    ];

    pub fn blame(self) -> Blame {
        match self {
            Self::Passed | Self::Skipped => Blame::Nobody,
            Self::Failed => Blame::Code,
            Self::Errored | Self::Interrupted => Blame::Infrastructure,
            Self::TimedOut => Blame::Limit,
            Self::Cancelled => Blame::User,
        }
    }

    /// Whether the case counts as good: passed or skipped.
    pub fn is_good(self) -> bool {
        self.blame() == Blame::Nobody
    }

    /// Whether a later try that passes makes the case flaky: one that was good does not, nor does one whose node was
    /// taken away, which says nothing about the case.
    pub fn is_stumble(self) -> bool {
        !self.is_good() && self != Self::Interrupted
    }

    /// Whether trying once more may change it (used by `--retries`). A case that was interrupted is not counted there: it
    /// runs again wherever another node can be had.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Failed | Self::Errored | Self::TimedOut)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed out",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        })
    }
}
