//! `golden`: a metric is near the value that it is known to have, row by row or step by step.
//!
//! The case writes both, `score` and `golden/score`: where the golden values come from (a file that goes along, another
//! implementation) is its own affair.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violations::Violations;

use super::figure::{at_most, larger};
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, count, exact, short};
use super::twins::{Pair, Side, Twins};
use super::{CaseFacts, Check, Fold};

/// Values are near their golden ones. Where it is named, and in a `train` case with a file of golden losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minItems" = 1))]
pub struct Golden(pub Vec<GoldenCheck>);

/// Each `golden/<name>` against `<name>` at the same step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoldenCheck {
    /// The metric's name, e.g. `score`.
    pub name: String,
    /// Largest absolute difference allowed.
    #[serde(default = "default_golden")]
    pub within: f64,
}

fn default_golden() -> f64 {
    1e-4
}

impl Check for Golden {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        if self.0.is_empty() {
            violations.add("", "no metric is listed", "write `- name: score`");
        }
        for (index, check) in self.0.iter().enumerate() {
            let mut violations = violations.below(format!("[{index}]"));
            violations.metric_name(&check.name);
            violations.tolerance("within", check.within);
        }
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        let compared = |check| Compared {
            check,
            twins: Twins::default(),
            pairs: 0,
            differ: 0,
            first: None,
            largest: 0.0,
        };
        Box::new(Running(self.0.into_iter().map(compared).collect()))
    }
}

const PREFIX: &str = "golden/";

#[derive(Debug)]
struct Running(Vec<Compared>);

#[derive(Debug)]
struct Compared {
    check: GoldenCheck,
    twins: Twins,
    pairs: usize,
    differ: usize,
    first: Option<Pair>,
    largest: f64,
}

impl Compared {
    fn compare(&mut self, pair: Pair) {
        let difference = (pair.own - pair.twin).abs();
        self.pairs += 1;
        let holds = at_most(difference, self.check.within);
        if !holds {
            self.differ += 1;
            self.first.get_or_insert(pair);
        }
        self.largest = larger(self.largest, difference);
    }

    fn rule(&self, seen: &Observations) -> Ruling {
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
                count(self.pairs, "value"),
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
        Ruling::of(true, format!("{}, {differ} apart at most{cut}", count(self.pairs, "value")), wanted)
    }
}

impl Fold for Running {
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

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        self.0.iter().map(|golden| golden.rule(seen).about(clip(&golden.check.name, 128))).collect()
    }
}
