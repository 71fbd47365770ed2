//! `export-parity`: the exported model gives the same output as the model itself.

use crate::spec;

use super::Fold;
use super::figure::at_most;
use super::ruling::Ruling;
use super::seen::{Sample, Seen};
use super::text::short;

#[derive(Debug)]
pub(super) struct ExportParity {
    wanted: spec::ExportParity,
    difference: Option<f64>,
}

impl ExportParity {
    pub(super) fn new(wanted: spec::ExportParity) -> Self {
        Self { wanted, difference: None }
    }
}

impl Fold for ExportParity {
    fn observe(&mut self, sample: &Sample<'_>) {
        if let Some(difference) = sample.number_of("export_max_abs_diff") {
            self.difference = Some(difference);
        }
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
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
