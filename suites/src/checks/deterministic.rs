//! `deterministic`: the same seed gives the same losses, bit by bit, and the same evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parity::{Compared, Parity};
use super::{CaseFacts, Check, Fold};

/// The same seed gives the same losses, bit by bit. Write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deterministic {}

impl Check for Deterministic {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Parity::new(&REPEATED))
    }
}

static REPEATED: Compared = Compared {
    prefix: "repeat/",
    other: "repeat/loss",
    keeps: &["loss", "repeat/loss"],
    what: "the second run from the same seed",
    cause: "a generator without a seed, kernels that add in any order (torch.use_deterministic_algorithms), or threads \
            whose number changes",
    eval_cause: "dropout that is left on in evaluation, an augmentation that is drawn there too, or a batch that changes",
};
