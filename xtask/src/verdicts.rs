//! The seeded faults of fixtures/faults against the checks that have to catch them, and the sound versions.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, setup};

/// Builds what is needed as the tests are built, since libtorch takes the time, and measures with `[SEEDS=100]`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Demo)?;
    let packages = ["gpu-agent", "gpu-harness", "gpu-faults", "gpu-harness-tests"];
    let mut build = cargo::cargo(&ready.libtorch);
    build.arg("build").args(packages.map(|package| format!("--package={package}")));
    cargo::run(build.args(["--features=gpu-faults/torch", "--bins"]))?;
    let mut command = cargo::cargo(&ready.libtorch);
    command.args(["run", "--quiet", "--package=gpu-harness-tests", "--bin=bench", "--", "verdicts"]);
    cargo::run(command.args(arguments))?;
    Ok(ExitCode::SUCCESS)
}
