//! Where a case computes: device, threads, determinism, and the facts about it that the report records.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use gpu_suites::spec::{self, Dtype};
use serde_json::json;

use crate::cuda::{Cuda, loaded_library};
use crate::error::{Result, WorkerError};
use crate::shim;

/// The version that this worker is built for; tch knows no other.
pub(crate) const LIBTORCH: &str = "2.11.0";

/// The place where tensors of a case live.
pub(crate) struct Placement {
    pub(crate) device: tch::Device,
    pub(crate) threads: u32,
    repeatable: bool,
    cuda: Cuda,
}

impl Placement {
    /// Chooses the device; where it is to be `repeatable`, everything after it computes the same each time.
    pub(crate) fn prepare(
        wanted: spec::Device,
        threads: Option<NonZeroU32>,
        repeatable: bool,
    ) -> Result<Self> {
        let found = shim::libtorch_version();
        if found != LIBTORCH {
            return Err(WorkerError::Version { found, wanted: LIBTORCH });
        }
        let cuda = match wanted {
            spec::Device::Cpu => Cuda::not_wanted(),
            spec::Device::Auto | spec::Device::Cuda => Cuda::load(),
        };
        let device = match (wanted, &cuda.why_not) {
            (spec::Device::Cuda, Some(why)) => return Err(WorkerError::Cuda(why.clone())),
            (_, None) => tch::Device::Cuda(0),
            (_, Some(_)) => tch::Device::Cpu,
        };
        let threads = threads.map_or_else(physical_cores, NonZeroU32::get);
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
        shim::set_deterministic(repeatable)?;
        Ok(Self { device, threads, repeatable, cuda })
    }

    /// Every device of this kind that the process may use.
    pub(crate) fn devices(&self) -> Vec<tch::Device> {
        if !self.device.is_cuda() {
            return vec![self.device];
        }
        let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(0).max(1);
        (0..count).map(tch::Device::Cuda).collect()
    }

    /// What the report records about the place.
    pub(crate) fn facts(&self, seed: u64) -> serde_json::Value {
        let cpu = cpu_name().unwrap_or_else(|| "unknown".into());
        let mut facts = json!({
            "name": if self.device.is_cuda() { "cuda" } else { "cpu" },
            "cpu": cpu,
            "threads": self.threads,
            "seed": seed,
            "libtorch": shim::libtorch_version(),
            "deterministic": self.repeatable,
        });
        if let Some(why) = &self.cuda.why_not {
            facts["cuda_why_not"] = why.as_str().into();
        }
        if let Some(driver) = &self.cuda.driver {
            facts["driver"] = driver.as_str().into();
        }
        if let (true, Some(gpu)) = (self.device.is_cuda(), self.cuda.devices.first()) {
            facts["gpu"] = gpu.name.as_str().into();
            facts["gpu_uuid"] = gpu.uuid.as_str().into();
            facts["gpu_compute"] = format!("{}.{}", gpu.compute[0], gpu.compute[1]).into();
            facts["cudnn"] = cudnn_version().into();
        }
        facts
    }

    /// NVIDIA's name for the GPU, which nothing else on the machine has.
    pub(crate) fn gpu_uuid(&self) -> Option<&str> {
        match (self.device.is_cuda(), self.cuda.devices.first()) {
            (true, Some(gpu)) => Some(&gpu.uuid),
            _ => None,
        }
    }

    /// Why a format of numbers is no use here, if so.
    pub(crate) fn without(&self, dtype: Dtype) -> Option<String> {
        match (dtype, self.device.is_cuda()) {
            (Dtype::Fp32, _) | (Dtype::Fp16, true) => None,
            (Dtype::Bf16, _) => self.without_bf16(),
            (Dtype::Fp16, false) => (!cpu_has(&["avx512_fp16", "amx_fp16"]))
                .then(|| "this CPU has no half-precision instructions (avx512_fp16 or amx_fp16)".to_owned()),
        }
    }

    /// Why bfloat16 is no use here, if so.
    pub(crate) fn without_bf16(&self) -> Option<String> {
        match (self.device.is_cuda(), self.cuda.devices.first()) {
            (true, Some(gpu)) if gpu.compute[0] >= 8 => None,
            (true, Some(gpu)) => Some(format!("{} has no bfloat16 (compute capability below 8.0)", gpu.name)),
            (true, None) => Some("the GPU's compute capability is not known".into()),
            (false, _) => (!cpu_has_bf16())
                .then(|| "this CPU has no bfloat16 instructions (avx512_bf16 or amx_bf16)".to_owned()),
        }
    }

    /// Bytes in use: by tensors on a GPU, by the process on the CPU.
    pub(crate) fn memory(&self) -> Result<Option<f64>> {
        if self.device.is_cuda() {
            return Ok(Some(shim::cuda_allocated(self.device)? as f64));
        }
        Ok(resident_bytes().map(|bytes| bytes as f64))
    }
}

pub(crate) fn selfcheck() -> serde_json::Value {
    let cuda = Cuda::load();
    let folder =
        loaded_library("libtorch_cpu.so").and_then(|path| path.parent().map(std::path::Path::to_owned));
    json!({
        "libtorch": shim::libtorch_version(),
        "libtorch_wanted": LIBTORCH,
        "libtorch_folder": folder,
        "cuda": cuda,
        "cudnn": cudnn_version(),
        "bf16": {
            "cpu": cpu_has_bf16(),
            "cuda": cuda.usable && cuda.devices.first().is_some_and(|gpu| gpu.compute[0] >= 8),
        },
        "threads": physical_cores(),
    })
}

fn cudnn_version() -> Option<i64> {
    (tch::Cuda::is_available() && tch::Cuda::cudnn_is_available()).then(tch::utils::version_cudnn)
}

/// Cores that this process may use, hyper-threads counted once: more threads than cores slow convolutions down.
fn physical_cores() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let cores = std::fs::read_to_string("/proc/cpuinfo").map_or(0, |text| cores_in(&text));
    let cores = if cores == 0 { allowed } else { cores.min(allowed) };
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// The distinct (package, core) pairs of `/proc/cpuinfo`; 0 where it does not say.
fn cores_in(cpuinfo: &str) -> usize {
    let field = |block: &str, name: &str| {
        let line = block.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split(':').nth(1).map(|value| value.trim().to_owned())
    };
    let cores = cpuinfo.split("\n\n").filter_map(|block| {
        Some((field(block, "physical id").unwrap_or_default(), field(block, "core id")?))
    });
    cores.collect::<BTreeSet<_>>().len()
}

fn cpuinfo_line(name: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn cpu_name() -> Option<String> {
    cpuinfo_line("model name")
}

fn cpu_has_bf16() -> bool {
    cpu_has(&["avx512_bf16", "amx_bf16"])
}

fn cpu_has(instructions: &[&str]) -> bool {
    let flags = cpuinfo_line("flags").unwrap_or_default();
    flags.split_whitespace().any(|flag| instructions.contains(&flag))
}

pub(crate) fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(resident * u64::try_from(page).ok()?)
}

/// Begins a new peak of the process's memory; where the system does not let it, the peak is that of the whole process.
pub(crate) fn reset_resident_peak() {
    // 5 resets the peak: see proc(5), /proc/pid/clear_refs.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most bytes that the process has had since the last reset.
pub(crate) fn resident_peak() -> Option<u64> {
    kib(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// Whether the machine has at least so many times the memory left that this process has now.
pub(crate) fn memory_allows(times: u64) -> bool {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib(&text, "MemAvailable"));
    match (available, resident_bytes()) {
        (Some(available), Some(resident)) => available >= resident.saturating_mul(times),
        _ => true,
    }
}

/// A line `NAME: 123 kB` as bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_threads_are_counted_once() {
        let cpu = |processor: u32, core: u32| {
            format!("processor\t: {processor}\nphysical id\t: 0\nflags\t\t: fpu\ncore id\t\t: {core}\n")
        };
        let four_threads = [cpu(0, 0), cpu(1, 1), cpu(2, 0), cpu(3, 1)].join("\n");
        assert_eq!(cores_in(&four_threads), 2);
        assert_eq!(cores_in("processor\t: 0\nBogoMIPS\t: 243.75\n"), 0);
    }

    #[test]
    fn a_new_peak_forgets_what_was_freed_before() {
        // Beyond what the allocator keeps: the kernel takes it back at once.
        let block = std::hint::black_box(memory(96 << 20));
        let high = resident_peak().unwrap();
        drop(block);
        reset_resident_peak();
        let low = resident_peak().unwrap();
        assert!(low + (64 << 20) < high, "{low} {high}");
    }

    /// Touched pages of their own.
    fn memory(bytes: usize) -> Mapped {
        // SAFETY: an anonymous mapping, written within its bounds and unmapped when it is dropped.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start =
                libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            std::ptr::write_bytes(start.cast::<u8>(), 1, bytes);
            Mapped(start, bytes)
        }
    }

    struct Mapped(*mut libc::c_void, usize);

    impl Drop for Mapped {
        fn drop(&mut self) {
            // SAFETY: it was mapped by `memory` with this length.
            unsafe { libc::munmap(self.0, self.1) };
        }
    }

    #[test]
    fn the_memory_of_the_process_is_seen_to_grow() {
        let before = resident_bytes().unwrap();
        let block = vec![1u8; 64 << 20];
        let after = resident_bytes().unwrap();
        assert!(after >= before + (48 << 20), "{before} {after} {}", block.len());
    }
}
