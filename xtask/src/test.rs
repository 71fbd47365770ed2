//! Passes the tests: builds the programs that they start, runs the documentation's examples, then the tests.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, setup};

/// Sets up and passes the tests; `arguments` go to the test runner.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    let workspace = ["--workspace", "--all-features"];
    // cargo takes `--workspace` for more than `--package`.
    let package = arguments.iter().any(|word| word.starts_with("-p") || word.starts_with("--package"));
    let tested = if package { &workspace[1..] } else { &workspace[..] };
    // Tests of one package start programs of another, which cargo would not build for them. `--tests` makes this the
    // same build as the test run's, so that nothing is compiled twice.
    cargo::run(cargo::cargo(&ready.libtorch).arg("build").args(workspace).args(["--bins", "--tests"]))?;
    // First, so that the runner's summary is the last word; a filter given by hand is about the tests below.
    if arguments.is_empty() {
        cargo::run(cargo::cargo(&ready.libtorch).args(["test", "--doc"]).args(workspace))?;
    }
    if cargo::has_subcommand("nextest") {
        let mut command = cargo::cargo(&ready.libtorch);
        command.args(["nextest", "run"]).args(tested);
        if setup::in_ci() {
            command.args(["--profile", "ci"]);
        }
        cargo::run(command.args(arguments))?;
    } else {
        eprintln!(
            "note: cargo-nextest is not installed (cargo install cargo-nextest --locked): using `cargo test`"
        );
        let targets = ["--lib", "--bins", "--tests"];
        cargo::run(cargo::cargo(&ready.libtorch).arg("test").args(tested).args(targets).args(arguments))?;
    }
    Ok(ExitCode::SUCCESS)
}
