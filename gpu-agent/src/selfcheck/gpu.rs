//! The GPUs, as the driver's own library (NVML) describes them. It is loaded at run time: a node without one has none.

use std::ffi::OsStr;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use serde::Serialize;

/// The name that every driver installs; the one without a number comes with developers' packages only.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// What the driver says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Gpus {
    /// There is a driver.
    Present {
        /// Its version, e.g. `580.82.07`.
        driver: Option<String>,
        /// The newest CUDA that it can run, e.g. `13.0`.
        cuda: Option<String>,
        devices: Vec<Gpu>,
    },
    /// There is none, and why.
    Absent(String),
}

/// One GPU. What it does not tell is `null`.
#[derive(Debug, Serialize)]
pub(super) struct Gpu {
    pub(super) name: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_used_bytes: Option<u64>,
    pub(super) compute_capability: Option<String>,
    pub(super) temperature_celsius: Option<u32>,
    pub(super) ecc: Option<bool>,
    /// Memory errors since the driver was loaded that could not be corrected: any is trouble.
    pub(super) ecc_uncorrected: Option<u64>,
    /// Why it is slower than it could be, leaving out idleness and settings.
    pub(super) throttled: Vec<String>,
    pub(super) processes: Vec<Process>,
}

/// Somebody who computes on it.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: Option<String>,
    pub(super) memory_bytes: Option<u64>,
}

impl Gpus {
    pub(super) fn look() -> Self {
        let nvml = match Nvml::builder().lib_path(OsStr::new(LIBRARY)).init() {
            Ok(nvml) => nvml,
            Err(NvmlError::LibloadingError(error)) => {
                return Self::Absent(format!("no NVIDIA driver: {error}"));
            }
            Err(error) => return Self::Absent(format!("the NVIDIA driver does not answer: {error}")),
        };
        let cuda = nvml.sys_cuda_driver_version().ok();
        let count = match nvml.device_count() {
            Ok(count) => count,
            Err(error) => {
                return Self::Absent(format!("the NVIDIA driver does not list its devices: {error}"));
            }
        };
        Self::Present {
            driver: nvml.sys_driver_version().ok(),
            cuda: cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
            devices: (0..count)
                .filter_map(|index| nvml.device_by_index(index).ok())
                .map(|gpu| look(&gpu))
                .collect(),
        }
    }
}

fn look(gpu: &Device<'_>) -> Gpu {
    let memory = gpu.memory_info().ok();
    let capability = gpu.cuda_compute_capability().ok();
    Gpu {
        name: gpu.name().ok(),
        uuid: gpu.uuid().ok(),
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.map(|memory| memory.used),
        compute_capability: capability.map(|version| format!("{}.{}", version.major, version.minor)),
        temperature_celsius: gpu.temperature(TemperatureSensor::Gpu).ok(),
        ecc: gpu.is_ecc_enabled().ok().map(|state| state.currently_enabled),
        ecc_uncorrected: gpu.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
        throttled: gpu.current_throttle_reasons().map(reasons).unwrap_or_default(),
        processes: gpu.running_compute_processes().unwrap_or_default().iter().map(process).collect(),
    }
}

fn reasons(reasons: ThrottleReasons) -> Vec<String> {
    let harmless = ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING;
    let named = (reasons - harmless).iter_names();
    named.map(|(name, _)| name.to_ascii_lowercase().replace('_', " ")).collect()
}

fn process(process: &ProcessInfo) -> Process {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid));
    Process {
        pid: process.pid,
        name: name.ok().map(|name| name.trim().to_owned()),
        memory_bytes: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    }
}
