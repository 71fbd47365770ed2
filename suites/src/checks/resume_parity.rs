//! `resume-parity`: saved, reloaded and continued gives the same losses, bit by bit, and the same evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parity::{Compared, Parity};
use super::{CaseFacts, Check, Fold};

/// Saved, reloaded and continued gives the same losses, bit by bit. Write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeParity {}

impl Check for ResumeParity {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Parity::new(&RESUMED))
    }
}

static RESUMED: Compared = Compared {
    prefix: "resumed/",
    other: "resumed/loss",
    keeps: &["loss", "resumed/loss"],
    what: "the run that was saved and reloaded",
    cause: "something is not in the checkpoint: the optimizer's state, the schedule's step, BatchNorm's buffers or the \
            random generator",
    eval_cause: "BatchNorm's running statistics are not in the checkpoint, nor is what else evaluation alone reads",
};
