//! `varied`: the values of a metric are not all the same. A model that always gives one answer runs without an error.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::{Violations, meant};

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, count};
use super::{CaseFacts, Check, Fold};

/// Values are not all the same. Only where it is named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minItems" = 1))]
pub struct Varied(pub Vec<VariedCheck>);

/// The share of the commonest value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VariedCheck {
    /// The metric's name, e.g. `predicted`; a number, a text, or true and false.
    pub name: String,
    /// The largest share that one value may have, below 100 %.
    #[serde(default = "default_varied")]
    #[schemars(extend("maximum" = 1))]
    pub at_most: Share,
}

fn default_varied() -> Share {
    Share(0.9)
}

impl Check for Varied {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        if self.0.is_empty() {
            violations.add("", "no metric is listed", "write `- name: predicted`");
        }
        for (index, check) in self.0.iter().enumerate() {
            let mut violations = violations.below(format!("[{index}]"));
            violations.metric_name(&check.name);
            if check.at_most.0 >= 1.0 {
                let hint =
                    meant(check.at_most).unwrap_or_else(|| "write a share below 100%, e.g. 90%".into());
                violations.add("at-most", "a share that no value can exceed", hint);
            }
        }
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        let watched = |check| Metric { check, came: 0, values: HashMap::new() };
        Box::new(Running(self.0.into_iter().map(watched).collect()))
    }
}

/// The most different values that are counted. One that has a large share is among the first.
const MAX_VALUES: usize = 4096;

#[derive(Debug)]
struct Running(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    check: VariedCheck,
    came: usize,
    values: HashMap<String, usize>,
}

impl Metric {
    fn rule(&self, seen: &Observations) -> Ruling {
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

impl Fold for Running {
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

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        self.0.iter().map(|metric| metric.rule(seen).about(clip(&metric.check.name, 128))).collect()
    }
}
