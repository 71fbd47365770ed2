//! `grad-norm-drop`: the gradient norm fell, as it does where a minimum is near.
//!
//! One step's norm is noisy: the median of the last [`WINDOW`] is held against the largest of the first [`WINDOW`].

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::Violations;

use super::figure::{at_most, larger, middle};
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{count, short};
use super::{CaseFacts, Check, Fold};

/// The gradient norm fell.
/// Last `grad_norm` ≤ to × the largest of the first steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradNormDrop {
    /// Share of the initial norm, 100 % at most.
    #[schemars(extend("maximum" = 1))]
    pub to: Share,
}

impl Default for GradNormDrop {
    fn default() -> Self {
        Self { to: Share(0.05) }
    }
}

impl Check for GradNormDrop {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.share("to", Some(self.to));
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running {
            wanted: self,
            came: 0,
            largest: f64::NEG_INFINITY,
            last: VecDeque::with_capacity(WINDOW + 1),
        })
    }
}

const WINDOW: usize = 5;

#[derive(Debug)]
struct Running {
    wanted: GradNormDrop,
    came: usize,
    largest: f64,
    last: VecDeque<(Option<u64>, f64)>,
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(norm) = sample.number_of("grad_norm") else { return };
        self.came += 1;
        if self.came <= WINDOW {
            self.largest = larger(self.largest, norm);
        }
        self.last.push_back((sample.step, norm));
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let Some((step, _)) = self.last.back() else {
            return vec![seen.missing("grad_norm", "a `grad_norm` for each step")];
        };
        if self.came < 2 * WINDOW {
            let observed = format!("only {}", count(self.came, "gradient norm"));
            let wanted =
                format!("at least {}, to compare the first {WINDOW} with the last {WINDOW}", 2 * WINDOW);
            let cause = "too few steps, or a norm that is not written in each step";
            return vec![Ruling::broke(observed, wanted).at(*step).because(cause)];
        }
        let last = middle(self.last.iter().map(|point| point.1));
        if self.largest <= 0.0 {
            let observed = format!("the first {WINDOW} gradient norms are 0");
            let cause = "nothing is trained: a loss that does not depend on the parameters, or gradients that are cleared \
                         before they are measured";
            return vec![Ruling::broke(observed, "a norm above 0 that could fall").at(*step).because(cause)];
        }
        let limit = self.wanted.to.0 * self.largest;
        let observed = format!("{} (median of the last {WINDOW} gradient norms)", short(last));
        let wanted = format!(
            "at most {} ({} of {}, the largest of the first {WINDOW})",
            short(limit),
            self.wanted.to,
            short(self.largest)
        );
        vec![Ruling::of(at_most(last, limit), observed, wanted).at(*step).because(
            "too few steps, a learning rate that does not decay, or a loss that cannot reach its minimum: see loss-drop",
        )]
    }
}
