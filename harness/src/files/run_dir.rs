//! A run's folder: everything that came of the run, and a `latest` link to the newest.
//!
//! | in it | what |
//! | --- | --- |
//! | `events.ndjson` | every event, in order; all else is made from it |
//! | `junit.xml`, `report.html`, … | the reports (`report::list`) |
//! | `harness.log` | what the harness itself did (`log`) |
//! | `cases/SUITE.CASE/` | the case's logs and `artifacts/` |

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use gpu_suites::exit::Exit;
use gpu_suites::id::RunId;
use jiff::{Timestamp, tz::TimeZone};

use crate::text::Explain;

pub const DEFAULT_PARENT: &str = "gpu-harness-runs";

#[derive(Debug, Clone)]
pub struct RunDir {
    pub run: RunId,

    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to make the run's folder {}; choose another place with --out", path.display())]
pub struct RunDirError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for RunDirError {
    fn exit(&self) -> Exit {
        match self.source.kind() {
            // No other place that the user might have named is at fault here.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Exit::Infrastructure
            }
            _ => Exit::Usage,
        }
    }
}

impl RunDir {
    /// Makes a new run's folder below `parent` and points `parent/latest` at it. It is for this user alone: logs and
    /// artifacts of cases may hold what other users of a shared machine must not read.
    pub fn create(parent: &Path, run: RunId) -> Result<Self, RunDirError> {
        let path = parent.join(run.as_str());
        let failed = |source| RunDirError { path: path.clone(), source };
        let made = if parent.is_dir() { &path } else { parent };
        std::fs::create_dir_all(parent).map_err(failed)?;
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        std::fs::create_dir(path.join("cases")).map_err(failed)?;
        hide(made, parent).map_err(failed)?;
        link_latest(parent, run.as_str()).map_err(failed)?;
        Ok(Self { run, path })
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.ndjson")
    }
}

/// Keeps git from what is in a folder that was just made, so that no run is ever a part of the tree that it is about.
fn hide(made: &Path, parent: &Path) -> io::Result<()> {
    const NAME: &str = ".gitignore";
    if parent.join(NAME).exists() { Ok(()) } else { std::fs::write(made.join(NAME), "*\n") }
}

/// A name that sorts by time and that two runs of the same second do not share.
pub fn new_run_id(now: Timestamp) -> RunId {
    let stamp = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
    RunId(format!("{stamp}-{:08x}", rand::random::<u32>()))
}

/// Replaces the link in one step, so that a reader always finds one.
fn link_latest(parent: &Path, run: &str) -> io::Result<()> {
    let fresh = parent.join(format!(".latest-{run}"));
    std::os::unix::fs::symlink(run, &fresh)?;
    std::fs::rename(&fresh, parent.join("latest"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_runs_folder_is_its_users_alone_and_the_latest_one_is_linked() {
        let folder = tempfile::tempdir().unwrap();
        let parent = folder.path().join("runs");
        for run in ["a", "b"] {
            let made = RunDir::create(&parent, RunId(run.into())).unwrap();
            assert_eq!(std::fs::metadata(&made.path).unwrap().permissions().mode() & 0o077, 0);
            assert!(made.path.join("cases").is_dir());
            assert_eq!(std::fs::read_link(parent.join("latest")).unwrap(), Path::new(run));
        }
    }

    #[test]
    fn git_sees_nothing_of_a_run_and_all_that_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let status = || {
            let mut git = std::process::Command::new("git");
            let said =
                git.args(["status", "--porcelain", "-uall"]).current_dir(folder.path()).output().unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        let made = std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status();
        assert!(made.unwrap().success());
        std::fs::create_dir(folder.path().join("mine")).unwrap();
        std::fs::write(folder.path().join("mine/notes"), "").unwrap();
        for (parent, run) in
            [("gpu-harness-runs", "a"), ("gpu-harness-runs", "b"), ("mine", "c"), ("mine", "d")]
        {
            let run = RunDir::create(&folder.path().join(parent), RunId(run.into())).unwrap();
            std::fs::write(run.events(), "").unwrap();
        }
        assert_eq!(status(), "?? mine/latest\n?? mine/notes\n");
    }
}
