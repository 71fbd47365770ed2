//! `loss-drop`: the loss fell far enough. Where it did not, the shape of its curve says what to look at.
//!
//! A share of the first loss makes sense above 0 only. A loss may be negative (a log-likelihood, an ELBO, a negative Dice):
//! then the same share of the first loss's *size* has to be gained, `first - (1 - to) · |first|`, which above 0 is `to · first`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::Violations;

use super::curve::{Shape, shape};
use super::figure::{at_most, larger};
use super::observations::Observations;
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// The loss fell far enough, without a plateau above the floor.
/// Final `loss` ≤ max(floor, to × the first); of a first loss below 0, ≤ first − (1 − to) × its size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossDrop {
    /// Share of the first loss, 100 % at most.
    #[schemars(extend("maximum" = 1))]
    pub to: Share,
    /// Always low enough; of a first loss of 0 or less only where it lies below that.
    pub floor: f64,
}

impl Default for LossDrop {
    fn default() -> Self {
        Self { to: Share(0.05), floor: 1e-3 }
    }
}

impl Check for LossDrop {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.share("to", Some(self.to));
        violations.finite("floor", Some(self.floor));
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running(self))
    }
}

#[derive(Debug)]
struct Running(LossDrop);

impl Fold for Running {
    fn keeps(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let series = seen.series("loss");
        let Some((series, first, last)) =
            series.and_then(|series| Some((series, series.first?, series.last?)))
        else {
            return vec![seen.missing("loss", "a `loss` for each step")];
        };
        let (step, loss) = last;
        let observed = format!("loss {} at step {step}", short(loss));
        let (limit, wanted) = match self.limit(first.1) {
            Ok(wanted) => wanted,
            Err(why) => {
                let wanted = "a first loss that a share can be taken of";
                let cause = "a loss that is not computed, or that is learned already; where 0 is right, name a `metric` \
                             check with `at-most` in its place";
                return vec![Ruling::broke(why, wanted).at(Some(first.0)).because(cause)];
            }
        };
        if at_most(loss, limit) {
            return vec![Ruling::of(true, observed, wanted)];
        }
        if series.points.len() < 2 {
            return vec![Ruling::broke(format!("{observed}, the only one"), wanted).at(Some(step)).because(
                "the loss is written once and not for each step, or training ended after one step",
            )];
        }
        let (what, at, cause) = explain(shape(&series.points), step);
        vec![Ruling::broke(format!("{observed}{what}{}", series.cut()), wanted).at(Some(at)).because(cause)]
    }
}

impl Running {
    /// How low is low enough, and how that is said; else why it cannot be said.
    fn limit(&self, first: f64) -> Result<(f64, String), String> {
        let LossDrop { to, floor } = self.0;
        // A floor above a negative loss is no floor: whatever it does it stays below.
        let floor = Some(floor).filter(|floor| first > 0.0 || *floor < first);
        if !first.is_finite() {
            return Err(format!("the first loss is {}", short(first)));
        }
        if first.abs() <= 0.0 && floor.is_none() {
            return Err("the first loss is 0: there is no share of it that it could fall to".into());
        }
        let share = match first {
            _ if first > 0.0 => to.0 * first,
            _ if first < 0.0 => first - (1.0 - to.0) * first.abs(),
            _ => f64::NEG_INFINITY,
        };
        let limit = floor.map_or(share, |floor| larger(share, floor));
        let wanted = if limit > share {
            format!("at most the floor {}", short(limit))
        } else if first > 0.0 {
            format!("at most {} ({to} of the first loss {})", short(limit), short(first))
        } else {
            let gain = Share(1.0 - to.0);
            format!("at most {} (the first loss {}, less {gain} of its size)", short(limit), short(first))
        };
        Ok((limit, wanted))
    }
}

fn explain(shape: Shape, last: u64) -> (String, u64, &'static str) {
    match shape {
        Shape::Diverged => (
            ", above where it began".into(),
            last,
            "a learning rate that is too high, gradients that are not zeroed between steps, or a loss with the wrong sign",
        ),
        Shape::RoseAgain { low, step } => (
            format!(", after {} at step {step}: it rose again", short(low)),
            step,
            "a learning rate that is too high near the end, or a schedule that restarts",
        ),
        Shape::Flat => (
            ": it never left its first level".into(),
            last,
            "nothing is trained: frozen parameters, an optimizer that was not given them, or labels that change in each step",
        ),
        Shape::Plateau { level, step } => (
            format!(": plateau at {} since about step {step}", short(level)),
            step,
            "labels and inputs may be out of step, a layer is frozen, or the model is too small for the batch",
        ),
        Shape::Falling { before, step } => (
            format!(", still falling (about {} at step {step})", short(before)),
            last,
            "too few steps, or a learning rate that is too low: raise `steps` first",
        ),
        Shape::Swinging { low, high } => (
            format!(", swinging between {} and {}", short(low), short(high)),
            last,
            "a learning rate that is too high, or a batch that changes from step to step",
        ),
    }
}
