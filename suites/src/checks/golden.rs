//! `golden`: a metric is near the value that it is known to have, row by row or step by step.
//!
//! The case writes both, `score` and `golden/score`: where the golden values come from (a file that goes along, another
//! implementation) is its own affair.

use crate::spec::GoldenCheck;

use super::Fold;
use super::figure::{at_most, larger};
use super::ruling::Ruling;
use super::seen::{Sample, Seen};
use super::text::{clip, count, exact, short};
use super::twins::{Pair, Side, Twins};

const PREFIX: &str = "golden/";

#[derive(Debug)]
pub(super) struct Goldens(Vec<Golden>);

#[derive(Debug)]
struct Golden {
    check: GoldenCheck,
    twins: Twins,
    compared: usize,
    differ: usize,
    first: Option<Pair>,
    largest: f64,
}

impl Goldens {
    pub(super) fn new(checks: Vec<GoldenCheck>) -> Self {
        let golden = |check| Golden {
            check,
            twins: Twins::default(),
            compared: 0,
            differ: 0,
            first: None,
            largest: 0.0,
        };
        Self(checks.into_iter().map(golden).collect())
    }
}

impl Golden {
    fn compare(&mut self, pair: Pair) {
        let difference = (pair.own - pair.twin).abs();
        self.compared += 1;
        let holds = at_most(difference, self.check.within);
        if !holds {
            self.differ += 1;
            self.first.get_or_insert(pair);
        }
        self.largest = larger(self.largest, difference);
    }

    fn rule(&self, seen: &Seen) -> Ruling {
        let name = clip(&self.check.name, 128);
        let wanted = format!("each `{name}` within {} of its golden one", short(self.check.within));
        for (side, metric) in
            [(Side::Own, self.check.name.clone()), (Side::Twin, format!("{PREFIX}{}", self.check.name))]
        {
            if self.twins.came(side) == 0 {
                return seen.missing(&metric, &wanted);
            }
        }
        let cut = self.twins.cut();
        if let Some(Pair { step, own, twin }) = self.first {
            let observed = format!(
                "{} of {} differ: first {}, golden {}{cut}",
                self.differ,
                count(self.compared, "value"),
                exact(own),
                exact(twin)
            );
            return Ruling::broke(observed, wanted).at(Some(step)).because(
                "other weights than those that made the golden values, another preprocessing (normalisation, order of \
                 the channels), or rows that were mixed up",
            );
        }
        if let Some(step) = self.twins.lonely_twin() {
            let observed = format!("a golden value came at step {step}, and no `{name}`{cut}");
            return Ruling::broke(observed, wanted)
                .at(Some(step))
                .because("a row that was left out, or two counts of steps that differ");
        }
        let differ = short(self.largest);
        Ruling::of(true, format!("{}, {differ} apart at most{cut}", count(self.compared, "value")), wanted)
    }
}

impl Fold for Goldens {
    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(value) = sample.value.number() else { return };
        for golden in &mut self.0 {
            let side = if sample.name == golden.check.name {
                Side::Own
            } else if sample.name.strip_prefix(PREFIX) == Some(&golden.check.name) {
                Side::Twin
            } else {
                continue;
            };
            if let Some(pair) = golden.twins.take(side, sample.step, value) {
                golden.compare(pair);
            }
        }
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        self.0.iter().map(|golden| golden.rule(seen).about(clip(&golden.check.name, 128))).collect()
    }
}
