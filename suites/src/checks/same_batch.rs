//! `same-batch`: every step saw the same batch, by its hash. Without it, "overfits one batch" shows nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, count};
use super::{CaseFacts, Check, Fold};

/// Every step saw the same batch. Write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SameBatch {}

impl Check for SameBatch {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running::default())
    }
}

#[derive(Debug, Default)]
struct Running {
    first: Option<String>,
    came: usize,
    differs: Option<(Option<u64>, String)>,
}

impl Fold for Running {
    fn wants_the_end(&self) -> bool {
        false
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        if sample.name != "batch_hash" {
            return;
        }
        self.came += 1;
        let hash = clip(&sample.value.to_string(), 64);
        match &self.first {
            None => self.first = Some(hash),
            Some(first) if self.differs.is_none() && *first != hash => {
                self.differs = Some((sample.step, hash));
            }
            Some(_) => {}
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let Some(first) = &self.first else {
            return vec![seen.missing("batch_hash", "a `batch_hash` for each step")];
        };
        let wanted = format!("{} in every step", clip(first, 16));
        vec![match &self.differs {
            None => Ruling::of(
                true,
                format!("the same batch {} in {}", clip(first, 16), count(self.came, "step")),
                wanted,
            ),
            Some((step, hash)) => {
                let place = step.map_or("a later step".to_owned(), |step| format!("step {step}"));
                Ruling::broke(format!("{place} saw another batch, {}", clip(hash, 16)), wanted)
                    .at(*step)
                    .because("a shuffling loader, a random augmentation, or a batch that is changed in place")
            }
        }]
    }
}
