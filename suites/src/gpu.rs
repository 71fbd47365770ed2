//! Which GPU: architectures by name or compute capability, and what a case needs of one.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::unit::ByteSize;

/// A compute capability, written `sm_89` and meaning 8.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sm(pub u32);

impl Sm {
    /// The capability `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self(major * 10 + minor)
    }
}

impl fmt::Display for Sm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}", self.0)
    }
}

/// An architecture by NVIDIA's name (`ada`) or by compute capability (`sm_89`): code built for one of them may not run
/// on its neighbour, so a name stands for every capability that NVIDIA gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// V100: `sm_70`.
    Volta,
    /// T4, T4g: `sm_75`.
    Turing,
    /// A100, A10G: `sm_80` to `sm_87`.
    Ampere,
    /// L4, L40S: `sm_89`.
    Ada,
    /// H100, H200: `sm_90`.
    Hopper,
    /// B200, B300, RTX PRO: `sm_100` and beyond.
    Blackwell,
    /// Exactly this capability.
    Exactly(Sm),
}

/// The names, with the capabilities from which and up to which each goes; source: the table of compute capabilities
/// in the CUDA C++ Programming Guide (<https://developer.nvidia.com/cuda-gpus>).
const NAMED: [(&str, Architecture, u32, u32); 6] = [
    ("volta", Architecture::Volta, 70, 72),
    ("turing", Architecture::Turing, 75, 75),
    ("ampere", Architecture::Ampere, 80, 87),
    ("ada", Architecture::Ada, 89, 89),
    ("hopper", Architecture::Hopper, 90, 90),
    ("blackwell", Architecture::Blackwell, 100, 121),
];

impl Architecture {
    /// Whether a GPU of this capability is of this architecture.
    pub fn has(self, sm: Sm) -> bool {
        match self {
            Self::Exactly(exact) => exact == sm,
            _ => NAMED.iter().any(|&(_, named, from, to)| named == self && (from..=to).contains(&sm.0)),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(sm) => sm.fmt(f),
            _ => f.write_str(NAMED.iter().find(|(_, named, ..)| named == self).map_or("", |(name, ..)| name)),
        }
    }
}

/// Why a word names no architecture.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is no GPU architecture: write volta, turing, ampere, ada, hopper, blackwell, or a compute capability such as sm_89"
)]
pub struct ArchitectureError(String);

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, ArchitectureError> {
        let word = text.trim().to_ascii_lowercase();
        let named = NAMED.iter().find(|(name, ..)| *name == word).map(|&(_, named, ..)| named);
        let capability = || word.strip_prefix("sm_")?.parse().ok().filter(|sm| (30..1000).contains(sm));
        named
            .or_else(|| capability().map(|sm| Self::Exactly(Sm(sm))))
            .ok_or_else(|| ArchitectureError(text.to_owned()))
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Architecture {
    fn schema_name() -> Cow<'static, str> {
        "Architecture".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A GPU architecture: volta, turing, ampere, ada, hopper, blackwell, or sm_NN.",
            "pattern": "^(volta|turing|ampere|ada|hopper|blackwell|sm_[0-9]{2,3})$",
        })
    }
}

/// The GPUs that a case needs, or that a node is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GpuNeed {
    /// How many, at least.
    pub count: NonZeroU32,
    /// Memory of each, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// One of these architectures; none named: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arch: Vec<Architecture>,
}

/// A GPU has less memory to give than it is sold with: the driver and error correction take up to this share.
/// (An NVIDIA A10G of 24 GiB has 22.5.)
const RESERVED: f64 = 0.1;

/// Whether a GPU on which so many bytes are seen may be one that is sold with this memory.
pub fn has_memory(seen: u64, sold_with: ByteSize) -> bool {
    seen as f64 >= sold_with.0 as f64 * (1.0 - RESERVED)
}

impl Default for GpuNeed {
    fn default() -> Self {
        Self { count: NonZeroU32::MIN, memory: None, arch: Vec::new() }
    }
}

/// Two needs that no GPU can meet together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no GPU is both {} and {}", list(.0), list(.1))]
pub struct Contradiction(Vec<Architecture>, Vec<Architecture>);

fn list(names: &[Architecture]) -> String {
    Vec::from_iter(names.iter().map(ToString::to_string)).join(" or ")
}

impl GpuNeed {
    /// What meets both needs.
    pub fn and(&self, other: &Self) -> Result<Self, Contradiction> {
        let arch = match (self.arch.is_empty(), other.arch.is_empty()) {
            (true, _) => other.arch.clone(),
            (_, true) => self.arch.clone(),
            _ => {
                let both = Vec::from_iter(narrower(&self.arch, &other.arch));
                if both.is_empty() {
                    return Err(Contradiction(self.arch.clone(), other.arch.clone()));
                }
                both
            }
        };
        Ok(Self { count: self.count.max(other.count), memory: self.memory.max(other.memory), arch })
    }
}

/// The architectures of either list that the other list holds too.
fn narrower<'a>(
    ours: &'a [Architecture],
    theirs: &'a [Architecture],
) -> impl Iterator<Item = Architecture> + 'a {
    let within = |one: Architecture, list: &[Architecture]| {
        list.iter().any(|&other| other == one || matches!(one, Architecture::Exactly(sm) if other.has(sm)))
    };
    let first = ours.iter().copied().filter(move |&one| within(one, theirs));
    let second = theirs.iter().copied().filter(move |&one| within(one, ours) && !ours.contains(&one));
    first.chain(second)
}

impl fmt::Display for GpuNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GPU{}", self.count, if self.count.get() == 1 { "" } else { "s" })?;
        if let Some(memory) = self.memory {
            write!(f, " of {memory} or more")?;
        }
        if !self.arch.is_empty() {
            write!(f, " ({})", list(&self.arch))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(text: &str) -> GpuNeed {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_name_stands_for_its_capabilities_and_for_no_others() {
        for (arch, sm, has) in [
            ("ada", Sm::new(8, 9), true),
            ("ada", Sm::new(8, 6), false),
            ("ampere", Sm::new(8, 0), true),
            ("ampere", Sm::new(8, 6), true),
            ("ampere", Sm::new(8, 9), false),
            ("sm_86", Sm::new(8, 6), true),
            ("sm_86", Sm::new(8, 0), false),
            ("Blackwell", Sm::new(12, 0), true),
        ] {
            assert_eq!(arch.parse::<Architecture>().unwrap().has(sm), has, "{arch} {sm}");
        }
        for wrong in ["", "adda", "sm_", "sm_9", "8.9"] {
            assert!(wrong.parse::<Architecture>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_needs_together_are_the_stricter_of_each() {
        let both = need(r#"{"count":2,"arch":["ampere","ada"]}"#)
            .and(&need(r#"{"memory":"20 GiB","arch":["sm_86"]}"#))
            .unwrap();
        assert_eq!(both.to_string(), "2 GPUs of 20.0 GiB or more (sm_86)");
        let error = need(r#"{"arch":["ada"]}"#).and(&need(r#"{"arch":["sm_86"]}"#)).unwrap_err();
        assert_eq!(error.to_string(), "no GPU is both ada and sm_86");
    }
}
