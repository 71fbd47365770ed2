//! Passes the tests: builds the programs that they start, runs the documentation's examples, then the tests.

use std::env;
use std::num::NonZero;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::setup::Ready;
use crate::{cargo, setup};

/// Tells the tests which Python starts the test EC2.
const EC2_PYTHON: &str = "GPU_HARNESS_EC2_PYTHON";
/// Tells them where actionlint, check-jsonschema and shellcheck are.
const VALIDATORS: &str = "GPU_HARNESS_VALIDATORS";
/// How many tests nextest runs at once; .config/nextest.toml says which count for more than one.
const TEST_THREADS: &str = "NEXTEST_TEST_THREADS";
/// Most tests wait, and take less than a third of a core.
const TESTS_PER_CORE: usize = 3;
/// The tests that start the test EC2, or the S3 server that comes along with it, are in one program.
const WITHOUT_EC2: &str = "not binary(ec2)";

/// Where the tests find what was set up for them, or that those of the test EC2 are left out, and how many run at once.
fn tell(command: &mut Command, ready: &Ready) {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    if env::var_os(TEST_THREADS).is_none() {
        command.env(TEST_THREADS, (cores * TESTS_PER_CORE).to_string());
    }
    command.envs(ready.validators.as_ref().map(|folder| (VALIDATORS, folder)));
    command.envs(ready.pytests.iter().map(|(variable, python)| (variable, python)));
    match &ready.ec2 {
        Some(python) => drop(command.env(EC2_PYTHON, python)),
        None => eprintln!(
            "note: the tests against the test EC2 are left out: its hosts need root, or a sudo that asks no password"
        ),
    }
}

/// Everything that is tested, as it is built.
const WORKSPACE: [&str; 2] = ["--workspace", "--all-features"];

/// Sets up what the tests need, and builds them and the programs that they start.
pub(crate) fn prepare() -> Result<Ready> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    // Tests of one package start programs of another, which cargo would not build for them. `--tests` makes this the
    // same build as the test run's, so that nothing is compiled twice.
    cargo::run(cargo::cargo(&ready.libtorch).arg("build").args(WORKSPACE).args(["--bins", "--tests"]))?;
    // A user's crate that the tests run through cargo: their time limits are not for its build.
    let fixture = ["--test", "gpu", "--no-run"];
    cargo::run(cargo::cargo(&ready.libtorch).arg("test").args(WORKSPACE).args(fixture))?;
    Ok(ready)
}

/// `cargo nextest VERB`, over the tests that `filter` names.
pub(crate) fn nextest(ready: &Ready, verb: &str, filter: &str) -> Result<Command> {
    if !cargo::has_subcommand("nextest") {
        bail!(
            "cargo-nextest is not installed, and nothing else runs tests by name; cargo install cargo-nextest --locked"
        );
    }
    let mut command = cargo::cargo(&ready.libtorch);
    command.args(["nextest", verb]).args(WORKSPACE).args(["-E", filter]);
    if setup::in_ci() {
        command.args(["--profile", "ci"]);
    }
    tell(&mut command, ready);
    Ok(command)
}

/// Sets up and passes the tests; `arguments` go to the test runner.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    // cargo takes `--workspace` for more than `--package`.
    let package = arguments.iter().any(|word| word.starts_with("-p") || word.starts_with("--package"));
    let tested = if package { &WORKSPACE[1..] } else { &WORKSPACE[..] };
    let ready = prepare()?;
    // First, so that the runner's summary is the last word; a filter given by hand is about the tests below.
    if arguments.is_empty() {
        cargo::run(cargo::cargo(&ready.libtorch).args(["test", "--doc"]).args(WORKSPACE))?;
    }
    if cargo::has_subcommand("nextest") {
        let mut command = cargo::cargo(&ready.libtorch);
        command.args(["nextest", "run"]).args(tested);
        if setup::in_ci() {
            command.args(["--profile", "ci"]);
        }
        tell(&mut command, &ready);
        // Filters are alternatives to one another: one given by hand stands alone.
        let filtered = arguments.iter().any(|word| word.starts_with("-E") || word.starts_with("--filter"));
        if ready.ec2.is_none() && !filtered {
            command.args(["-E", WITHOUT_EC2]);
        }
        cargo::run(command.args(arguments))?;
    } else {
        eprintln!(
            "note: cargo-nextest is not installed (cargo install cargo-nextest --locked): using `cargo test`"
        );
        let mut command = cargo::cargo(&ready.libtorch);
        tell(&mut command, &ready);
        command.arg("test").args(tested).args(["--lib", "--bins", "--tests"]);
        cargo::run(command.args(arguments))?;
    }
    Ok(ExitCode::SUCCESS)
}
