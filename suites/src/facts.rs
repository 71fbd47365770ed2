//! What a node has: the facts that its agent gathers and that a harness judges its health by.
//!
//! What cannot be told is a fact too: `None`, or the reason in words. A reader passes over fields that it does not know.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gpu::Sm;

/// Where the first thing that a machine of our own runs writes down how it will end by itself.
pub const ARMED: &str = "/run/gpu-harness-armed";

/// Everything that is known of a node. `gpu-agent selfcheck --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    pub agent: String,
    pub machine: Machine,
    /// The agent's folder.
    pub folder: FolderFacts,
    /// The machine's clock.
    pub clock: Clock,
    pub gpus: Gpus,
    /// What the driver has complained of to the kernel.
    #[serde(default)]
    pub kernel_log: KernelLog,
    /// How the machine will end by itself, in the words of [`ARMED`]; `None` where nothing of the kind was set up.
    #[serde(default)]
    pub armed: Option<String>,
    /// The libtorch that a run would use.
    pub libtorch: Libtorch,
    /// What gpu-worker says of libtorch and CUDA, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// The machine's clock minus that of the harness, which alone can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    /// Its kernel's name, release and architecture.
    pub kernel: String,
    pub cpu: Option<String>,
    /// What the agent may use.
    pub cores: Option<usize>,
    pub memory_bytes: Option<u64>,
    /// What of it is free.
    pub memory_available_bytes: Option<u64>,
}

/// The agent's folder and the disk below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderFacts {
    pub path: PathBuf,
    pub free_bytes: Option<u64>,
    /// Why nothing can be written there, if so.
    pub unwritable: Option<String>,
}

/// The kernel's word on its clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// What it shows.
    pub now: Timestamp,
    /// Whether something (NTP, PTP) keeps the clock right; `None` where the kernel does not tell.
    pub synchronised: Option<bool>,
    /// By how much it may be off at most, by the kernel's estimate.
    pub max_error_ms: Option<f64>,
}

/// What the driver says of the GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gpus {
    /// There is a driver.
    Present {
        /// Its version, e.g. `580.82.07`.
        driver: Option<String>,
        /// The newest CUDA that it can run, e.g. `13.0`.
        cuda: Option<String>,
        /// The GPUs that it answers for.
        devices: Vec<Gpu>,
    },
    /// There is none, and why.
    Absent(String),
}

/// One GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// What it is called, e.g. `NVIDIA L4`.
    pub name: Option<String>,
    /// Which one it is.
    pub uuid: Option<String>,
    pub memory_bytes: Option<u64>,
    /// What of it is in use.
    pub memory_used_bytes: Option<u64>,
    /// `MAJOR.MINOR`.
    pub compute_capability: Option<String>,
    /// How warm it is.
    pub temperature_celsius: Option<u32>,
    /// Whether its memory is error-corrected.
    pub ecc: Option<bool>,
    /// Memory errors since the driver was loaded that could not be corrected: any is trouble.
    pub ecc_uncorrected: Option<u64>,
    /// Its spare memory rows; `None` for GPUs that have none (before Ampere).
    pub row_remap: Option<RowRemap>,
    /// Whether memory pages wait for a reboot to be given up; `None` for GPUs that remap rows instead.
    pub retirement_pending: Option<bool>,
    /// Why it is slower than it could be, leaving out idleness and settings.
    pub throttled: Vec<Throttle>,
    /// Who computes on it.
    pub processes: Vec<Process>,
}

impl Gpu {
    /// Its compute capability, where it tells one that makes sense.
    pub fn sm(&self) -> Option<Sm> {
        let (major, minor) = self.compute_capability.as_deref()?.split_once('.')?;
        let digit = minor.parse().ok().filter(|minor| *minor < 10)?;
        Some(Sm::new(major.parse().ok().filter(|major| *major < 100)?, digit))
    }
}

/// Rows of memory that gave out and were replaced by spare ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRemap {
    /// Replaced for errors that could be corrected.
    pub correctable: u32,
    /// Replaced for errors that could not.
    pub uncorrectable: u32,
    /// Whether a row waits for the GPU's reset to be replaced.
    pub pending: bool,
    /// Whether a row could not be replaced: the memory is worn out.
    pub failed: bool,
}

/// Why a GPU is slower than it could be, in the words of `nvidia-smi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Throttle {
    /// It would draw more power than it is allowed to.
    #[serde(rename = "sw power cap")]
    PowerCap,
    /// The hardware slowed it down for one of the reasons below, or while its clock changed.
    #[serde(rename = "hw slowdown")]
    Slowdown,
    /// The driver keeps it from getting too hot.
    #[serde(rename = "sw thermal slowdown")]
    Thermal,
    /// The hardware keeps it from getting too hot.
    #[serde(rename = "hw thermal slowdown")]
    HardwareThermal,
    /// The machine's power supply tells it to slow down.
    #[serde(rename = "hw power brake slowdown")]
    PowerBrake,
    /// Another one.
    #[serde(untagged)]
    Other(String),
}

impl Throttle {
    /// The reasons that have a name of their own here.
    const NAMED: [(&str, Self); 5] = [
        ("sw power cap", Self::PowerCap),
        ("hw slowdown", Self::Slowdown),
        ("sw thermal slowdown", Self::Thermal),
        ("hw thermal slowdown", Self::HardwareThermal),
        ("hw power brake slowdown", Self::PowerBrake),
    ];

    /// The reason of this name.
    pub fn named(name: &str) -> Self {
        let known = Self::NAMED.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(_, reason)| reason.clone())
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            _ => Self::NAMED.iter().find(|(_, reason)| reason == self).map_or("", |(name, _)| name),
        }
    }
}

/// Somebody who computes on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub name: Option<String>,
    /// The GPU's memory that it holds.
    pub memory_bytes: Option<u64>,
}

/// The driver's complaints in the kernel's log since the machine was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelLog {
    /// The log could be read.
    Read {
        /// The complaints, oldest first; of very many, the first.
        xids: Vec<Xid>,
        /// How many there are beyond these.
        #[serde(default)]
        more: u64,
    },
    /// It could not, and why.
    Unreadable(String),
}

impl Default for KernelLog {
    fn default() -> Self {
        Self::Unreadable("the agent does not tell".to_owned())
    }
}

/// An error report of NVIDIA's driver: `NVRM: Xid (PCI:0000:00:1e): 79, GPU has fallen off the bus.`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Xid {
    /// Its kind: <https://docs.nvidia.com/deploy/xid-errors/>.
    pub code: u32,
    /// The GPU's place on the bus.
    pub gpu: String,
    /// The rest of the report.
    pub message: String,
    /// Seconds after the machine's start.
    pub seconds: Option<f64>,
}

/// The libtorch that a run would use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Libtorch {
    /// There is one.
    Found {
        root: PathBuf,
        /// Who named it.
        from: String,
    },
    /// There is none, and where it was looked for.
    Missing(String),
}

/// What gpu-worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Worker {
    /// Its own facts, see `gpu-worker --selfcheck`.
    Facts(serde_json::Value),
    /// Why it says nothing.
    Silent(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_slow_down_survives_its_name_also_where_it_is_new() {
        for name in ["hw power brake slowdown", "sw power cap", "cosmic rays"] {
            let reason = Throttle::named(name);
            assert_eq!(reason.name(), name);
            let text = serde_json::to_string(&reason).unwrap();
            assert_eq!(text, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<Throttle>(&text).unwrap(), reason);
        }
    }

    #[test]
    fn facts_of_another_version_can_be_read() {
        let gpu: Gpu = serde_json::from_str(r#"{"name":"NVIDIA L4","colour":"green"}"#).unwrap();
        assert_eq!((gpu.name.as_deref(), gpu.throttled.len()), (Some("NVIDIA L4"), 0));
        let facts = r#"{"agent":"0.1.0","machine":{"host":"h","kernel":"k","new":1},
            "folder":{"path":"/c"},"clock":{"now":"2026-11-23T00:00:00Z"},"gpus":{"absent":"no driver"},
            "libtorch":{"missing":"nowhere"},"new":{}}"#;
        let facts: NodeFacts = serde_json::from_str(facts).unwrap();
        assert_eq!((facts.armed, facts.kernel_log), (None, KernelLog::default()));
    }

    #[test]
    fn a_compute_capability_is_two_numbers() {
        for (text, sm) in
            [("8.9", Some(Sm(89))), ("12.0", Some(Sm(120))), ("9", None), ("8.10", None), ("x.y", None)]
        {
            let gpu = Gpu { compute_capability: Some(text.to_owned()), ..Gpu::default() };
            assert_eq!(gpu.sm(), sm, "{text}");
        }
    }
}
