//! The versions that are compared: the working tree, a commit, or the working tree with one file replaced.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gpu_suites::exit::Exit;
use tempfile::TempDir;

use crate::report::{self, ReportError};
use crate::text::Explain;
use crate::text::clean::one_line;

#[derive(Debug)]
pub enum Version {
    /// What lies in the working folder.
    Working,
    /// A commit, in a folder of its own.
    Commit(Checkout),
    /// The other version with this file in place of its input of the same name.
    File(PathBuf),
}

#[derive(Debug)]
pub struct Checkout {
    /// Twelve digits of it.
    pub commit: String,
    folder: TempDir,
    /// Where in the repository the working folder is.
    below: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    #[error("`{text}` is no file, no run's folder and no commit: {message}")]
    Unknown { text: String, message: String },
    #[error("failed to read the run in {}", path.display())]
    Run { path: PathBuf, source: ReportError },
    /// A run of a tree that is not to be had again.
    #[error("the run in {} was of {of}, which cannot be had again; name a commit", path.display())]
    NoCommit { path: PathBuf, of: String },
    #[error("git {verb} failed: {message}")]
    Git { verb: String, message: String },
    #[error("failed to make a folder for the files of {commit}")]
    Folder { commit: String, source: io::Error },
    #[error("`{command}` ended with {status} in the files of {commit}")]
    Prepare { command: String, status: String, commit: String },
}

impl Explain for VersionError {
    fn exit(&self) -> Exit {
        match self {
            Self::Folder { .. } => Exit::Infrastructure,
            _ => Exit::Usage,
        }
    }
}

impl Version {
    /// What `text` names: a file, a run's folder, or a revision of the repository that `cwd` lies in. `prepare` is run in
    /// a commit's files before they are used.
    pub fn find(text: &str, cwd: &Path, prepare: Option<&str>) -> Result<Self, VersionError> {
        let path = cwd.join(text);
        if path.is_file() {
            return Ok(Self::File(path));
        }
        if path.join("events.ndjson").is_file() {
            let state =
                report::read(&path).map_err(|source| VersionError::Run { path: path.clone(), source })?;
            let commit = match state.commit {
                Some(commit) if !commit.ends_with('+') => commit,
                Some(commit) => {
                    let of = format!("commit {} with changes", commit.trim_end_matches('+'));
                    return Err(VersionError::NoCommit { path, of });
                }
                None => return Err(VersionError::NoCommit { path, of: "a tree without a commit".into() }),
            };
            return Checkout::of(&commit, cwd, prepare).map(Self::Commit);
        }
        Checkout::of(text, cwd, prepare).map(Self::Commit)
    }

    pub fn name(&self) -> String {
        match self {
            Self::Working => "the working tree".to_owned(),
            Self::Commit(checkout) => checkout.commit.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The folder that stands for the working folder `cwd`.
    pub fn folder(&self, cwd: &Path) -> PathBuf {
        match self {
            Self::Commit(checkout) => checkout.folder.path().join("tree").join(&checkout.below),
            Self::Working | Self::File(_) => cwd.to_owned(),
        }
    }
}

impl Checkout {
    /// Writes the commit's files to a temporary folder. The repository is only read, and what its filters do on a
    /// checkout (Git LFS) is done; submodules stay empty.
    pub fn of(revision: &str, cwd: &Path, prepare: Option<&str>) -> Result<Self, VersionError> {
        let commit = resolve(revision, cwd)?;
        let made = tempfile::Builder::new().prefix("gpu-harness-compare-").tempdir();
        let failed = |source| VersionError::Folder { commit: commit.clone(), source };
        let folder = made.map_err(failed)?;
        let tree = folder.path().join("tree");
        // Paths of suites are relative to the root of their repository, which is known by this folder.
        std::fs::create_dir_all(tree.join(".git")).map_err(failed)?;
        let index = folder.path().join("index");
        let git = |arguments: &[&str]| {
            let mut command = git(cwd);
            command.args(arguments).env("GIT_INDEX_FILE", &index);
            said(&mut command, arguments[0])
        };
        git(&["read-tree", &commit])?;
        // From a folder below, only what lies there would be written.
        let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
        let below = PathBuf::from(git(&["rev-parse", "--show-prefix"])?);
        let mut write = self::git(&top);
        write.args(["checkout-index", "--all", "--force"]).arg(format!("--prefix={}/", tree.display()));
        said(write.env("GIT_INDEX_FILE", &index), "checkout-index")?;
        let checkout = Self { commit, folder, below };
        if let Some(command) = prepare {
            checkout.prepare(command)?;
        }
        Ok(checkout)
    }

    fn prepare(&self, command: &str) -> Result<(), VersionError> {
        let folder = self.folder.path().join("tree").join(&self.below);
        let mut shell = Command::new("sh");
        // Standard output is for the comparison.
        shell.args(["-c", &format!("exec 1>&2; {command}")]).current_dir(folder).stdin(Stdio::null());
        let failed = |status: String| VersionError::Prepare {
            command: command.to_owned(),
            status,
            commit: self.commit.clone(),
        };
        let status = shell.status().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
    }
}

/// The commit that a revision names, in full.
pub fn resolve(revision: &str, cwd: &Path) -> Result<String, VersionError> {
    let unknown = |message: String| VersionError::Unknown { text: revision.to_owned(), message };
    // What begins with a dash would be an option.
    let named = format!("{revision}^{{commit}}");
    let mut command = git(cwd);
    command.args(["rev-parse", "--verify", "--quiet", "--short=12", "--end-of-options", &named]);
    match said(&mut command, "rev-parse") {
        Ok(commit) => Ok(commit.lines().last().unwrap_or_default().to_owned()),
        Err(VersionError::Git { message, .. }) if message.is_empty() => {
            Err(unknown("git knows no such revision here".to_owned()))
        }
        Err(error) => Err(unknown(error.to_string())),
    }
}

/// git in a folder.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).stdin(Stdio::null());
    command
}

/// What git prints, without the newline at its end.
pub fn said(command: &mut Command, verb: &str) -> Result<String, VersionError> {
    let failed = |message: String| VersionError::Git { verb: verb.to_owned(), message };
    let Output { status, stdout, stderr } = command.output().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(one_line(String::from_utf8_lossy(&stderr).trim(), 300)));
    }
    Ok(String::from_utf8_lossy(&stdout).trim_end_matches('\n').to_owned())
}
