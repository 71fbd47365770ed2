//! `time-budget`: the case ended within its time budget.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Span;
use crate::violations::Violations;

use super::observations::Observations;
use super::ruling::Ruling;
use super::{CaseFacts, Check, Fold};

/// The case ended within its time budget.
/// The case's own time budget; unlike `timeout`, going over it is a failed check and does not stop the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeBudget {
    /// The longest that the case may take.
    pub at_most: Span,
}

impl Check for TimeBudget {
    fn rules(&self, case: CaseFacts<'_>, violations: &mut Violations<'_>) {
        if self.at_most >= case.timeout {
            violations.add(
                "at-most",
                format!("a time budget that the timeout ({}) does not let it exceed", case.timeout),
                "make the budget shorter, or `timeout` longer",
            );
        }
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(self)
    }
}

impl Fold for TimeBudget {
    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let budget = self.at_most;
        let observed = format!("{:.1}s", seen.elapsed.as_secs_f64());
        vec![Ruling::of(seen.elapsed <= budget.0, observed, format!("at most {budget}")).because(
            "a slower or busier node, CUDA that is not used (see the device facts), or a change that made it slower",
        )]
    }
}
