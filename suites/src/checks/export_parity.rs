//! `export-parity`: the exported model gives the same output as the model itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violations::Violations;

use super::figure::at_most;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// The exported model gives the same output.
/// `export_max_abs_diff`: the largest difference between the model's output and the exported model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportParity {
    /// Largest absolute difference allowed.
    pub within: f64,
}

impl Default for ExportParity {
    fn default() -> Self {
        Self { within: 1e-4 }
    }
}

impl Check for ExportParity {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.tolerance("within", self.within);
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, difference: None })
    }
}

#[derive(Debug)]
struct Running {
    wanted: ExportParity,
    difference: Option<f64>,
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        if let Some(difference) = sample.number_of("export_max_abs_diff") {
            self.difference = Some(difference);
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let wanted = format!("at most {}", short(self.wanted.within));
        let Some(difference) = self.difference else {
            return vec![seen.missing("export_max_abs_diff", &wanted)];
        };
        let observed = format!("outputs differ by up to {}", short(difference));
        vec![Ruling::of(at_most(difference.abs(), self.wanted.within), observed, wanted).because(
            "the model was exported in train mode, or a branch that depends on the data was frozen by tracing",
        )]
    }
}
