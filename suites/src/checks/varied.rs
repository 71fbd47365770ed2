//! `varied`: the values of a metric are not all the same. A model that always gives one answer runs without an error.

use std::collections::HashMap;

use crate::spec::VariedCheck;
use crate::unit::Share;

use super::Fold;
use super::ruling::Ruling;
use super::seen::{Sample, Seen};
use super::text::{clip, count};

/// The most different values that are counted. One that has a large share is among the first.
const MAX_VALUES: usize = 4096;

#[derive(Debug)]
pub(super) struct Varied(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    check: VariedCheck,
    came: usize,
    values: HashMap<String, usize>,
}

impl Varied {
    pub(super) fn new(checks: Vec<VariedCheck>) -> Self {
        let metric = |check| Metric { check, came: 0, values: HashMap::new() };
        Self(checks.into_iter().map(metric).collect())
    }
}

impl Metric {
    fn rule(&self, seen: &Seen) -> Ruling {
        let name = clip(&self.check.name, 128);
        let wanted = format!("no value of `{name}` more often than in {} of all", self.check.at_most);
        // Of equals the smallest, so that the same lines give the same words.
        let commonest = self.values.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
        let Some((value, times)) = commonest else { return seen.missing(&self.check.name, &wanted) };
        if self.came < 2 {
            let observed = format!("only one value, {value}");
            return Ruling::broke(observed, wanted).because("a single row, or a metric that is written once");
        }
        let share = *times as f64 / self.came as f64;
        let holds = share <= self.check.at_most.0;
        let values = count(self.came, "value");
        let observed = format!("{value} is {} of {values}", Share((share * 1e3).round() / 1e3));
        Ruling::of(holds, observed, wanted).because(
            "a model that collapsed to one answer, inputs that are all blank, or an output that is read before it was \
             computed",
        )
    }
}

impl Fold for Varied {
    fn observe(&mut self, sample: &Sample<'_>) {
        for metric in self.0.iter_mut().filter(|metric| metric.check.name == sample.name) {
            metric.came += 1;
            let value = clip(&sample.value.to_string(), 64);
            if let Some(times) = metric.values.get_mut(&value) {
                *times += 1;
            } else if metric.values.len() < MAX_VALUES {
                metric.values.insert(value, 1);
            }
        }
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        self.0.iter().map(|metric| metric.rule(seen).about(clip(&metric.check.name, 128))).collect()
    }
}
