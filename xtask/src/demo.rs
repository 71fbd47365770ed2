//! The main job: a real aerial image overfitted on this machine, watched live, reported as JUnit.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{cargo, setup};

/// Sets up, builds, and becomes `gpu-harness run`: its exit code is the demo's.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Demo)?;
    // The tests' profile: what one of the two has built, the other need not. The time goes into libtorch anyway.
    cargo::run(cargo::cargo(&ready.libtorch).args([
        "build",
        "--package=gpu-agent",
        "--package=gpu-worker",
        "--package=gpu-harness",
        "--bins",
    ]))?;
    let error = Command::new(cargo::program_folder(cargo::Profile::Dev)?.join("gpu-harness"))
        .args(["run", "suites/overfit-one-image.yaml"])
        .args(arguments)
        .current_dir(cargo::root())
        .envs(cargo::torch_environment(&ready.libtorch))
        .exec();
    Err(error).context("failed to start gpu-harness")
}
