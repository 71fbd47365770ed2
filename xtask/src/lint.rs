//! What is checked about the source without running it: formatting, clippy, licences, advisories and CI files.

use std::process::{Command, ExitCode, Stdio};

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
    ci_files()?;
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

/// The CI files that `gpu-harness init` writes, and this project's own, with the schema of each.
const CI_FILES: [(&str, &str); 7] = [
    ("bitbucket-pipelines.yml", "vendor.bitbucket-pipelines"),
    (".github/workflows/ci.yml", "vendor.github-workflows"),
    (".github/workflows/gpu.yml", "vendor.github-workflows"),
    ("action.yml", "vendor.github-actions"),
    ("harness/src/init/bitbucket.yml", "vendor.bitbucket-pipelines"),
    ("harness/src/init/github.yml", "vendor.github-workflows"),
    ("harness/src/init/gitlab.yml", "vendor.gitlab-ci"),
];

fn ci_files() -> Result<()> {
    let root = cargo::root();
    if on_path("actionlint") {
        cargo::run(
            Command::new("actionlint")
                .args([
                    "harness/src/init/github.yml",
                    ".github/workflows/ci.yml",
                    ".github/workflows/gpu.yml",
                ])
                .current_dir(root),
        )?;
    }
    if on_path("check-jsonschema") {
        for (file, schema) in CI_FILES {
            // What check-jsonschema itself gives its hook for GitLab; the others do not mind the variant.
            let arguments = ["--regex-variant", "nonunicode", "--builtin-schema", schema, file];
            cargo::run(Command::new("check-jsonschema").args(arguments).current_dir(root))?;
        }
    }
    Ok(())
}

fn on_path(tool: &str) -> bool {
    let asked = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let present = asked.is_ok_and(|status| status.success());
    if !present {
        eprintln!("note: {tool} is not installed, so the CI files are not checked with it");
    }
    present
}

fn present(subcommand: &str, install: &str) -> bool {
    let present = cargo::has_subcommand(subcommand);
    if !present {
        eprintln!("note: cargo {subcommand} is not installed, so that check is left out ({install})");
    }
    present
}
