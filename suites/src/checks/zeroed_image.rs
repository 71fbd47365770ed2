//! `zeroed-image`: with the image blanked out the model scores clearly worse, so it does look at the image.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violations::Violations;

use super::figure::at_most;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// A zeroed image scores clearly worse.
/// `zeroed/<metric>` ≤ `eval/<metric>` − margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZeroedImage {
    /// How much worse the zeroed image must score, in units of the metric.
    pub margin: f64,
}

impl Default for ZeroedImage {
    fn default() -> Self {
        Self { margin: 0.2 }
    }
}

impl Check for ZeroedImage {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.finite("margin", Some(self.margin));
    }

    fn start(self, case: CaseFacts<'_>) -> Box<dyn Fold> {
        let metric = case.task_metric;
        Box::new(Running { wanted: self, metric, pairs: BTreeMap::new() })
    }
}

/// The most different metrics that are compared.
const MAX_PAIRS: usize = 64;

#[derive(Debug)]
struct Running {
    wanted: ZeroedImage,
    /// The metric that has to be there, where the case's task says it.
    metric: Option<&'static str>,
    pairs: BTreeMap<String, Pair>,
}

#[derive(Debug, Default)]
struct Pair {
    eval: Option<f64>,
    zeroed: Option<f64>,
}

impl Running {
    fn pair(&mut self, name: &str) -> Option<&mut Pair> {
        if self.metric.is_some_and(|metric| metric != name) {
            return None;
        }
        if !self.pairs.contains_key(name) {
            if self.pairs.len() == MAX_PAIRS {
                return None;
            }
            self.pairs.insert(name.to_owned(), Pair::default());
        }
        self.pairs.get_mut(name)
    }
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(value) = sample.value.number() else { return };
        if let Some(pair) = sample.name.strip_prefix("eval/").and_then(|name| self.pair(name)) {
            pair.eval = Some(value);
        } else if let Some(pair) = sample.name.strip_prefix("zeroed/").and_then(|name| self.pair(name)) {
            pair.zeroed = Some(value);
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let zeroed = Vec::from_iter(
            self.pairs.iter().filter_map(|(name, pair)| Some((name, pair.eval, pair.zeroed?))),
        );
        if zeroed.is_empty() {
            let name = self.metric.map_or("zeroed/<metric>".to_owned(), |metric| format!("zeroed/{metric}"));
            return vec![seen.missing(&name, "the metric on a zeroed image")];
        }
        let rule = |(name, eval, zeroed): (&String, Option<f64>, f64)| {
            let Some(eval) = eval else {
                return seen
                    .missing(&format!("eval/{name}"), "the metric on the image itself, to compare with")
                    .about(name);
            };
            let limit = eval - self.wanted.margin;
            let observed = format!("{name} {} on a zeroed image", short(zeroed));
            let wanted = format!(
                "at most {} ({} on the image, less {})",
                short(limit),
                short(eval),
                short(self.wanted.margin)
            );
            Ruling::of(at_most(zeroed, limit), observed, wanted).about(name).because(
                "the answer does not come from the image: labels leak into the input, or a bias alone gives them",
            )
        };
        zeroed.into_iter().map(rule).collect()
    }
}
