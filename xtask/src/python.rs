//! Pythons with what a bench holds ours against, each an environment of its own in the cache folder, made once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cargo;

/// An environment.
pub(crate) struct Environment {
    /// Its folder in the cache.
    folder: &'static str,
    /// Names another Python that has the packages.
    variable: &'static str,
    packages: &'static [&'static str],
    /// What it takes.
    size: &'static str,
}

/// What gpu-worker is held against.
pub(crate) const TORCH: Environment = Environment {
    folder: "bench-venv",
    variable: "GPU_HARNESS_BENCH_PYTHON",
    packages: &["torch==2.11.0", "numpy", "pillow"],
    size: "some GB",
};

/// What the rule for regressions is held against.
pub(crate) const OTAVA: Environment = Environment {
    folder: "otava-venv-0.8.0",
    variable: "GPU_HARNESS_BENCH_OTAVA",
    packages: &["apache-otava==0.8.0"],
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
    let Environment { folder, variable, packages, size } = environment;
    if let Some(named) = env::var_os(variable) {
        return Ok(named.into());
    }
    let venv = cache.join(folder);
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if !complete.exists() {
        eprintln!(
            "making {} with {} ({size}, once; {variable} names another)",
            venv.display(),
            packages.join(", ")
        );
        cargo::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        cargo::run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(*packages))?;
        fs::write(&complete, "")?;
    }
    Ok(python)
}
