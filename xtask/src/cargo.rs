//! Runs cargo again, with libtorch where its build and its programs look for it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The workspace's root: the folder above this package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace's folder")
}

/// A cargo command in the workspace's root that builds and runs against `libtorch`.
pub(crate) fn cargo(libtorch: &Path) -> Command {
    let mut command = plain();
    command.envs(torch_environment(libtorch));
    // Each of these would win over LIBTORCH.
    for name in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB", "LIBTORCH_STATIC"] {
        command.env_remove(name);
    }
    command
}

/// A cargo command in the workspace's root, for what needs no libtorch.
pub(crate) fn plain() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo run` describes this package in the environment; build scripts that watch these variables (ring's does)
    // would be run again and again.
    for (name, _) in env::vars_os() {
        let told_by_cargo = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|p| name.starts_with(p))
                || ["CARGO_PRIMARY_PACKAGE", "CARGO", "OUT_DIR"].contains(&name)
        });
        if told_by_cargo {
            command.env_remove(name);
        }
    }
    command
}

/// What a program that links libtorch needs to start, and torch-sys to build.
pub(crate) fn torch_environment(libtorch: &Path) -> [(&'static str, OsString); 2] {
    let mut folders = vec![libtorch.join("lib")];
    folders.extend(env::split_paths(&env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
    let joined = env::join_paths(folders).unwrap_or_else(|_| libtorch.join("lib").into());
    [("LIBTORCH", libtorch.into()), ("LD_LIBRARY_PATH", joined)]
}

/// Runs `command` with the terminal inherited; anything but success is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("failed to start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Whether `cargo NAME` is there.
pub(crate) fn has_subcommand(name: &str) -> bool {
    plain().args([name, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// How programs are built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// As the tests and the demo have them.
    Dev,
    Release,
}

/// The folder that programs are built into.
pub(crate) fn program_folder(profile: Profile) -> Result<PathBuf> {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    Ok(target_folder()?.join(folder))
}

/// The folder of all that cargo builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let target =
        metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    Ok(target.into())
}

/// What `cargo metadata` says of the workspace's own packages.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    metadata_by(|command| {
        command.args(["--offline", "--no-deps"]);
    })
}

/// What `cargo metadata` says once it is `prepared`: what is resolved may depend on its environment.
pub(crate) fn metadata_by(prepare: impl FnOnce(&mut Command)) -> Result<serde_json::Value> {
    let mut command = plain();
    command.args(["metadata", "--format-version=1"]);
    prepare(&mut command);
    let output = command.output().context("failed to start `cargo metadata`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cargo metadata` failed: {}", said.trim());
    serde_json::from_slice(&output.stdout).context("failed to read the answer of `cargo metadata`")
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| Path::new(word).display().to_string()).collect::<Vec<_>>().join(" ")
}
