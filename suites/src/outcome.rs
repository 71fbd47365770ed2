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

impl Outcome {
    /// Whether the case counts as good: passed or skipped.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
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
