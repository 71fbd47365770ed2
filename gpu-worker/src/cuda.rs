//! Is CUDA usable here, and if not, why not?
//!
//! The worker is linked against a libtorch without CUDA, so that one build starts everywhere. Where the libtorch that
//! was loaded has CUDA beside it, loading that library before the first tensor makes it register its operators.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::error::WorkerError;

/// What there is of CUDA.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cuda {
    /// The libtorch that was loaded has CUDA.
    pub(crate) compiled: bool,
    /// A tensor was made and summed on a device.
    pub(crate) usable: bool,
    pub(crate) why_not: Option<String>,
    pub(crate) driver: Option<String>,
    /// The devices that the process may use, in their order.
    pub(crate) devices: Vec<Gpu>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Gpu {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) compute: [i32; 2],
    pub(crate) memory_bytes: u64,
}

impl Cuda {
    /// Loads CUDA where it is and tries it. Call before the first tensor, and once.
    pub(crate) fn load() -> Self {
        let driver = driver_version();
        let loaded = load_beside_libtorch();
        let (devices, no_devices) = match devices() {
            Ok(devices) => (devices, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let why_not = match &loaded {
            Err(why) => Some(why.clone()),
            Ok(()) => no_devices.or_else(|| trial().err()),
        };
        let compiled = loaded_library("libtorch_cpu.so").is_some_and(|cpu| beside(&cpu).exists());
        Self { compiled, usable: why_not.is_none(), why_not, driver, devices }
    }

    /// What is known without libtorch's CUDA, for a case that is to run on the CPU.
    pub(crate) fn not_wanted() -> Self {
        let why_not = Some("the case asks for the CPU".to_owned());
        Self { compiled: false, usable: false, why_not, driver: None, devices: Vec::new() }
    }
}

/// Loads `libtorch_cuda.so` from the folder of the `libtorch_cpu.so` that this process uses.
fn load_beside_libtorch() -> Result<(), String> {
    let cpu = loaded_library("libtorch_cpu.so").ok_or("libtorch_cpu.so is not among the loaded libraries")?;
    let cuda = beside(&cpu);
    if !cuda.exists() {
        return Err(format!("the libtorch in {} is a build for the CPU", folder(&cpu).display()));
    }
    open(&cuda, RTLD_NOW | RTLD_GLOBAL).map(|_| ())
}

fn beside(cpu: &Path) -> PathBuf {
    cpu.with_file_name("libtorch_cuda.so")
}

/// The path of a library that is loaded in this process.
pub(crate) fn loaded_library(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    paths.filter(|path| path.file_name().is_some_and(|file| file == name)).map(PathBuf::from).next()
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Makes a tensor on the first device and reads a sum back.
fn trial() -> Result<(), String> {
    let sum = || -> crate::error::Result<f64> {
        let ones = Tensor::f_ones([256, 256], (Kind::Float, tch::Device::Cuda(0)))?;
        Ok(ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])?)
    };
    if tch::Cuda::device_count() < 1 {
        return Err("libtorch sees no CUDA device".into());
    }
    match sum() {
        Ok(16_777_216.0) => Ok(()),
        Ok(other) => Err(format!("the GPU computes wrongly: 256³ came out as {other}")),
        Err(WorkerError::Gpu(cause) | WorkerError::Libtorch(cause)) => Err(cause),
        Err(error) => Err(error.to_string()),
    }
}

fn driver_version() -> Option<String> {
    let version = std::fs::read_to_string("/sys/module/nvidia/version").ok().or_else(|| {
        let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    })?;
    Some(version.trim().to_owned())
}

/// Opens a shared library, which stays loaded: libtorch uses it too.
fn open(path: &Path, flags: c_int) -> Result<&'static Library, String> {
    // SAFETY: loading runs the library's initialisers; these are NVIDIA's driver and libtorch itself.
    match unsafe { Library::open(Some(path), flags) } {
        Ok(library) => Ok(Box::leak(Box::new(library))),
        Err(error) => Err(format!("cannot load {}: {error}", path.display())),
    }
}

/// A function of the driver's, as the type that the caller knows it to have.
///
/// # Safety
/// `F` must be the function's type, as an `extern "C" fn` pointer.
unsafe fn function<F: Copy>(driver: &Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller vouches for the type.
    let symbol = unsafe { driver.get::<F>(name.as_bytes()) };
    symbol.map(|symbol| *symbol).map_err(|_| format!("the driver has no {name}"))
}

/// Asks NVIDIA's driver for its devices; it heeds `CUDA_VISIBLE_DEVICES` as libtorch does.
fn devices() -> Result<Vec<Gpu>, String> {
    let driver = open(Path::new("libcuda.so.1"), RTLD_NOW)
        .map_err(|_| "no NVIDIA driver on this machine (libcuda.so.1 is not there)")?;
    // SAFETY: the types are those of cuda.h.
    let (init, device_count, get, name, uuid, attribute, memory) = unsafe {
        (
            function::<extern "C" fn(u32) -> c_int>(driver, "cuInit")?,
            function::<extern "C" fn(*mut c_int) -> c_int>(driver, "cuDeviceGetCount")?,
            function::<extern "C" fn(*mut c_int, c_int) -> c_int>(driver, "cuDeviceGet")?,
            function::<extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(driver, "cuDeviceGetName")?,
            function::<extern "C" fn(*mut u8, c_int) -> c_int>(driver, "cuDeviceGetUuid")?,
            function::<extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(driver, "cuDeviceGetAttribute")?,
            function::<extern "C" fn(*mut usize, c_int) -> c_int>(driver, "cuDeviceTotalMem_v2")?,
        )
    };
    let done = |call: &str, code: c_int| match code {
        0 => Ok(()),
        100 => Err("the driver sees no GPU".to_owned()),
        999 => Err(format!(
            "{call} of the driver answers 999 (unknown): see the kernel log, the GPU may be lost"
        )),
        code => Err(format!("{call} of the driver answers error {code}")),
    };
    done("cuInit", init(0))?;
    let mut count = 0;
    done("cuDeviceGetCount", device_count(&raw mut count))?;
    let describe = |index: c_int| {
        let mut device = 0;
        done("cuDeviceGet", get(&raw mut device, index))?;
        let mut text = [0u8; 256];
        done("cuDeviceGetName", name(text.as_mut_ptr().cast(), 256, device))?;
        let mut id = [0u8; 16];
        done("cuDeviceGetUuid", uuid(id.as_mut_ptr(), device))?;
        let mut compute = [0; 2];
        for (value, which) in compute.iter_mut().zip([75, 76]) {
            done("cuDeviceGetAttribute", attribute(value, which, device))?;
        }
        let mut memory_bytes = 0;
        done("cuDeviceTotalMem", memory(&raw mut memory_bytes, device))?;
        let name = CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned();
        Ok(Gpu { name, uuid: gpu_uuid(&id), compute, memory_bytes: memory_bytes as u64 })
    };
    let devices = (0..count).map(describe).collect::<Result<Vec<_>, String>>()?;
    if devices.is_empty() { Err("the driver sees no GPU".into()) } else { Ok(devices) }
}

/// As nvidia-smi writes it.
fn gpu_uuid(id: &[u8; 16]) -> String {
    let hex = hex::encode(id);
    format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_named_as_nvidia_smi_names_it() {
        let id = std::array::from_fn(|i| u8::try_from(i).unwrap() * 17);
        assert_eq!(gpu_uuid(&id), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn the_libtorch_that_is_used_is_found() {
        assert!(Tensor::f_ones([1], (Kind::Float, tch::Device::Cpu)).is_ok());
        let path = loaded_library("libtorch_cpu.so").expect("the test uses libtorch");
        assert!(path.is_absolute() && path.exists(), "{}", path.display());
    }

    #[test]
    fn where_cuda_is_not_usable_the_reason_is_given() {
        let cuda = Cuda::load();
        assert_eq!(cuda.usable, cuda.why_not.is_none());
        assert!(!cuda.usable || !cuda.devices.is_empty());
    }
}
