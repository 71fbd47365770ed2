//! `gpu-harness cargo …`: cargo, with a node that is held for it and a runner that uses it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::variables::NAMED;
use crate::holder::command::{self, CommandError};

/// The verb of this program that cargo is told to call.
pub const RUNNER: &str = "target-runner";

/// Why cargo was not started.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// It is not known for which machine cargo builds.
    #[error("failed to ask rustc for this machine's target (`rustc -vV`)")]
    Rustc(#[source] io::Error),
    /// This program's own path is not known.
    #[error("failed to find the path of gpu-harness itself")]
    Own(#[source] io::Error),
    /// Cargo was not run.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Runs cargo with these arguments, its test binaries on the node; gives cargo's exit status.
pub async fn run(
    node: Option<String>,
    arguments: Vec<OsString>,
    env: &[String],
    project: PathBuf,
) -> Result<ExitCode, CargoError> {
    let own = std::env::current_exe().map_err(CargoError::Own)?;
    let target = host().map_err(CargoError::Rustc)?;
    let variables = vec![
        (variable(&target), format!("{} {RUNNER}", own.display()).into()),
        (NAMED.to_owned(), OsString::from(env.join(","))),
    ];
    let command = std::iter::once("cargo".into()).chain(arguments).collect();
    Ok(command::run(node, command, project, variables).await?)
}

/// What cargo reads a target's runner from.
fn variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace(['-', '.'], "_"))
}

/// The target that cargo builds for where nothing else is said.
fn host() -> io::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8_lossy(&said.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| io::Error::other("it names no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_cargos() {
        assert_eq!(variable("x86_64-unknown-linux-gnu"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
        assert!(host().unwrap().contains('-'));
    }
}
