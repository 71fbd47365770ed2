//! What a suite file says: the typed form of `suites/*.yaml`. See docs/suites.md.

mod case;
mod environment;
mod input;
mod kinds;
mod model;

pub use crate::dtype::Dtype;
pub use case::{Case, Device, Limits};
pub use environment::{Environment, Libtorch};
pub use input::InputPath;
pub use kinds::{
    BatchSizes, Canary, Command, Control, Cut, Data, Images, Layout, Mode, Output, Pipeline, Resize, S3,
    Task, Throughput, Train, Work,
};
pub use model::{Builtin, Model};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A suite: a named list of cases that run on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// The suite's name, `[A-Za-z0-9_.-]+`: the first half of every case id.
    #[schemars(extend("pattern" = crate::id::NAME_PATTERN))]
    pub suite: String,
    /// What the suite is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The cases, run in this order.
    #[schemars(extend("minItems" = 1))]
    pub cases: Vec<Case>,
}
