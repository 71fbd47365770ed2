//! `loss-drop`: the loss fell far enough. Where it did not, the shape of its curve says what to look at.

use crate::spec;

use super::Fold;
use super::curve::{Shape, shape};
use super::ruling::Ruling;
use super::seen::Seen;
use super::text::short;

#[derive(Debug)]
pub(super) struct LossDrop(pub(super) spec::LossDrop);

impl Fold for LossDrop {
    fn keeps(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        let series = seen.series("loss");
        let Some((series, first, last)) =
            series.and_then(|series| Some((series, series.first?, series.last?)))
        else {
            return vec![seen.missing("loss", "a `loss` for each step")];
        };
        let share = self.0.to.0 * first.1;
        let limit = share.max(self.0.floor);
        let wanted = if limit > share {
            format!("at most the floor {}", short(limit))
        } else {
            format!("at most {} ({} of the first loss {})", short(limit), self.0.to, short(first.1))
        };
        let (step, loss) = last;
        let observed = format!("loss {} at step {step}", short(loss));
        if loss <= limit {
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
