//! `finite`: no metric is NaN or infinite. It is the one check that stops a case at once: what follows a NaN is NaN.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{at, clip, short};
use super::{CaseFacts, Check, Fold};

/// No metric is NaN or infinite. Write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finite {}

impl Check for Finite {
    fn by_default(_: CaseFacts<'_>) -> Option<Self> {
        Some(Self {})
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running::default())
    }
}

#[derive(Debug, Default)]
struct Running {
    numbers: u64,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Broken {
    name: String,
    step: Option<u64>,
    value: f64,
}

impl Fold for Running {
    fn wants_the_end(&self) -> bool {
        false
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(value) = sample.value.number() else { return };
        self.numbers += 1;
        if !value.is_finite() && self.broken.is_none() {
            self.broken = Some(Broken { name: clip(sample.name, 64), step: sample.step, value });
        }
    }

    fn conclude(&self, _: &Observations) -> Vec<Ruling> {
        let wanted = "every metric a finite number";
        vec![match &self.broken {
            Some(Broken { name, step, value }) => {
                Ruling::broke(format!("`{name}` is {}{}", short(*value), at(*step)), wanted)
                    .at(*step)
                    .because(cause(name))
            }
            None if self.numbers == 0 => Ruling::skipped("the case wrote no number", wanted),
            None => Ruling::of(true, format!("{} finite numbers", self.numbers), wanted),
        }]
    }
}

fn cause(name: &str) -> &'static str {
    if name.contains("grad") {
        "gradients that overflow: a rate that is too high, a division or square root at zero, or half precision without loss scaling"
    } else {
        "a logarithm or a division by zero, a rate that is too high, or half precision without loss scaling"
    }
}
