//! What a suite file says: the typed form of `suites/*.yaml`. See docs/suites.md.

mod canary;
mod case;
mod checks;
mod input;
mod pipeline;
mod throughput;

pub use canary::Canary;
pub use case::{Builtin, Case, Command, Control, Data, Device, Limits, Model, Task, Train, Work};
pub use checks::{
    CheckName, Checks, ExitStatus, ExportParity, GoldenCheck, GradNormDrop, Gradients, InitialLoss, LossDrop,
    MemoryFlat, MetricCheck, MixedPrecision, Nothing, Predictions, RateCheck, Rows, Shards, Steps,
    TimeBudget, VariedCheck, When, ZeroedImage,
};
pub use input::InputPath;
pub use pipeline::{Cut, Images, Output, Pipeline, Resize, S3};
pub use throughput::{BatchSizes, Dtype, Layout, Mode, Throughput};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A suite: a named list of cases that run on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// The suite's name, `[A-Za-z0-9_.-]+`: the first half of every case id.
    pub suite: String,
    /// What the suite is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The cases, run in this order.
    pub cases: Vec<Case>,
}
