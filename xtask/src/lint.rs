//! What is checked about the source without running it: formatting, clippy, licences and advisories.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, setup};

/// Runs every check whose tool is installed, and says which one is not.
pub(crate) fn run() -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Build)?;
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

fn present(subcommand: &str, install: &str) -> bool {
    let present = cargo::has_subcommand(subcommand);
    if !present {
        eprintln!("note: cargo {subcommand} is not installed, so that check is left out ({install})");
    }
    present
}
