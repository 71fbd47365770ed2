//! The programs, built for use.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, setup};

/// Sets up libtorch, builds the three programs for speed, and says where they are.
pub(crate) fn run() -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Build)?;
    cargo::run(cargo::cargo(&ready.libtorch).args([
        "build",
        "--release",
        "--locked",
        "--package=gpu-agent",
        "--package=gpu-worker",
        "--package=gpu-harness",
        "--bins",
    ]))?;
    let folder = cargo::program_folder(cargo::Profile::Release)?;
    println!("gpu-harness, gpu-agent and gpu-worker are in {}", folder.display());
    Ok(ExitCode::SUCCESS)
}
