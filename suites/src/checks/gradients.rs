//! `gradients`: after the first backward every trainable tensor has a defined, finite, non-zero gradient and moves;
//! what is frozen does not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Value;

use super::figure::at_least;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, short};
use super::{CaseFacts, Check, Fold};

/// Every trainable tensor has a gradient and moves; frozen ones do not.
/// The census after the first step. How many parameters may be frozen is the one thing that it cannot know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gradients {
    /// How many parameters are meant to be frozen (`params_frozen`); by default it is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<u64>,
}

impl Check for Gradients {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, counts: BTreeMap::new(), names: BTreeMap::new() })
    }
}

/// What is counted, how a sentence says it, and what usually causes it.
const CENSUS: [(&str, &str, &str); 5] = [
    (
        "params_without_gradient",
        "without a gradient",
        "a layer that forward does not use, or a detach(), no_grad() or .item() on the way to the loss",
    ),
    (
        "params_nonfinite_gradient",
        "with a NaN or infinite gradient",
        "a division, logarithm or square root at zero, or half precision without loss scaling",
    ),
    (
        "params_zero_gradient",
        "with a gradient of exactly zero",
        "a dead ReLU, a saturated activation, weights that start at zero, or a bias before a BatchNorm",
    ),
    (
        "params_unchanged",
        "that step 1 did not change",
        "an optimizer that was not given these parameters, or a learning rate of zero",
    ),
    (
        "frozen_changed",
        "frozen and changed all the same",
        "requires_grad set back on, or weight decay on frozen parameters",
    ),
];

const TOTAL: &str = "params_trainable";
const FROZEN: &str = "params_frozen";

#[derive(Debug)]
struct Running {
    wanted: Gradients,
    counts: BTreeMap<&'static str, (Option<u64>, f64)>,
    names: BTreeMap<&'static str, String>,
}

impl Running {
    /// The verdict on how many are frozen, where the suite says how many are meant to be and there are others.
    fn of_frozen(&self, seen: &Observations) -> Option<Ruling> {
        let meant = self.wanted.frozen?;
        let wanted = format!("{meant} frozen");
        let Some((step, frozen)) = self.counts.get(FROZEN) else {
            return Some(seen.missing(FROZEN, &wanted));
        };
        if (*frozen - meant as f64).abs() < 0.5 {
            return None;
        }
        let names = self.names.get(FROZEN).map_or(String::new(), |names| format!(" ({names})"));
        let ruling = Ruling::broke(format!("frozen parameters: {}{names}", short(*frozen)), wanted);
        Some(
            ruling.at(*step).because(
                "requires_grad switched off and not on again, or weights that were loaded as buffers",
            ),
        )
    }
}

impl Fold for Running {
    fn wants_the_end(&self) -> bool {
        false
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        let known = CENSUS.iter().map(|row| row.0).chain([TOTAL, FROZEN]);
        for name in known {
            match sample.value {
                Value::Number(number) if sample.name == name => {
                    self.counts.insert(name, (sample.step, *number));
                }
                Value::Text(text) if sample.name.strip_prefix(name) == Some("_names") => {
                    self.names.insert(name, clip(text, 500));
                }
                _ => {}
            }
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let needed = std::iter::once(TOTAL).chain(CENSUS.iter().map(|row| row.0));
        let wanted = "every trainable parameter with a finite gradient other than zero, and changed by step 1; no frozen one changed";
        if let Some(name) = needed.into_iter().find(|name| !self.counts.contains_key(name)) {
            return vec![seen.missing(name, wanted)];
        }
        let (step, total) = self.counts[TOTAL];
        if !at_least(total, 1.0) {
            let cause = "every parameter is frozen, or the model was made without any";
            return vec![Ruling::broke("no trainable parameter", wanted).at(step).because(cause)];
        }
        // A NaN is neither zero nor a count: it breaks too.
        let wrong = Vec::from_iter(CENSUS.iter().filter(|row| self.counts[row.0].1 != 0.0));
        let Some((worst, _, cause)) = wrong.first() else {
            if let Some(ruling) = self.of_frozen(seen) {
                return vec![ruling];
            }
            return vec![Ruling::of(
                true,
                format!("{} trainable parameters, all with a gradient and changed", short(total)),
                wanted,
            )];
        };
        let parts = Vec::from_iter(wrong.iter().map(|(name, what, _)| {
            let names = self.names.get(name).map_or(String::new(), |names| format!(" ({names})"));
            format!("{} {what}{names}", short(self.counts[name].1))
        }));
        let observed = format!("of {} trainable parameters {}", short(total), parts.join("; "));
        vec![Ruling::broke(observed, wanted).at(self.counts[worst].0).because(*cause)]
    }
}
