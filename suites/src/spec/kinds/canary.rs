//! `canary`: what the node's device can do at best, as a case: whether a node is as fast as such nodes are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Case;
use crate::unit::Span;
use crate::violations::Violations;

use super::Kind;

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

impl Kind for Canary {
    fn rules(&self, _: &Case, violations: &mut Violations<'_>) {
        if self.measure.0.is_zero() {
            violations.add("measure", "nothing is measured in no time", "write e.g. `measure: 20s`");
        }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self { measure: default_measure() }
    }
}
