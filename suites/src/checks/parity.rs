//! `deterministic` and `resume-parity`: two series of losses are the same, bit by bit.

use super::Fold;
use super::ruling::Ruling;
use super::seen::Seen;
use super::text::{count, exact};

/// Holds `other` against `loss` at the same steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parity {
    other: &'static str,
    keeps: &'static [&'static str],
    what: &'static str,
    cause: &'static str,
}

pub(super) const DETERMINISTIC: Parity = Parity {
    other: "repeat/loss",
    keeps: &["loss", "repeat/loss"],
    what: "the second run from the same seed",
    cause: "a generator without a seed, kernels that add in any order (torch.use_deterministic_algorithms), or threads \
            whose number changes",
};

pub(super) const RESUME: Parity = Parity {
    other: "resumed/loss",
    keeps: &["loss", "resumed/loss"],
    what: "the run that was saved and reloaded",
    cause: "something is not in the checkpoint: the optimizer's state, the schedule's step, BatchNorm's buffers or the \
            random generator",
};

impl Fold for Parity {
    fn keeps(&self) -> &'static [&'static str] {
        self.keeps
    }

    fn wants_the_end(&self) -> bool {
        false
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        let kept = |name| seen.series(name).filter(|series| series.first.is_some());
        let Some(losses) = kept("loss") else { return vec![seen.missing("loss", "a `loss` for each step")] };
        let wanted = format!("the losses of {}, bit by bit", self.what);
        let Some(others) = kept(self.other) else { return vec![seen.missing(self.other, &wanted)] };
        let cut = if losses.cut().is_empty() { others.cut() } else { losses.cut() };
        let common =
            others.points.iter().filter_map(|(step, other)| Some((*step, losses.at(*step)?, *other)));
        let steps = common.clone().count();
        if steps == 0 {
            if !cut.is_empty() {
                return vec![Ruling::skipped(format!("no step is there in both series{cut}"), wanted)];
            }
            let observed = format!("`loss` and `{}` have no step in common", self.other);
            let cause = "the second series counts its steps anew: write the same `step` for the same place in training";
            return vec![Ruling::broke(observed, wanted).because(cause)];
        }
        let mut differing = common.filter(|(_, loss, other)| loss.to_bits() != other.to_bits());
        vec![match differing.next() {
            None => Ruling::of(true, format!("the same in {}{cut}", count(steps, "step")), wanted),
            Some((step, loss, other)) => {
                let observed =
                    format!("step {step}: {} in {}, {} before", exact(other), self.what, exact(loss));
                Ruling::broke(observed, wanted).at(Some(step)).because(self.cause)
            }
        }]
    }
}
