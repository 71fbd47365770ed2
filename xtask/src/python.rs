//! The Python that benches hold gpu-worker against: it has what `bench/requirements.txt` lists.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cargo;

/// Names another one.
const PYTHON: &str = "GPU_HARNESS_BENCH_PYTHON";
const LIST: &str = "bench/requirements.txt";

/// The named Python, else one of its own in the cache folder: a download of some GB, once for each list of packages.
pub(crate) fn find(cache: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os(PYTHON) {
        return Ok(named.into());
    }
    let list = cargo::root().join(LIST);
    let packages = fs::read(&list).with_context(|| format!("failed to read {}", list.display()))?;
    let venv = cache.join("bench-python").join(hex::encode(&Sha256::digest(&packages)[..8]));
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if !complete.exists() {
        eprintln!("making {} from {LIST} (some GB, once; {PYTHON} names another)", venv.display());
        cargo::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        cargo::run(install.arg(&list))?;
        fs::write(&complete, "")?;
    }
    Ok(python)
}
