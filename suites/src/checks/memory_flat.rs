//! `memory-flat`: memory does not grow once the first steps have warmed every cache and pool.
//!
//! The median of the first [`WINDOW`] values from `from-step` on is held against the median of the last.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::ByteSize;

use super::figure::{at_most, middle};
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::count;
use super::{CaseFacts, Check, Fold};

/// Memory does not grow.
/// `memory_bytes` from a step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MemoryFlat {
    /// The step from which memory must not grow; what comes before is warm-up.
    pub from_step: u64,
    /// Growth that is still flat.
    #[schemars(extend("default" = "16 MiB"))]
    pub slack: ByteSize,
}

impl Default for MemoryFlat {
    fn default() -> Self {
        Self { from_step: 50, slack: ByteSize(16 << 20) }
    }
}

impl Check for MemoryFlat {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running {
            wanted: self,
            came: 0,
            judged: 0,
            first: Vec::new(),
            last: VecDeque::new(),
            above_since: None,
        })
    }
}

const WINDOW: usize = 5;

#[derive(Debug)]
struct Running {
    wanted: MemoryFlat,
    /// All values, those before `from-step` included.
    came: u64,
    judged: usize,
    first: Vec<f64>,
    last: VecDeque<f64>,
    /// From where on memory stayed above the limit.
    above_since: Option<u64>,
}

impl Running {
    fn limit(&self) -> f64 {
        middle(self.first.iter().copied()) + self.wanted.slack.0 as f64
    }
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(bytes) = sample.number_of("memory_bytes") else { return };
        self.came += 1;
        let step = sample.step.unwrap_or(self.came);
        if step < self.wanted.from_step {
            return;
        }
        self.judged += 1;
        if self.first.len() < WINDOW {
            self.first.push(bytes);
        } else if at_most(bytes, self.limit()) {
            self.above_since = None;
        } else if self.above_since.is_none() {
            self.above_since = Some(step);
        }
        self.last.push_back(bytes);
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let from = self.wanted.from_step;
        if self.came == 0 {
            return vec![seen.missing("memory_bytes", "a `memory_bytes` for each step")];
        }
        if self.judged < 2 * WINDOW {
            let why = format!("{} from step {from} on: too few to judge", count(self.judged, "value"));
            return vec![Ruling::skipped(why, format!("at least {} values from step {from} on", 2 * WINDOW))];
        }
        let (first, last) = (middle(self.first.iter().copied()), middle(self.last.iter().copied()));
        let holds = at_most(last, self.limit());
        let step = self.above_since.filter(|_| !holds);
        let observed = if holds {
            format!("{} at the end", size(last))
        } else {
            format!("{} at the end, over the limit for good since step {}", size(last), step.unwrap_or(from))
        };
        let wanted = format!(
            "at most {} ({} from step {from} on, and {} more)",
            size(self.limit()),
            size(first),
            self.wanted.slack
        );
        vec![Ruling::of(holds, observed, wanted).at(step).because(
            "losses or outputs kept in a list without detach() or item(), or a cache that is never emptied",
        )]
    }
}

fn size(bytes: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size for people; it saturates"
    )]
    ByteSize(bytes as u64).to_string()
}
