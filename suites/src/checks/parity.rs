//! What `deterministic` and `resume-parity` ask: two series of losses are the same, bit by bit, and so is what evaluation gives.
//!
//! The losses alone would not do: they are taken in training mode, where BatchNorm does not read its running
//! statistics, and where dropout belongs.

use std::collections::BTreeMap;

use super::Fold;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, count, exact};
use super::twins::{Pair, Side, Twins};

/// The most different metrics of evaluation that are compared.
const MAX_EVALS: usize = 64;

/// Which series is held against `loss`, and `<prefix>eval/…` against `eval/…`.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) prefix: &'static str,
    pub(super) other: &'static str,
    pub(super) keeps: &'static [&'static str],
    pub(super) what: &'static str,
    pub(super) cause: &'static str,
    pub(super) eval_cause: &'static str,
}

/// Holds a second run against the first at the same steps.
#[derive(Debug)]
pub(super) struct Parity {
    compared: &'static Compared,
    evals: BTreeMap<String, Eval>,
}

/// A metric of evaluation in both runs.
#[derive(Debug, Default)]
struct Eval {
    twins: Twins,
    same: usize,
    differs: Option<Pair>,
}

/// The same bits of a number: two NaNs are no agreement.
fn same(one: f64, other: f64) -> bool {
    one.is_finite() && one.to_bits() == other.to_bits()
}

impl Parity {
    pub(super) fn new(compared: &'static Compared) -> Self {
        Self { compared, evals: BTreeMap::new() }
    }

    fn eval(&mut self, name: &str) -> Option<&mut Eval> {
        if !self.evals.contains_key(name) {
            if self.evals.len() == MAX_EVALS {
                return None;
            }
            self.evals.insert(name.to_owned(), Eval::default());
        }
        self.evals.get_mut(name)
    }

    fn of_eval(&self, name: &str, eval: &Eval) -> Ruling {
        let Compared { what, prefix, eval_cause, .. } = *self.compared;
        let name = clip(name, 128);
        let wanted = format!("`{name}` of {what}, bit by bit");
        let ruling = match eval.differs {
            Some(Pair { step, own, twin }) => {
                let observed = format!("step {step}: {} in {what}, {} before", exact(twin), exact(own));
                Ruling::broke(observed, wanted).at(Some(step)).because(eval_cause)
            }
            None if eval.same == 0 => {
                let observed = format!("`{name}` and `{prefix}{name}` have no step in common");
                Ruling::broke(observed, wanted)
                    .because("write the same `step` for the same place in training")
            }
            None => Ruling::of(
                true,
                format!("the same in {}{}", count(eval.same, "value"), eval.twins.cut()),
                wanted,
            ),
        };
        ruling.about(name)
    }
}

impl Fold for Parity {
    fn keeps(&self) -> &'static [&'static str] {
        self.compared.keeps
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(value) = sample.value.number() else { return };
        let (side, name) = match sample.name.strip_prefix(self.compared.prefix) {
            Some(name) => (Side::Twin, name),
            None => (Side::Own, sample.name),
        };
        if !name.starts_with("eval/") {
            return;
        }
        let Some(eval) = self.eval(name) else { return };
        match eval.twins.take(side, sample.step, value) {
            Some(pair) if same(pair.own, pair.twin) => eval.same += 1,
            Some(pair) => drop(eval.differs.get_or_insert(pair)),
            None => {}
        }
    }

    fn wants_the_end(&self) -> bool {
        false
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let evals = self.evals.iter().filter(|(_, eval)| eval.twins.came(Side::Twin) > 0);
        std::iter::once(self.of_losses(seen))
            .chain(evals.map(|(name, eval)| self.of_eval(name, eval)))
            .collect()
    }
}

impl Parity {
    fn of_losses(&self, seen: &Observations) -> Ruling {
        let Compared { other, what, cause, .. } = *self.compared;
        let kept = |name| seen.series(name).filter(|series| series.first.is_some());
        let Some(losses) = kept("loss") else { return seen.missing("loss", "a `loss` for each step") };
        let wanted = format!("the losses of {what}, bit by bit");
        let Some(others) = kept(other) else { return seen.missing(other, &wanted) };
        let cut = if losses.cut().is_empty() { others.cut() } else { losses.cut() };
        let common =
            others.points.iter().filter_map(|(step, other)| Some((*step, losses.at(*step)?, *other)));
        let steps = common.clone().count();
        if steps == 0 {
            if !cut.is_empty() {
                return Ruling::skipped(format!("no step is there in both series{cut}"), wanted);
            }
            let observed = format!("`loss` and `{other}` have no step in common");
            let cause = "the second series counts its steps anew: write the same `step` for the same place in training";
            return Ruling::broke(observed, wanted).because(cause);
        }
        let mut differing = common.filter(|(_, loss, other)| !same(*loss, *other));
        match differing.next() {
            None => Ruling::of(true, format!("the same in {}{cut}", count(steps, "step")), wanted),
            Some((step, loss, other)) => {
                let observed = format!("step {step}: {} in {what}, {} before", exact(other), exact(loss));
                Ruling::broke(observed, wanted).at(Some(step)).because(cause)
            }
        }
    }
}
