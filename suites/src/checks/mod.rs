//! Does what was measured hold? Each check is a fold over the lines that a case writes. See docs/checks.md.
//!
//! [`Evaluator`] hands every line to the checks that the case runs, and collects their verdicts when its process has
//! ended; [`judge`] turns the verdicts into the case's outcome. A check keeps figures, not lines: memory stays
//! bounded however long a case runs.

mod curve;
mod evaluator;
mod exit_status;
mod export_parity;
mod figure;
mod finite;
mod golden;
mod grad_norm_drop;
mod gradients;
mod initial_loss;
mod judge;
mod loss_drop;
mod memory_flat;
mod metric;
mod mixed_precision;
mod parity;
mod points;
mod predictions;
mod rate;
mod rows;
mod ruling;
mod same_batch;
mod seen;
mod selection;
mod shards;
mod steps;
mod text;
mod time_budget;
mod twins;
mod valid_windows;
mod varied;
mod zeroed_image;

use std::fmt;
use std::time::Duration;

pub use evaluator::Evaluator;
pub use judge::judge;
pub use selection::selected;

use crate::metrics::Blame;
use ruling::Ruling;
use seen::{Sample, Seen};

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

/// A worker's own word on why it cannot go on.
#[derive(Debug)]
struct LastWord {
    what: String,
    hint: Option<String>,
    fault: Blame,
}

/// One check at work.
trait Fold: fmt::Debug + Send {
    /// The metrics whose whole series is kept for this check.
    fn keeps(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a verdict makes sense only when the process ran to its end.
    fn wants_the_end(&self) -> bool {
        true
    }

    /// Takes in one value of one metric.
    fn observe(&mut self, _sample: &Sample<'_>) {}

    /// What it comes to.
    fn conclude(&self, seen: &Seen) -> Vec<Ruling>;
}
