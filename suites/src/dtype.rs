//! In which format do numbers lie?

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A format of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// IEEE 754 single precision.
    Fp32,
    /// IEEE 754 half precision; inference only.
    Fp16,
    /// bfloat16; in training by autocast, over weights of single precision.
    Bf16,
}

impl Dtype {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Bf16];

    /// The name as it is written in suite files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
