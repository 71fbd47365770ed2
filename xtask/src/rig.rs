//! Starts the measurements of tests/, built for speed, beside the programs that they start; hardships, and measurements that
//! need gpu-worker or time nothing, as everything is built for tests.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{cargo, setup};

/// Builds everything in the release profile and measures `name`.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
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
    command.args(["run", "--release", "--quiet", "--package=gpu-harness-tests", "--bin=bench", "--", name]);
    cargo::run(command.args(arguments))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `PROGRAM NAME ARGUMENTS` that needs gpu-worker or times nothing, with `more` in its environment and all programs as
/// they are built for tests: another choice of packages would have other features, and build the AWS clients anew.
pub(crate) fn run_as_tested(
    program: &str,
    name: &str,
    arguments: &[String],
    more: &[(&str, &Path)],
) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    cargo::run(cargo::cargo(&ready.libtorch).args(["build", "--workspace", "--all-features", "--bins"]))?;
    let mut command = Command::new(cargo::program_folder(cargo::Profile::Dev)?.join(program));
    command.arg(name).args(arguments).envs(cargo::torch_environment(&ready.libtorch));
    cargo::run(command.envs(more.iter().copied()))?;
    Ok(ExitCode::SUCCESS)
}
