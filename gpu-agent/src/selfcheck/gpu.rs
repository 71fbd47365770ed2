//! The GPUs, as the driver's own library (NVML) describes them. It is loaded at run time: a node without one has none.
//!
//! A driver whose GPU has died may never answer, and a process that asks it then cannot even be killed. So a process of
//! its own asks, and is left behind where it does not come back.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use gpu_suites::facts::{Gpu, Gpus, Process, RowRemap, Throttle};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use crate::libtorch;

/// The name that every driver installs; the one without a number comes with developers' packages only.
pub(crate) const LIBRARY: &str = "libnvidia-ml.so.1";

/// A driver that nothing has used yet takes seconds for each GPU to begin.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Seconds in place of that, for tests.
const VARIABLE: &str = "GPU_AGENT_DRIVER_ANSWERS_WITHIN";
/// What the process that asks is started with.
pub(crate) const ASKING: &str = "--gpus";

/// Has them looked at by a process of its own.
pub(super) fn look() -> Gpus {
    let limit =
        std::env::var(VARIABLE).ok().and_then(|seconds| Some(Duration::from_secs(seconds.parse().ok()?)));
    let mut command = Command::new("/proc/self/exe");
    command.args(["selfcheck", ASKING]);
    let said = libtorch::run(&mut command, limit.unwrap_or(ANSWERS_WITHIN));
    let gpus = said.and_then(|said| serde_json::from_str(&said).map_err(|error| error.to_string()));
    gpus.unwrap_or_else(|why| Gpus::Absent(format!("the NVIDIA driver does not answer: {why}")))
}

/// Looks at them in this process.
pub(crate) fn ask() -> Gpus {
    let nvml = match Nvml::builder().lib_path(OsStr::new(LIBRARY)).init() {
        Ok(nvml) => nvml,
        Err(NvmlError::LibloadingError(error)) => {
            return Gpus::Absent(format!("no NVIDIA driver: {error}"));
        }
        Err(error) => return Gpus::Absent(format!("the NVIDIA driver does not answer: {error}")),
    };
    let cuda = nvml.sys_cuda_driver_version().ok();
    let count = match nvml.device_count() {
        Ok(count) => count,
        Err(error) => {
            return Gpus::Absent(format!("the NVIDIA driver does not list its devices: {error}"));
        }
    };
    Gpus::Present {
        driver: nvml.sys_driver_version().ok(),
        cuda: cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
        devices: (0..count)
            .filter_map(|index| nvml.device_by_index(index).ok())
            .map(|gpu| device(&gpu))
            .collect(),
    }
}

pub(crate) fn device(gpu: &Device<'_>) -> Gpu {
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
        row_remap: row_remap(gpu),
        retirement_pending: gpu.are_pages_pending_retired().ok(),
        throttled: gpu.current_throttle_reasons().map(reasons).unwrap_or_default(),
        processes: gpu.running_compute_processes().unwrap_or_default().iter().map(process).collect(),
    }
}

/// The wrapper has no function for it, only the library's own.
fn row_remap(gpu: &Device<'_>) -> Option<RowRemap> {
    let ask = gpu.nvml().lib().nvmlDeviceGetRemappedRows.as_ref().ok()?;
    let (mut correctable, mut uncorrectable, mut pending, mut failed) = (0, 0, 0, 0);
    // SAFETY: the handle is the wrapper's own, of a library that lives as long as `gpu`; the library writes one number
    // to each of the four places, which are this function's.
    let answer = unsafe {
        ask(gpu.handle(), &raw mut correctable, &raw mut uncorrectable, &raw mut pending, &raw mut failed)
    };
    // Zero is success; every other answer is that of a GPU without spare rows, or of one that does not answer.
    (answer == 0).then_some(RowRemap {
        correctable,
        uncorrectable,
        pending: pending != 0,
        failed: failed != 0,
    })
}

/// Why it is slower than it could be, leaving out idleness and settings.
pub(crate) fn reasons(reasons: ThrottleReasons) -> Vec<Throttle> {
    let harmless = ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING;
    let named = (reasons - harmless).iter_names();
    named.map(|(name, _)| Throttle::named(&name.to_ascii_lowercase().replace('_', " "))).collect()
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
