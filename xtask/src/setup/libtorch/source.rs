//! The ways to a libtorch that is not there yet. Each either works or says in one line why it does not.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::VERSION;
use crate::setup::cache::Cache;
use crate::setup::chain;
use crate::setup::download::{Download, Network, Patience, Trust};
use crate::setup::unpack::unpack;
use crate::setup::wheels::{CUDA_RUNTIME, CUPTI, TORCH, Wheel};

/// The file in a downloaded libtorch that says where it came from.
pub(crate) const PROVENANCE: &str = "provenance.json";

/// The CPU build for C++. It has no published checksum: the server's certificate, the archive's own checksums and
/// the version inside vouch for it, and what came is recorded.
const ARCHIVE: &str = "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.11.0%2Bcpu.zip";

/// Prints version and folder of the Python's torch. Importing it is the only test that it works.
const ASK_PYTHON: &str =
    "import os, torch; print(torch.__version__); print(os.path.dirname(os.path.abspath(torch.__file__)))";

/// How to come by a libtorch; the tests have their own.
pub(crate) trait Ways {
    /// The folder of a Python torch of the version.
    fn python(&self) -> Result<PathBuf, String>;
    /// Fills a folder from the archive for C++.
    fn archive(&self, into: &Path) -> Result<(), String>;
    /// Fills a folder from the wheels.
    fn wheels(&self, into: &Path) -> Result<(), String>;
}

pub(crate) struct Machine<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) network: &'a Network,
}

impl Ways for Machine<'_> {
    fn python(&self) -> Result<PathBuf, String> {
        let output = Command::new("python3").args(["-c", ASK_PYTHON]).output();
        let output = output.map_err(|_| "there is no python3".to_owned())?;
        if !output.status.success() {
            return Err("python3 has no torch".to_owned());
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        // A sitecustomize may print before us.
        let mut lines = answer.lines().rev();
        match (lines.next(), lines.next()) {
            (Some(folder), Some(version)) if version.split('+').next() == Some(VERSION) => {
                Ok(PathBuf::from(folder))
            }
            (_, Some(version)) => Err(format!("python3 has torch {version}")),
            _ => Err("python3 does not say which torch it has".to_owned()),
        }
    }

    fn archive(&self, into: &Path) -> Result<(), String> {
        supported()?;
        let place = self.cache.download("libtorch-cpu-2.11.0.zip");
        let label = "libtorch 2.11.0 (CPU)";
        let download = Download { url: ARCHIVE, label, trust: Trust::Server, patience: Patience::None };
        let sha256 = download.fetch(self.network, &place).map_err(|error| chain(&error))?;
        let unpacked = unpack(&place, into, "unpacking libtorch", |name| {
            let relative = name.strip_prefix("libtorch/")?;
            let wanted = relative == "build-version"
                || ["lib/", "include/", "share/"].iter().any(|folder| relative.starts_with(folder));
            // A quarter of the archive: static libraries and the Python binding, which tch does not link.
            let left_out = Path::new(relative).extension().is_some_and(|e| e == "a")
                || relative.ends_with("libtorch_python.so");
            (wanted && !left_out).then(|| relative.into())
        });
        // Whether it is whole or not, it is of no more use.
        drop(fs::remove_file(&place));
        unpacked.map_err(|error| chain(&error))?;
        note(into, &json!({"source": "the CPU archive of pytorch.org", "url": ARCHIVE, "sha256": sha256}))
    }

    fn wheels(&self, into: &Path) -> Result<(), String> {
        supported()?;
        // The torch wheel is the CUDA build. Its CPU half stands alone with two small CUDA libraries beside it.
        self.take(&TORCH, into, |name| {
            let relative = name.strip_prefix("torch/")?;
            let library = relative.strip_prefix("lib/").filter(|library| {
                ["libtorch_cpu.so", "libc10.so"].contains(library)
                    || (library.starts_with("libgomp") && library.ends_with(".so.1"))
            });
            (library.is_some() || relative.starts_with("include/")).then(|| relative.into())
        })?;
        for (wheel, library) in [(&CUDA_RUNTIME, "libcudart.so.13"), (&CUPTI, "libcupti.so.13")] {
            self.take(wheel, into, |name| {
                (name == format!("nvidia/cu13/lib/{library}")).then(|| Path::new("lib").join(library))
            })?;
        }
        // The wheel's own libtorch.so wants the CUDA half; for the linker a script that names the CPU half will do.
        let write =
            |file: &str, text: &str| fs::write(into.join(file), text).map_err(|e| format!("{file}: {e}"));
        write("lib/libtorch.so", "INPUT(libtorch_cpu.so)\n")?;
        write("build-version", &format!("{VERSION}+cpu\n"))?;
        let digests: serde_json::Map<_, _> =
            [TORCH, CUDA_RUNTIME, CUPTI].iter().map(|wheel| (wheel.label(), json!(wheel.sha256))).collect();
        note(into, &json!({"source": "the wheels of PyPI (CPU half)", "sha256": digests}))
    }
}

impl Machine<'_> {
    /// Unpacks what is wanted out of a wheel, and removes the wheel: half a gigabyte.
    fn take(
        &self,
        wheel: &Wheel,
        into: &Path,
        place: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<(), String> {
        let file = wheel.fetch(self.cache, self.network).map_err(|error| chain(&error))?;
        let label = format!("unpacking {}", wheel.label());
        let count = unpack(&file, into, &label, place).map_err(|error| chain(&error))?;
        if count == 0 {
            return Err(format!("{} has none of the files that are wanted", wheel.label()));
        }
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// Both downloads are builds for one platform.
fn supported() -> Result<(), String> {
    if (OS, ARCH) == ("linux", "x86_64") {
        return Ok(());
    }
    Err(format!("is for Linux on x86_64, and this is {OS} on {ARCH}"))
}

fn note(into: &Path, provenance: &serde_json::Value) -> Result<(), String> {
    fs::write(into.join(PROVENANCE), format!("{provenance:#}\n")).map_err(|e| format!("{PROVENANCE}: {e}"))
}
