//! What a running case says about itself: one JSON object per line in `$GPU_HARNESS_METRICS`. See docs/metrics.md.
//! [`crate::metric_lines`] reads it.

pub(crate) mod not_finite;
pub(crate) mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use value::Value;

use crate::id::CheckName;

/// The longest name of a metric, in bytes.
pub const MAX_NAME: usize = 128;

/// One line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Metrics of a step.
    Metrics {
        /// The step, where the line names one.
        step: Option<u64>,
        values: BTreeMap<String, Value>,
    },
    /// `@progress`.
    Progress { phase: Option<String>, step: u64, steps: Option<u64> },
    /// `@artifact`: a path below `$GPU_HARNESS_ARTIFACTS`.
    Artifact(String),
    /// `@skip`: a check cannot be judged here.
    Skip { check: CheckName, reason: String },
    /// `@device`: facts about what the case runs on.
    Device(BTreeMap<String, serde_json::Value>),
    /// `@error`: the process cannot go on.
    Error {
        /// What happened, to what.
        what: String,
        hint: Option<String>,
        fault: Blame,
    },
}

/// Whose fault it is that a process cannot go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The node's, or of what it talks with: the case is errored, and may pass elsewhere.
    #[default]
    Node,
    /// That of what is tested: a model that raises, an input that is damaged. The case is failed.
    Code,
}
