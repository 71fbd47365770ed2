//! `gpu-harness cargo …`: cargo, with a node that is held for it and a runner that uses it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gpu_suites::exit::Exit;
use tempfile::TempDir;

use super::config::{Config, short_name, verb};
use super::variables::NAMED;
use crate::here::{Env, Here};
use crate::holder::command::{self, CommandError, Done};
use crate::text::Explain;
use crate::text::clean::one_line;

/// The verb of this program that cargo is told to call.
pub const RUNNER: &str = "target-runner";
/// Set where cargo runs a program: `--list` is then an argument like any other.
pub(super) const PROGRAM: &str = "GPU_HARNESS_CARGO_PROGRAM";

#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// It is not known for which machine cargo builds.
    #[error("failed to ask rustc for this machine's target (`rustc -vV`)")]
    Rustc(#[source] io::Error),
    #[error("failed to find the path of gpu-harness itself")]
    Own(#[source] io::Error),
    /// There is no place for a name of this program that cargo can be told.
    #[error("failed to make a link to gpu-harness: its own path has a blank, at which cargo would cut it")]
    Link(#[source] io::Error),
    #[error("--config {runner} would run the tests on this machine; leave it out")]
    Runner {
        /// It, as it was said.
        runner: String,
    },
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Explain for CargoError {
    fn exit(&self) -> Exit {
        match self {
            Self::Command(error) => error.exit(),
            _ => Exit::Usage,
        }
    }
}

/// Runs cargo with these arguments, its test binaries on the node; gives cargo's exit status.
pub async fn run(
    node: Option<String>,
    arguments: Vec<OsString>,
    env: &[String],
    here: &Here,
) -> Result<ExitCode, CargoError> {
    let own = std::env::current_exe().map_err(CargoError::Own)?;
    let config = Config::read(&here.folder, home(&here.env).as_deref(), &arguments);
    if let Some(runner) = config.final_runners.first() {
        return Err(CargoError::Runner { runner: one_line(runner, 200) });
    }
    for runner in &config.runners {
        here.console.tell(&format!(
            "gpu-harness: not used, since the tests run on the node: {}",
            one_line(runner, 200)
        ));
    }
    let (name, _link) = name(own).map_err(CargoError::Link)?;
    let runner = OsString::from_iter([name.as_os_str(), OsStr::new(" "), OsStr::new(RUNNER)]);
    let targets = targets(&arguments, &config, &here.env).map_err(CargoError::Rustc)?;
    let mut variables = Vec::from_iter(targets.iter().map(|target| (variable(target), runner.clone())));
    let named = Vec::from_iter(env.iter().map(String::as_str).chain(config.env.iter().map(String::as_str)));
    variables.push((NAMED.to_owned(), OsString::from(named.join(","))));
    let kind = Kind::of(&arguments);
    if kind == Kind::Program {
        variables.push((PROGRAM.to_owned(), OsString::from("1")));
    }
    let command = std::iter::once("cargo".into()).chain(arguments).collect();
    let Done { code, has_run } = command::run(node, command, here, variables).await?;
    if code == ExitCode::SUCCESS && kind.runs() && !has_run {
        here.console.tell("gpu-harness: nothing was run on the node: cargo had nothing for it");
    }
    Ok(code)
}

/// What a command of cargo's is to do with what it builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It runs tests or benches.
    Tests,
    /// It runs a program, whose arguments are its own.
    Program,
    /// It runs nothing, or nobody knows.
    Other,
}

impl Kind {
    fn of(arguments: &[OsString]) -> Self {
        let is_no_run = |word: &OsString| {
            ["--no-run", "--help", "-h", "--list", "--build-plan"].iter().any(|flag| word == flag)
        };
        match verb(arguments) {
            (Some("run" | "r"), _) => Self::Program,
            _ if arguments.iter().any(is_no_run) => Self::Other,
            (Some("test" | "t" | "bench"), _) | (Some("nextest"), Some("run" | "r" | "bench")) => Self::Tests,
            _ => Self::Other,
        }
    }

    fn runs(self) -> bool {
        self != Self::Other
    }
}

/// A name of this program without a blank: cargo cuts a runner that it has from the environment at each. It goes with what is
/// behind it.
fn name(own: PathBuf) -> io::Result<(PathBuf, Option<TempDir>)> {
    let has_blank = |path: &Path| path.to_string_lossy().contains(char::is_whitespace);
    if !has_blank(&own) {
        return Ok((own, None));
    }
    let place =
        Some(std::env::temp_dir()).filter(|folder| !has_blank(folder)).unwrap_or_else(|| "/tmp".into());
    let folder = tempfile::Builder::new().prefix("gpu-harness-").tempdir_in(place)?;
    let link = folder.path().join("gpu-harness");
    std::os::unix::fs::symlink(own, &link)?;
    Ok((link, Some(folder)))
}

/// Everything that cargo may build for: what is said anywhere, this machine's own, and all that is installed here, since an
/// alias or a script may name it.
fn targets(arguments: &[OsString], config: &Config, env: &Env) -> io::Result<BTreeSet<String>> {
    let toolchain = arguments.first().filter(|word| word.as_encoded_bytes().starts_with(b"+"));
    let host = host(toolchain, env)?;
    let mut targets = BTreeSet::from([host]);
    targets.extend(config.targets.iter().map(|target| short_name(target)));
    let named = env.get("CARGO_BUILD_TARGET");
    targets.extend(named.as_deref().map(short_name));
    if let Ok(sysroot) = rustc(toolchain, &["--print", "sysroot"], env) {
        let installed = Path::new(sysroot.trim_end()).join("lib/rustlib");
        let entries = std::fs::read_dir(installed).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.path().join("lib").is_dir());
        targets.extend(named.filter_map(|entry| entry.file_name().into_string().ok()));
    }
    Ok(targets)
}

fn home(env: &Env) -> Option<PathBuf> {
    let set = env.get("CARGO_HOME").map(PathBuf::from);
    set.or_else(|| env.home().map(|home| home.join(".cargo")))
}

/// What cargo reads a target's runner from.
fn variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace(['-', '.'], "_"))
}

/// The target that cargo builds for where nothing else is said.
fn host(toolchain: Option<&OsString>, env: &Env) -> io::Result<String> {
    let said = rustc(toolchain, &["-vV"], env)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| io::Error::other("it names no host"))
}

/// What rustc says; `+NAME` chooses a toolchain, as it does for cargo.
fn rustc(toolchain: Option<&OsString>, arguments: &[&str], env: &Env) -> io::Result<String> {
    let program = env.get("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    let said = Command::new(program).args(toolchain).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_cargos() {
        assert_eq!(variable("x86_64-unknown-linux-gnu"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
        let env = Env::of_process();
        assert!(host(None, &env).unwrap().contains('-'));
    }

    #[test]
    fn every_target_that_is_named_or_installed_gets_the_runner() {
        let config = Config { targets: ["spec/own.json".to_owned()].into(), ..Config::default() };
        let targets = targets(&[], &config, &Env::of_process()).unwrap();
        assert!(
            targets.contains("own") && targets.contains(&host(None, &Env::of_process()).unwrap()),
            "{targets:?}"
        );
    }

    #[test]
    fn a_name_that_cargo_is_told_has_no_blank() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("my tools/gpu-harness");
        let (name, link) = name(own.clone()).unwrap();
        assert!(!name.to_string_lossy().contains(' '), "{}", name.display());
        assert_eq!(std::fs::read_link(&name).unwrap(), own);
        drop(link);
        assert!(std::fs::symlink_metadata(&name).is_err(), "it goes with cargo");
    }

    #[test]
    fn what_cargo_is_to_do_is_known() {
        let kind = |line: &str| Kind::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(kind("+nightly test -p x"), Kind::Tests);
        assert_eq!(kind("nextest run"), Kind::Tests);
        assert_eq!(kind("run -- --list"), Kind::Program);
        for other in ["nextest list", "test --no-run", "test -- --list", "build", "clippy"] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }
}
