//! Does what was measured hold? Each check is a fold over the lines that a case writes.

use std::time::Duration;

use crate::event::{Finding, Verdict};
use crate::metrics::Line;
use crate::outcome::Outcome;
use crate::spec::Case;

/// The case must be stopped now: what follows would be worth nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Why, for the log.
    pub reason: String,
}

/// How a case's process ended, and after what time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How.
    pub process: ProcessEnd,
    /// Wall time from its start.
    pub elapsed: Duration,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Its name, e.g. `SIGSEGV`.
        name: String,
    },
    /// It was stopped because of an [`Abort`].
    Aborted,
}

/// Judges the checks of one case while it runs.
#[derive(Debug)]
pub struct Evaluator {
    _case: Case,
}

impl Evaluator {
    /// The evaluator of a case that is about to start.
    pub fn for_case(case: &Case) -> Self {
        Self { _case: case.clone() }
    }

    /// Takes in a line. `Some` means that the case must be stopped now.
    pub fn observe(&mut self, _line: &Line) -> Option<Abort> {
        None
    }

    /// The verdicts, in the order of [`crate::spec::CheckName::ALL`].
    pub fn conclude(self, _end: &End) -> Vec<Finding> {
        Vec::new()
    }
}

/// The case's outcome by its findings, and the reason where it did not pass.
pub fn judge(_case: &Case, findings: &[Finding]) -> (Outcome, Option<String>) {
    match findings.iter().find(|finding| finding.verdict == Verdict::Broke) {
        Some(finding) => (Outcome::Failed, Some(format!("{}: {}", finding.check, finding.observed))),
        None => (Outcome::Passed, None),
    }
}
