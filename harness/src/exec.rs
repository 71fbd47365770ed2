//! Any command on a node, as if it ran here: the working tree goes there, its output, its exit status and the files that
//! were named come back.

use std::path::Path;
use std::process::ExitCode;

use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, Command, InputPath};
use gpu_suites::unit::Span;

use crate::plan::{Options, Prepared};
use crate::report::case::Exited;
use crate::report::{RunState, files};
use crate::tree::{Tree, TreeError};

/// The suite that a command is a case of.
const SUITE: &str = "exec";
/// The longest name of a case that is made of a program's.
const NAME: usize = 64;
/// gpu-harness itself could not do its part, as with `docker run`; and a limit was reached, as with `timeout`.
pub(crate) const INFRASTRUCTURE: u8 = 125;
const LIMIT: u8 = 124;

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether the working tree goes along.
    pub sync: bool,
    /// Files and folders to bring back.
    pub bring: Vec<String>,
    /// JUnit reports to bring back and to merge into ours.
    pub junit: Vec<String>,
    /// Environment variables: `NAME`, with the value that it has here, or `NAME=VALUE`.
    pub env: Vec<String>,
    /// How long it may take.
    pub timeout: Option<Span>,
}

/// Why a command cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The working tree cannot be sent.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path does not lie below the working folder.
    #[error("{flag} {path}: name a file or folder below the working folder, without `..`")]
    Path {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        path: String,
    },
    /// A variable has no value here.
    #[error("--env {name}: it is not set here; set it, or write --env {name}=VALUE")]
    Unset {
        /// The variable.
        name: String,
    },
    /// A variable cannot be one.
    #[error("--env {name}: no environment variable has such a name")]
    Name {
        /// The variable.
        name: String,
    },
}

/// A command that is ready to be sent.
#[derive(Debug)]
pub struct Ready {
    /// What is said of it before.
    pub notes: Vec<String>,
    case: Case,
    id: CaseId,
    files: Tree,
}

impl Ready {
    /// Reads what the command needs.
    pub fn read(wanted: &Wanted, cwd: &Path) -> Result<Self, ExecError> {
        let files = if wanted.sync { Tree::read(cwd)? } else { Tree::default() };
        let paths = |flag, paths: &[String]| {
            let checked = |path: &String| {
                let input = InputPath(path.trim_end_matches('/').to_owned());
                let is_below = input.in_cache().is_none() && input.on_node().is_some();
                if is_below { Ok(input) } else { Err(ExecError::Path { flag, path: path.clone() }) }
            };
            paths.iter().map(checked).collect::<Result<Vec<_>, _>>()
        };
        let command = Command {
            run: wanted.command.clone(),
            files: files.files.keys().cloned().collect(),
            bring: paths("--bring", &wanted.bring)?,
            junit: paths("--junit", &wanted.junit)?,
            env: wanted.env.iter().map(|variable| value(variable)).collect::<Result<_, _>>()?,
        };
        let name = name_of(wanted.command.first().map_or("", String::as_str));
        let mut case = Case::command(name, command);
        // A limit of its own beside the run's: whichever comes first tells what it was.
        if let Some(timeout) = wanted.timeout {
            case.timeout = timeout;
        }
        let notes = files.left_out.iter().map(|why| format!("not sent: {why}")).collect();
        Ok(Self { notes, id: CaseId::new(SUITE, &case.name), case, files })
    }

    /// The plan for a node.
    pub fn prepare(self, run: RunId, options: &Options) -> Prepared {
        Prepared::program(self.id, self.case, self.files.files, run, options)
    }
}

pub(crate) fn value(variable: &str) -> Result<(String, String), ExecError> {
    let (name, value) = if let Some((name, value)) = variable.split_once('=') {
        (name, value.to_owned())
    } else {
        (variable, std::env::var(variable).map_err(|_| ExecError::Unset { name: variable.to_owned() })?)
    };
    if name.is_empty() || name.contains('\0') || name.starts_with("GPU_HARNESS_") {
        return Err(ExecError::Name { name: name.to_owned() });
    }
    Ok((name.to_owned(), value))
}

/// A case's name of a program's.
pub(crate) fn name_of(program: &str) -> String {
    let file =
        Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |char: char| if char.is_ascii_alphanumeric() || "_.-".contains(char) { char } else { '_' };
    let name: String = file.trim_start_matches(['.', '-']).chars().map(plain).take(NAME).collect();
    if name.is_empty() { "command".to_owned() } else { name }
}

/// How this process is to end: as the command did.
pub fn exit_code(state: &RunState) -> ExitCode {
    let Some(case) = state.cases().first() else { return ExitCode::from(INFRASTRUCTURE) };
    let outcome = state.ending(case).outcome;
    match (outcome, case.exit) {
        // It ended by itself, whatever that means.
        (Outcome::Passed | Outcome::Failed, Some(Exited::Code(code))) => {
            ExitCode::from(code.to_le_bytes()[0])
        }
        (Outcome::Passed | Outcome::Failed | Outcome::Errored, Some(Exited::Signal(signal))) => {
            ExitCode::from(128_u8.wrapping_add(signal.to_le_bytes()[0]))
        }
        (Outcome::TimedOut, _) => ExitCode::from(LIMIT),
        (Outcome::Cancelled, _) => Exit::Interrupted.into(),
        _ => ExitCode::from(INFRASTRUCTURE),
    }
}

/// Puts what was brought back where it would have been written here. Says what could not be, in a sentence each.
pub fn put_back(state: &RunState, run_dir: &Path, wanted: &Wanted, cwd: &Path) -> Vec<String> {
    let Some(case) = state.cases().first() else { return Vec::new() };
    let mut told = Vec::new();
    for name in
        wanted.bring.iter().chain(&wanted.junit).map(|path| InputPath(path.trim_end_matches('/').to_owned()))
    {
        let Some(path) = name.on_node() else { continue };
        let Some(from) = path.to_str().and_then(|path| files::artifact(run_dir, case.id(), path)) else {
            continue;
        };
        if let Err(error) = put_all(&from, cwd, &path) {
            told.push(format!("{name} could not be put into the working folder: {error}"));
        }
    }
    told
}

/// A file, or a folder with all that is in it; what was not brought is told by the node's own warning.
fn put_all(from: &Path, folder: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(from) {
        Ok(data) if data.is_dir() => {
            for entry in std::fs::read_dir(from)? {
                let name = entry?.file_name();
                put_all(&from.join(&name), folder, &path.join(&name))?;
            }
            Ok(())
        }
        Ok(data) if data.is_file() => put(from, folder, path),
        _ => Ok(()),
    }
}

/// Copies a file below a folder; no link on the way may lead out of it.
fn put(from: &Path, folder: &Path, path: &Path) -> std::io::Result<()> {
    let to = folder.join(path);
    let parent = to.parent().unwrap_or(folder);
    let there = parent.ancestors().find(|above| above.exists()).unwrap_or(folder);
    if !there.canonicalize()?.starts_with(folder.canonicalize()?) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "a link on the way leads elsewhere",
        ));
    }
    std::fs::create_dir_all(parent)?;
    // A link in its place is replaced, not followed.
    crate::report::write_atomic(&to, &std::fs::read(from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_name_that_a_case_can_have() {
        for (program, name) in [
            ("pytest", "pytest"),
            ("./run tests.sh", "run_tests.sh"),
            ("/usr/bin/python3.11", "python3.11"),
            ("", "command"),
            ("..", "command"),
        ] {
            assert_eq!(name_of(program), name, "{program}");
        }
    }

    #[test]
    fn what_leads_out_of_the_working_folder_is_refused_before_anything_is_had() {
        let read = |bring: &str, env: &str| {
            let wanted = Wanted {
                command: vec!["x".into()],
                bring: vec![bring.into()],
                env: vec![env.into()],
                ..Wanted::default()
            };
            Ready::read(&wanted, Path::new("/")).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read("out/", "A=b"), Ok(()));
        assert!(read("../x", "A=b").unwrap_err().contains("without `..`"));
        assert!(read("/etc/x", "A=b").unwrap_err().contains("--bring /etc/x"));
        assert!(read("out", "SURELY_NOT_SET_HERE").unwrap_err().contains("is not set here"));
        assert!(read("out", "GPU_HARNESS_SEED=1").unwrap_err().contains("no environment variable"));
        assert!(read("out", "=1").unwrap_err().contains("no environment variable"));
    }

    #[test]
    fn nothing_is_put_through_a_link_that_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let (cwd, other) = (folder.path().join("cwd"), folder.path().join("other"));
        std::fs::create_dir_all(&cwd).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::os::unix::fs::symlink(&other, cwd.join("out")).unwrap();
        let from = folder.path().join("a");
        assert!(put(&from, &cwd, Path::new("out/a")).is_err());
        put(&from, &cwd, Path::new("deep/er/a")).unwrap();
        assert_eq!(std::fs::read_to_string(cwd.join("deep/er/a")).unwrap(), "a");
        assert_eq!(std::fs::read_dir(other).unwrap().count(), 0);
    }
}
