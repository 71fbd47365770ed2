//! What the node's device can do at best, as a case: whether a node is as fast as such nodes are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Span;

/// Measures products of matrices, convolutions and a copy. See docs/history.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Canary {
    /// How long it measures, over all formats of numbers; on a CPU four seconds at most.
    #[serde(default = "default_measure")]
    pub measure: Span,
}

fn default_measure() -> Span {
    Span(Duration::from_secs(20))
}

impl Default for Canary {
    fn default() -> Self {
        Self { measure: default_measure() }
    }
}
