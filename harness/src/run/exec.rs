//! Any command on a node, as if it ran here: the working tree goes there, its output, its exit status and the files that
//! were named come back.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::link::leads_to;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, Command, InputPath};
use gpu_suites::unit::{ByteSize, Span};

use crate::files::content::Blob;
use crate::files::results;
use crate::files::tree::{Tree, TreeError};
use crate::here::{Env, Here};
use crate::plan::{Options, Prepared};
use crate::report::RunState;
use crate::report::case::Exited;
use crate::text::Explain;

/// The suite that a command is a case of.
const SUITE: &str = "exec";
/// The longest name of a case that is made of a program's.
const NAME: usize = 64;
/// gpu-harness itself could not do its part, as with `docker run`; and a limit was reached, as with `timeout`.
pub const INFRASTRUCTURE: u8 = 125;
const LIMIT: u8 = 124;
/// What a shell says of a program that cannot be started, and of one that is not found.
const NOT_STARTED: std::ops::RangeInclusive<i32> = 126..=127;
const SIGPIPE: u8 = 128 + 13;
/// All that a command prints is passed on; beyond, somebody has mistaken it for a way to bring files.
const MOST_OUTPUT: ByteSize = ByteSize(1 << 30);

#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub command: Vec<String>,
    pub sync: bool,
    /// Files of elsewhere that go along: `FILE=PATH`, to PATH in the command's working folder.
    pub send: Vec<String>,
    pub bring: Vec<String>,
    /// JUnit reports to bring back and to merge into ours.
    pub junit: Vec<String>,
    /// Environment variables: `NAME`, with the value that it has here, or `NAME=VALUE`.
    pub env: Vec<String>,
    pub timeout: Option<Span>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path does not lie below the working folder.
    #[error("{flag} {path}: name a file or folder below the working folder, without `..`")]
    Path { flag: &'static str, path: String },
    #[error("--send {wanted}: write FILE=PATH, where PATH lies below the working folder, without `..`")]
    Send { wanted: String },
    #[error("failed to read {}, which --send names", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--env {name}: it is not set here; set it, or write --env {name}=VALUE")]
    Unset { name: String },
    #[error("--env {name}: no environment variable has such a name")]
    Name { name: String },
}

impl Explain for ExecError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

#[derive(Debug)]
pub struct Ready {
    /// What is said of it before.
    pub notes: Vec<String>,
    case: Case,
    id: CaseId,
    files: Tree,
}

impl Ready {
    /// Reads what the command needs; nothing that lies in `ours` goes along.
    pub fn read(wanted: &ExecOptions, here: &Here, ours: &[PathBuf]) -> Result<Self, ExecError> {
        let mut files = if wanted.sync { Tree::read(&here.folder, ours)? } else { Tree::default() };
        for wanted in &wanted.send {
            let (name, path) = sent(wanted, &here.folder)?;
            let blob = Blob::read(&path).map_err(|source| ExecError::Read { path, source })?;
            files.links.remove(&name);
            files.files.insert(name, blob);
        }
        let paths = |flag, paths: &[String]| {
            let checked = |path: &String| {
                let input = InputPath(path.trim_end_matches('/').to_owned());
                if is_below(&input) { Ok(input) } else { Err(ExecError::Path { flag, path: path.clone() }) }
            };
            paths.iter().map(checked).collect::<Result<Vec<_>, _>>()
        };
        let command = Command {
            run: wanted.command.clone(),
            files: files.files.keys().cloned().collect(),
            bring: paths("--bring", &wanted.bring)?,
            junit: paths("--junit", &wanted.junit)?,
            env: wanted.env.iter().map(|variable| value(variable, &here.env)).collect::<Result<_, _>>()?,
        };
        let name = name_of(wanted.command.first().map_or("", String::as_str));
        let mut case = Case::new(name, command);
        // A limit of its own beside the run's: whichever comes first tells what it was.
        if let Some(timeout) = wanted.timeout {
            case.timeout = timeout;
        }
        case.limits.log = MOST_OUTPUT;
        let notes = files.left_out.iter().map(|why| format!("not sent: {why}")).collect();
        Ok(Self { notes, id: CaseId::new(SUITE, &case.name), case, files })
    }

    pub fn prepare(self, run: RunId, options: &Options) -> Prepared {
        Prepared::program(self.id, self.case, self.files.files, self.files.links, run, options)
    }
}

/// Whether a path lies below the working folder.
fn is_below(path: &InputPath) -> bool {
    path.in_cache().is_none() && path.on_node().is_some()
}

/// What `FILE=PATH` names: PATH, and where FILE lies. PATH is ours to choose, FILE may have a `=` in it.
fn sent(wanted: &str, folder: &Path) -> Result<(InputPath, PathBuf), ExecError> {
    let (file, path) =
        wanted.rsplit_once('=').ok_or_else(|| ExecError::Send { wanted: wanted.to_owned() })?;
    let name = InputPath(path.to_owned());
    if is_below(&name) {
        Ok((name, folder.join(file)))
    } else {
        Err(ExecError::Send { wanted: wanted.to_owned() })
    }
}

pub(crate) fn value(variable: &str, env: &Env) -> Result<(String, String), ExecError> {
    let (name, value) = if let Some((name, value)) = variable.split_once('=') {
        (name, value.to_owned())
    } else {
        (variable, env.get(variable).ok_or_else(|| ExecError::Unset { name: variable.to_owned() })?)
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

/// How this process is to end: as the command did, in a shell's words.
pub fn exit_status(state: &RunState) -> u8 {
    let Some(case) = state.cases().first() else { return INFRASTRUCTURE };
    if state.interrupted.as_deref() == Some(crate::text::streams::UNHEARD) {
        return SIGPIPE;
    }
    let outcome = state.ending(case).outcome;
    match (outcome, case.exit) {
        // Its report does not say that all is well, as it does itself.
        (Outcome::Failed, Some(Exited::Code(0))) if state.tests_failed.contains_key(case.id()) => {
            Exit::CheckFailed.code()
        }
        // What should have come back did not, its output or a file.
        (Outcome::Failed, Some(Exited::Code(0))) => INFRASTRUCTURE,
        (Outcome::Passed, Some(Exited::Code(0))) if case.log_dropped > 0 => INFRASTRUCTURE,
        // It ended by itself, whatever that means.
        (Outcome::Passed | Outcome::Failed, Some(Exited::Code(code))) => code.to_le_bytes()[0],
        (Outcome::Errored, Some(Exited::Code(code))) if NOT_STARTED.contains(&code) => code.to_le_bytes()[0],
        (Outcome::Passed | Outcome::Failed | Outcome::Errored, Some(Exited::Signal(signal))) => {
            128_u8.wrapping_add(signal.to_le_bytes()[0])
        }
        (Outcome::TimedOut, _) => LIMIT,
        (Outcome::Cancelled, _) => Exit::Interrupted.code(),
        _ => INFRASTRUCTURE,
    }
}

/// Puts what was brought back where it would have been written here: files with their mode, links that stay below the working
/// folder, empty folders. Says what could not be, in a sentence each.
pub fn put_back(state: &RunState, run_dir: &Path, wanted: &ExecOptions, cwd: &Path) -> Vec<String> {
    let Some(from) = state.cases().first().and_then(|case| results::case_folder(run_dir, case.id())) else {
        return Vec::new();
    };
    let from = from.join("artifacts");
    let named = wanted.bring.iter().chain(&wanted.junit);
    let named = Vec::from_iter(named.map(|path| InputPath(path.trim_end_matches('/').to_owned())));
    let mut told = BTreeMap::new();
    let is_wanted = |path: &Path| path.ancestors().any(|path| named.iter().any(|name| name.matches(path)));
    put_all(&from, Path::new(""), cwd, &is_wanted, &mut told);
    let said = |(path, error): (PathBuf, std::io::Error)| {
        format!("{} could not be put into the working folder: {error}", path.display())
    };
    told.into_iter().map(said).collect()
}

/// A folder with all that is wanted of it; what was not brought is told by the node's own warning.
fn put_all(
    from: &Path,
    path: &Path,
    cwd: &Path,
    is_wanted: &impl Fn(&Path) -> bool,
    told: &mut BTreeMap<PathBuf, std::io::Error>,
) {
    let at = from.join(path);
    let done = match std::fs::symlink_metadata(&at) {
        Ok(data) if data.is_dir() => {
            let names = std::fs::read_dir(&at).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let names = Vec::from_iter(names);
            for name in &names {
                put_all(from, &path.join(name), cwd, is_wanted, told);
            }
            let is_all = names.is_empty() && is_wanted(path);
            if is_all { place(cwd, path).and_then(std::fs::create_dir_all) } else { Ok(()) }
        }
        Ok(_) if !is_wanted(path) => Ok(()),
        Ok(data) if data.is_file() => put(&at, cwd, path),
        Ok(data) if data.is_symlink() => {
            std::fs::read_link(&at).and_then(|target| put_link(&target, cwd, path))
        }
        _ => Ok(()),
    };
    if let Err(error) = done {
        told.insert(path.to_owned(), error);
    }
}

/// Where a path lies below a folder; no link on the way may lead out of it.
fn place(folder: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let to = folder.join(path);
    let parent = to.parent().unwrap_or(folder);
    let there = parent.ancestors().find(|above| above.exists()).unwrap_or(folder);
    if there.canonicalize()?.starts_with(folder.canonicalize()?) {
        return Ok(to);
    }
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "a link on the way leads elsewhere"))
}

/// Copies a file, with its mode, below a folder.
fn put(from: &Path, folder: &Path, path: &Path) -> std::io::Result<()> {
    let to = place(folder, path)?;
    let parent = to.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    let mut content = crate::files::content::open(from)?;
    // As readable as the user's umask lets it be, and a program where it was one.
    let mode = if content.metadata()?.permissions().mode() & 0o100 == 0 { 0o666 } else { 0o777 };
    let mode = std::fs::Permissions::from_mode(mode);
    let mut copy = tempfile::Builder::new().prefix(".part-").permissions(mode).tempfile_in(parent)?;
    std::io::copy(&mut content, &mut copy)?;
    // A link in its place is replaced, not followed.
    copy.persist(&to).map_err(|error| error.error)?;
    Ok(())
}

/// Makes a link that leads nowhere but below the folder.
fn put_link(target: &Path, folder: &Path, path: &Path) -> std::io::Result<()> {
    let to = place(folder, path)?;
    let elsewhere =
        || std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is a link that leads elsewhere");
    let parent = to.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    // By where it really lies: its own folder may be behind a link.
    let (parent, root) = (parent.canonicalize()?, folder.canonicalize()?);
    let below = parent.strip_prefix(&root).map_err(|_| elsewhere())?;
    leads_to(&below.join("link"), target).ok_or_else(elsewhere)?;
    match std::fs::symlink_metadata(&to) {
        Ok(data) if data.is_dir() => return Err(std::io::ErrorKind::AlreadyExists.into()),
        Ok(_) => std::fs::remove_file(&to)?,
        Err(_) => {}
    }
    symlink(target, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::Console;

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
            let wanted = ExecOptions {
                command: vec!["x".into()],
                bring: vec![bring.into()],
                env: vec![env.into()],
                ..ExecOptions::default()
            };
            let here = Here::at("/", Env::default(), Console::default());
            Ready::read(&wanted, &here, &[]).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read("out/", "A=b"), Ok(()));
        assert!(read("../x", "A=b").unwrap_err().contains("without `..`"));
        assert!(read("/etc/x", "A=b").unwrap_err().contains("--bring /etc/x"));
        assert!(read("out", "NOT_SET").unwrap_err().contains("is not set here"));
        assert!(read("out", "GPU_HARNESS_SEED=1").unwrap_err().contains("no environment variable"));
        assert!(read("out", "=1").unwrap_err().contains("no environment variable"));
    }

    #[test]
    fn a_file_of_elsewhere_goes_to_a_place_below_the_working_folder_and_nowhere_else() {
        let sent = |wanted| sent(wanted, Path::new("/here")).map_err(|error| error.to_string());
        assert_eq!(
            sent("/t/a=b.json=.x/job.json"),
            Ok((InputPath(".x/job.json".into()), "/t/a=b.json".into()))
        );
        assert_eq!(sent("a=b"), Ok((InputPath("b".into()), "/here/a".into())));
        for wrong in ["a", "a=", "a=../b", "a=/etc/b"] {
            assert!(sent(wrong).unwrap_err().contains("write FILE=PATH"), "{wrong}");
        }
        let wanted = ExecOptions { send: vec!["/none=b".into()], ..ExecOptions::default() };
        let here = Here::at("/", Env::default(), Console::default());
        let error = Ready::read(&wanted, &here, &[]).unwrap_err();
        assert_eq!(error.to_string(), "failed to read /none, which --send names");
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
        assert!(put_link(Path::new("a"), &cwd, Path::new("out/link")).is_err());
        assert_eq!(std::fs::read_dir(other).unwrap().count(), 0);
    }

    #[test]
    fn links_come_back_unless_they_lead_elsewhere_and_a_program_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (cwd, from) = (folder.path().join("cwd"), folder.path().join("tool"));
        std::fs::create_dir_all(cwd.join("deep")).unwrap();
        std::fs::write(&from, "#!/bin/sh").unwrap();
        std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o700)).unwrap();
        put(&from, &cwd, Path::new("out/tool")).unwrap();
        let mode = |name: &str| std::fs::metadata(cwd.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("out/tool") & 0o100, 0o100);
        std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o600)).unwrap();
        put(&from, &cwd, Path::new("out/tool")).unwrap();
        assert_eq!(mode("out/tool") & 0o111, 0);
        put_link(Path::new("tool"), &cwd, Path::new("out/alias")).unwrap();
        assert_eq!(std::fs::read_to_string(cwd.join("out/alias")).unwrap(), "#!/bin/sh");
        symlink("deep", cwd.join("here")).unwrap();
        for (target, link) in
            [("/etc/passwd", "a"), ("../../x", "out/a"), ("../x", "a"), ("../../x", "here/a")]
        {
            assert!(put_link(Path::new(target), &cwd, Path::new(link)).is_err(), "{link} -> {target}");
        }
    }
}
