//! What the hardware of a node has to be that is made for a run: its GPUs, or that it has none, and its processors.

use std::fmt;
use std::num::NonZeroU32;

use gpu_suites::gpu::{Contradiction, GpuNeed};
use gpu_suites::unit::ByteSize;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// What a node has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNeed {
    /// `None`: a node without GPUs.
    pub gpu: Option<GpuNeed>,
    pub cpu: CpuNeed,
}

/// One GPU, on whatever it comes with.
impl Default for NodeNeed {
    fn default() -> Self {
        Self { gpu: Some(GpuNeed::default()), cpu: CpuNeed::default() }
    }
}

impl NodeNeed {
    /// What the keys `gpu` and `cpu` of a node ask for together.
    pub(super) fn of(gpu: Option<&GpuKey>, cpu: Option<CpuNeed>) -> Self {
        let gpu = match gpu {
            None => Some(GpuNeed::default()),
            Some(GpuKey::Need(need)) => Some(need.clone()),
            Some(GpuKey::None) => None,
        };
        Self { gpu, cpu: cpu.unwrap_or_default() }
    }

    /// What a case needs besides. A node without GPUs gets none for it: the case is errored there, as on every node that
    /// lacks them.
    pub fn and(&self, case: &GpuNeed) -> Result<Self, Contradiction> {
        let gpu = self.gpu.as_ref().map(|gpu| gpu.and(case)).transpose()?;
        Ok(Self { gpu, ..self.clone() })
    }
}

impl fmt::Display for NodeNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gpu {
            Some(gpu) => gpu.fmt(f)?,
            None => f.write_str("a node without GPUs")?,
        }
        let count =
            self.cpu.count.map(|count| format!("{count} vCPU{}", if count.get() == 1 { "" } else { "s" }));
        let memory = self.cpu.memory.map(|memory| format!("{memory} of memory"));
        match Vec::from_iter(count.into_iter().chain(memory)).as_slice() {
            [] => Ok(()),
            parts => write!(f, " with {}", parts.join(" and ")),
        }
    }
}

/// The processors and the memory that a node has to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CpuNeed {
    /// How many virtual processors, at least.
    pub count: Option<NonZeroU32>,
    /// Memory of the machine, at least.
    pub memory: Option<ByteSize>,
}

/// `gpu:` of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuKey {
    /// `none`
    None,
    /// What they have to be.
    Need(GpuNeed),
}

impl<'de> Deserialize<'de> for GpuKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoneOrNeed)
    }
}

/// Reads the map from the file itself, so that an error in it knows where it stands.
struct NoneOrNeed;

impl<'de> Visitor<'de> for NoneOrNeed {
    type Value = GpuKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none` or a mapping such as { count: 1, memory: 20 GiB }")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<GpuKey, E> {
        match word {
            "none" => Ok(GpuKey::None),
            _ => Err(E::custom(format!(
                "`{word}` says nothing of GPUs: write none, or what they have to be, such as {{ count: 1, memory: 20 GiB }}"
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GpuKey, A::Error> {
        GpuNeed::deserialize(MapAccessDeserializer::new(map)).map(GpuKey::Need)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(gpu: &str, cpu: &str) -> NodeNeed {
        let gpu: GpuKey = serde_yaml::from_str(gpu).unwrap();
        NodeNeed::of(Some(&gpu), serde_yaml::from_str(cpu).unwrap())
    }

    #[test]
    fn a_node_without_gpus_gets_none_whatever_a_case_needs() {
        let case: GpuNeed = serde_yaml::from_str("{count: 2}").unwrap();
        assert_eq!(NodeNeed::default().and(&case).unwrap().to_string(), "2 GPUs");
        let none = need("none", "{count: 4, memory: 8 GiB}");
        assert_eq!(none.and(&case).unwrap(), none);
        assert_eq!(none.to_string(), "a node without GPUs with 4 vCPUs and 8.0 GiB of memory");
        assert_eq!(
            need("{count: 1, arch: [ada]}", "{memory: 64 GiB}").to_string(),
            "1 GPU (ada) with 64.0 GiB of memory"
        );
    }

    #[test]
    fn another_word_than_none_is_refused_with_what_to_write() {
        let told = serde_yaml::from_str::<GpuKey>("nothing").unwrap_err().to_string();
        assert!(told.contains("`nothing` says nothing of GPUs: write none"), "{told}");
        assert!(serde_yaml::from_str::<GpuKey>("{conut: 1}").is_err());
        assert!(serde_yaml::from_str::<GpuKey>("4").is_err());
    }
}
