//! Does what was measured hold? Each check is a file here, and a fold over the lines that a case writes. See docs/checks.md.
//!
//! A new one is a file and a line in the list below; CONTRIBUTING.md leads through it.
//!
//! A check keeps figures, not lines: memory stays bounded however long a case runs. [`crate::evaluation`] hands it the
//! lines. It knows of its case what [`CaseFacts`] says, and no more.

mod curve;
mod deterministic;
pub(crate) mod exit_status;
mod export_parity;
mod figure;
mod finite;
mod golden;
mod grad_norm_drop;
mod gradients;
mod initial_loss;
mod loss_drop;
mod memory_flat;
mod metric;
mod mixed_precision;
pub(crate) mod observations;
mod parity;
mod points;
mod predictions;
mod rate;
mod registry;
mod resume_parity;
mod rows;
pub(crate) mod ruling;
mod same_batch;
mod shards;
mod steps;
pub(crate) mod text;
mod time_budget;
mod twins;
mod valid_windows;
mod varied;
mod zeroed_image;

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use golden::GoldenCheck;
pub use metric::{MetricCheck, When};
pub use rate::RateCheck;
pub use registry::names;
pub use varied::VariedCheck;

use crate::id::CheckName;
use crate::metrics::Blame;
use observations::{Observations, Sample};
pub(crate) use registry::{CaseFacts, Check, Known, Sweep, known, known_with_reasons};
use ruling::Ruling;

// In the order in which they are judged and reported.
registry::checks! {
    "exit-status" => exit_status::ExitStatus,
    "finite" => finite::Finite,
    "initial-loss" => initial_loss::InitialLoss,
    "same-batch" => same_batch::SameBatch,
    "gradients" => gradients::Gradients,
    "loss-drop" => loss_drop::LossDrop,
    "metric" => metric::Metric,
    "grad-norm-drop" => grad_norm_drop::GradNormDrop,
    "zeroed-image" => zeroed_image::ZeroedImage,
    "deterministic" => deterministic::Deterministic,
    "mixed-precision" => mixed_precision::MixedPrecision,
    "resume-parity" => resume_parity::ResumeParity,
    "memory-flat" => memory_flat::MemoryFlat,
    "export-parity" => export_parity::ExportParity,
    "steps" => steps::Steps,
    "rows" => rows::Rows,
    "golden" => golden::Golden,
    "varied" => varied::Varied,
    "valid-windows" => valid_windows::ValidWindows,
    "rate" => rate::Rate,
    "shards" => shards::Shards,
    "predictions" => predictions::Predictions,
    "time-budget" => time_budget::TimeBudget,
}

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
pub(crate) struct LastWord {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
    pub(crate) fault: Blame,
}

/// One check at work.
pub(crate) trait Fold: fmt::Debug + Send {
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
    fn conclude(&self, seen: &Observations) -> Vec<Ruling>;
}
