//! `predictions`: they are those that are known to be right.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violations::Violations;

use super::figure::{at_least, at_most};
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// Predictions are those that are known to be right. Run in a `pipeline` case that has `golden`.
/// `predictions/max_abs_diff` ≤ within, with no prediction missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Predictions {
    /// Largest absolute difference allowed.
    pub within: f64,
}

impl Default for Predictions {
    fn default() -> Self {
        Self { within: 1e-3 }
    }
}

impl Check for Predictions {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.tolerance("within", self.within);
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, difference: None, compared: None, missing: None })
    }
}

const DIFFERENCE: &str = "predictions/max_abs_diff";
const COMPARED: &str = "predictions/compared";
const MISSING: &str = "predictions/missing";

#[derive(Debug)]
struct Running {
    wanted: Predictions,
    difference: Option<f64>,
    compared: Option<f64>,
    missing: Option<f64>,
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        for (name, figure) in
            [(DIFFERENCE, &mut self.difference), (COMPARED, &mut self.compared), (MISSING, &mut self.missing)]
        {
            if let Some(number) = sample.number_of(name) {
                *figure = Some(number);
            }
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let wanted = format!("all of them within {}", short(self.wanted.within));
        let Some(compared) = self.compared else { return vec![seen.missing(COMPARED, &wanted)] };
        let Some(missing) = self.missing else { return vec![seen.missing(MISSING, &wanted)] };
        if !(at_most(missing, 0.0) && at_least(compared, 1.0)) {
            let observed =
                format!("{} predictions compared, {} are not in the shards", short(compared), short(missing));
            let cause = "their images were not among the inputs, or could not be read";
            return vec![Ruling::broke(observed, wanted).because(cause)];
        }
        let Some(difference) = self.difference else { return vec![seen.missing(DIFFERENCE, &wanted)] };
        let observed = format!("{} predictions differ by up to {}", short(compared), short(difference));
        vec![Ruling::of(at_most(difference, self.wanted.within), observed, wanted).because(
            "another model, another normalisation or order of channels, or another way of resizing than where they were made",
        )]
    }
}
