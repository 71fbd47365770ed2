//! Starts the measurements and hardships of tests/, built for speed, beside the programs that
//! they start; those that need gpu-worker, as everything is built for tests.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, setup};

/// Builds everything in the release profile and runs `PROGRAM NAME ARGUMENTS` of the package gpu-harness-tests.
pub(crate) fn run(program: &str, name: &str, arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    let mut build = cargo::cargo(&ready.libtorch);
    build.args([
        "build",
        "--release",
        "--package=gpu-agent",
        "--package=gpu-harness",
        "--package=gpu-harness-tests",
    ]);
    cargo::run(build.arg("--bins"))?;
    let mut command = cargo::cargo(&ready.libtorch);
    command.args([
        "run",
        "--release",
        "--quiet",
        "--package=gpu-harness-tests",
        "--bin",
        program,
        "--",
        name,
    ]);
    cargo::run(command.args(arguments))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `PROGRAM NAME ARGUMENTS` that needs gpu-worker and times nothing, with all programs as they are built for tests.
pub(crate) fn run_with_worker(program: &str, name: &str, arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    cargo::run(cargo::cargo(&ready.libtorch).args(["build", "--workspace", "--all-features", "--bins"]))?;
    let mut command = std::process::Command::new(cargo::program_folder()?.join(program));
    command.arg(name).args(arguments).envs(cargo::torch_environment(&ready.libtorch));
    cargo::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `PROGRAM NAME ARGUMENTS` where it starts no program of ours and times nothing: as it is built for tests, with a Python
/// that it finds by this variable.
pub(crate) fn run_alone(
    program: &str,
    name: &str,
    arguments: &[String],
    (variable, python): (&str, &Path),
) -> Result<ExitCode> {
    let mut command = cargo::plain();
    command.env(variable, python);
    command.args(["run", "--quiet", "--package=gpu-harness-tests", "--bin", program, "--", name]);
    cargo::run(command.args(arguments))?;
    Ok(ExitCode::SUCCESS)
}
