//! `shards`: each input is in exactly one row, and few rows are errors. The figures are of what was read back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::Violations;

use super::figure::at_most;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// Each input is in exactly one row, and few rows are errors.
/// `rows/missing`, `rows/doubled`, `rows/foreign` = 0, `rows/errors` ≤ errors × `rows/inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Share of the rows that may be errors: images that cannot be read or decoded.
    #[schemars(extend("maximum" = 1))]
    pub errors: Share,
}

impl Default for Shards {
    fn default() -> Self {
        Self { errors: Share(0.0) }
    }
}

impl Check for Shards {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.share("errors", Some(self.errors));
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, figures: BTreeMap::new() })
    }
}

const INPUTS: &str = "rows/inputs";
const ERRORS: &str = "rows/errors";
/// What must not be, and what usually made it so.
const NONE_OF: [(&str, &str, &str); 3] = [
    ("rows/missing", "missing", "an image was dropped on the way, or a shard was not written"),
    ("rows/doubled", "doubled", "an image was handed on twice, or a shard was written under two names"),
    ("rows/foreign", "of no input", "the shards of another run lie under the same prefix"),
];

#[derive(Debug)]
struct Running {
    wanted: Shards,
    figures: BTreeMap<&'static str, f64>,
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        for name in [INPUTS, ERRORS].into_iter().chain(NONE_OF.map(|(name, ..)| name)) {
            if let Some(number) = sample.number_of(name) {
                self.figures.insert(name, number);
            }
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let wanted = "each input in exactly one row";
        let Some(inputs) = self.figures.get(INPUTS).copied() else {
            return vec![seen.missing(INPUTS, wanted)];
        };
        let mut wrong = Vec::new();
        let mut causes = Vec::new();
        for (name, what, cause) in NONE_OF {
            match self.figures.get(name) {
                None => return vec![seen.missing(name, wanted)],
                Some(count) if *count != 0.0 => {
                    wrong.push(format!("{} {what}", short(*count)));
                    causes.push(cause);
                }
                Some(_) => {}
            }
        }
        let told = if wrong.is_empty() {
            format!("{} rows for {} inputs", short(inputs), short(inputs))
        } else {
            format!("of {} rows {}", short(inputs), wrong.join(", "))
        };
        let once = Ruling::of(wrong.is_empty(), told, wanted).because(causes.join("; "));
        vec![once, self.errors(seen, inputs).about("errors")]
    }
}

impl Running {
    fn errors(&self, seen: &Observations, inputs: f64) -> Ruling {
        let wanted = format!("at most {} of the rows", self.wanted.errors);
        let Some(errors) = self.figures.get(ERRORS).copied() else {
            return seen.missing(ERRORS, &wanted);
        };
        // Of no rows nothing can be an error; of rows whose number is none, nobody knows.
        let share = if at_most(inputs, 0.0) && at_most(errors, 0.0) {
            0.0
        } else if inputs.is_finite() {
            errors / inputs
        } else {
            f64::NAN
        };
        let observed = format!("{} rows are errors ({})", short(errors), Share(share));
        Ruling::of(at_most(share, self.wanted.errors.0), observed, wanted)
            .because("images are damaged, or could not be read: column `error` says which and why")
    }
}
