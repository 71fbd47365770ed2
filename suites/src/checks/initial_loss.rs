//! `initial-loss`: the first loss is near its analytic value, before anything was learned.
//!
//! A model that knows nothing gives every class the same probability: the loss is ln K for K balanced classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::Violations;

use super::figure::{at_least, at_most};
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{at, short};
use super::{CaseFacts, Check, Fold};

/// The first loss is near its analytic value.
/// Metric `loss` at the first step against its analytic value (ln K for K balanced classes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InitialLoss {
    /// The analytic value; default: what the case reports as `expected_initial_loss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<f64>,
    /// How far below it may be, 100 % at most.
    #[schemars(extend("maximum" = 1))]
    pub within: Share,
    /// How far above it may be; default: twice `within`. A last layer of usual width starts there, and nothing that
    /// knows nothing starts far below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Share>,
}

impl Default for InitialLoss {
    fn default() -> Self {
        Self { near: None, within: Share(0.25), above: None }
    }
}

impl Check for InitialLoss {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.finite("near", self.near);
        violations.share("within", Some(self.within));
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, first: None, expected: None })
    }
}

#[derive(Debug)]
struct Running {
    wanted: InitialLoss,
    first: Option<(Option<u64>, f64)>,
    expected: Option<f64>,
}

impl Fold for Running {
    fn wants_the_end(&self) -> bool {
        false
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        if let Some(loss) = sample.number_of("loss") {
            self.first.get_or_insert((sample.step, loss));
        }
        if let Some(expected) = sample.number_of("expected_initial_loss") {
            self.expected = Some(expected);
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let Some((step, loss)) = self.first else { return vec![seen.missing("loss", "a first `loss`")] };
        let Some(near) = self.wanted.near.or(self.expected) else {
            let wanted = "`expected_initial_loss`, or `near` in the suite file";
            return vec![seen.missing("expected_initial_loss", wanted)];
        };
        let below = self.wanted.within;
        // Logits that know nothing, but vary, add about half their variance to ln K; nothing takes as much away.
        let above = self.wanted.above.unwrap_or(Share(2.0 * below.0));
        let (low, high) = (near - near.abs() * below.0, near + near.abs() * above.0);
        let wanted = format!("{} to {} ({} -{below} +{above})", short(low), short(high), short(near));
        let cause = if loss < low {
            "the model is trained already, the labels leak into the input, or the loss is averaged over more than the batch"
        } else {
            "a sum in place of a mean, inputs that are not normalised, labels outside of the classes, or an output layer \
             that starts too wide"
        };
        let holds = at_least(loss, low) && at_most(loss, high);
        vec![Ruling::of(holds, format!("loss {}{}", short(loss), at(step)), wanted).at(step).because(cause)]
    }
}
