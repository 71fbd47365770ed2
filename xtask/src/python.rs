//! The Python that benches hold gpu-worker against: it has torch, numpy and Pillow.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cargo;

/// Names another one.
const PYTHON: &str = "GPU_HARNESS_BENCH_PYTHON";
const PACKAGES: [&str; 3] = ["torch==2.11.0", "numpy", "pillow"];

/// The named Python, else one of its own in the cache folder: a download of some GB, once.
pub(crate) fn find(cache: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os(PYTHON) {
        return Ok(named.into());
    }
    let venv = cache.join("bench-venv");
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if !complete.exists() {
        eprintln!(
            "making {} with {} (some GB, once; {PYTHON} names another)",
            venv.display(),
            PACKAGES.join(", ")
        );
        cargo::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        cargo::run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        fs::write(&complete, "")?;
    }
    Ok(python)
}
