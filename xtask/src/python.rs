//! Pythons with what a bench holds ours against, each an environment of its own in the cache folder, made once for each
//! list of packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cargo;

pub(crate) struct Environment {
    /// Its folder in the cache.
    folder: &'static str,
    /// Names another Python that has the packages.
    variable: &'static str,
    /// The file that lists them.
    list: &'static str,
    size: &'static str,
}

/// What gpu-worker is held against.
pub(crate) const TORCH: Environment = Environment {
    folder: "bench-python",
    variable: "GPU_HARNESS_BENCH_PYTHON",
    list: "bench/requirements.txt",
    size: "some GB",
};

/// What the rule for regressions is held against.
pub(crate) const OTAVA: Environment = Environment {
    folder: "otava-python",
    variable: "GPU_HARNESS_BENCH_OTAVA",
    list: "bench/otava-requirements.txt",
    size: "some 300 MB",
};

impl Environment {
    /// The variable that names another Python, and that tells a bench which one to use.
    pub(crate) const fn variable(&self) -> &'static str {
        self.variable
    }
}

/// The named Python, else one of its own in the cache folder.
pub(crate) fn find(cache: &Path, environment: &Environment) -> Result<PathBuf> {
    let Environment { folder, variable, list, size } = environment;
    if let Some(named) = env::var_os(variable) {
        return Ok(named.into());
    }
    let packages = cargo::root().join(list);
    let hash = Sha256::digest(
        fs::read(&packages).with_context(|| format!("failed to read {}", packages.display()))?,
    );
    let venv = cache.join(folder).join(hex::encode(&hash[..8]));
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if !complete.exists() {
        eprintln!("making {} from {list} ({size}, once; {variable} names another)", venv.display());
        cargo::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        cargo::run(install.arg(&packages))?;
        fs::write(&complete, "")?;
    }
    Ok(python)
}
