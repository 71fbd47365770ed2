//! What is checked about the source without running it: formatting, the order of rooms, clippy, licences,
//! advisories and CI files.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{cargo, rooms, setup};

/// Runs every check; one whose tool comes with Rust or cargo and is not installed is left out, and said.
pub(crate) fn run() -> Result<ExitCode> {
    rooms::check()?;
    let ready = setup::ensure(setup::Needs::Lint)?;
    if present("fmt", "rustup component add rustfmt") {
        cargo::run(cargo::plain().args(["fmt", "--all", "--check"]))?;
    }
    if present("clippy", "rustup component add clippy") {
        let what = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        cargo::run(cargo::cargo(&ready.libtorch).args(what))?;
    }
    if present("deny", "cargo install cargo-deny --locked") {
        cargo::run(cargo::plain().args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
        advisories()?;
    }
    ci_files(ready.validators.as_deref().context("the set-up names no validators")?)?;
    Ok(ExitCode::SUCCESS)
}

/// The advisories lie in a repository on GitHub, which not every machine reaches: only what they say is a failure.
fn advisories() -> Result<()> {
    let output = cargo::plain().args(["deny", "--all-features", "check", "advisories"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("failed to fetch advisory database") {
        eprintln!("note: the advisories are left out: their database cannot be reached from here");
        return Ok(());
    }
    eprint!("{said}");
    anyhow::ensure!(output.status.success(), "cargo-deny found an advisory against a dependency");
    Ok(())
}

/// This project's own CI files, with the schema of each. Those that `gpu-harness init` writes are checked by its tests.
const CI_FILES: [(&str, &str); 6] = [
    ("bitbucket-pipelines.yml", "vendor.bitbucket-pipelines"),
    (".github/workflows/ci.yml", "vendor.github-workflows"),
    (".github/workflows/fuzz.yml", "vendor.github-workflows"),
    (".github/workflows/gpu.yml", "vendor.github-workflows"),
    (".github/workflows/release.yml", "vendor.github-workflows"),
    ("action.yml", "vendor.github-actions"),
];
const WORKFLOWS: [&str; 4] = [
    ".github/workflows/ci.yml",
    ".github/workflows/fuzz.yml",
    ".github/workflows/gpu.yml",
    ".github/workflows/release.yml",
];
const SCRIPTS: [&str; 3] = [".ci/run", ".ci/tile", "harness/src/cloud/arm.sh"];

fn ci_files(validators: &Path) -> Result<()> {
    let validator = |name: &str| {
        let mut command = Command::new(validators.join(name));
        command.current_dir(cargo::root());
        command
    };
    let shellcheck = validators.join("shellcheck");
    cargo::run(validator("actionlint").arg("-shellcheck").arg(&shellcheck).args(WORKFLOWS))?;
    cargo::run(validator("shellcheck").args(SCRIPTS))?;
    for (file, schema) in CI_FILES {
        cargo::run(validator("check-jsonschema").args(["--builtin-schema", schema, file]))?;
    }
    Ok(())
}

fn present(subcommand: &str, install: &str) -> bool {
    let present = cargo::has_subcommand(subcommand);
    if !present {
        eprintln!("note: cargo {subcommand} is not installed, so that check is left out ({install})");
    }
    present
}
