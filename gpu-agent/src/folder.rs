//! Where the agent keeps things on a node: the store of blobs, and a folder for each run.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gpu_suites::cache::{self, VARIABLE};
use gpu_suites::id::{CaseId, RunId, Sha256};

/// The agent's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// There is no place for the folder.
#[derive(Debug, thiserror::Error)]
#[error("neither {VARIABLE} nor HOME is set: name a writable folder with {VARIABLE}")]
pub(crate) struct NoFolder;

impl Folder {
    pub(crate) fn from_environment() -> Result<Self, NoFolder> {
        let path = cache::folder().ok_or(NoFolder)?;
        // Paths below it are handed to processes that run elsewhere.
        Ok(Self(std::path::absolute(&path).unwrap_or(path)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(crate) fn blob(&self, sha256: &Sha256) -> PathBuf {
        self.store().join(sha256.as_str())
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    pub(crate) fn run(&self, run: &RunId) -> RunDir {
        RunDir(self.runs().join(run.as_str()))
    }

    /// Makes what is missing, and shows that it can be written: the error names the path.
    pub(crate) fn prepare(&self) -> Result<(), (PathBuf, io::Error)> {
        for path in [self.store(), self.runs()] {
            make(&path).map_err(|error| (path.clone(), error))?;
            let probe = path.join(format!(".tmp-probe-{}", std::process::id()));
            fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).map_err(|error| (path, error))?;
        }
        Ok(())
    }
}

/// Makes a folder and those above it, for this user only.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder of one run, `runs/<run-id>`.
#[derive(Debug, Clone)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The agent's folder that this run's folder lies in.
    pub(crate) fn folder(&self) -> Folder {
        Folder(self.0.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn run(&self) -> RunId {
        RunId(self.0.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned())
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.ndjson")
    }

    /// Locked for as long as the supervisor lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Room on the disk for the journal's last lines.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.0.join("reserve")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    pub(crate) fn cases(&self) -> PathBuf {
        self.0.join("cases")
    }

    pub(crate) fn case(&self, case: &CaseId) -> CaseDir {
        CaseDir(self.cases().join(case.folder()))
    }
}

/// The folder of one case, `cases/<suite.case>`.
#[derive(Debug, Clone)]
pub(crate) struct CaseDir(PathBuf);

impl CaseDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the process runs, with the inputs below.
    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }

    /// A FIFO: the metrics, one JSON object a line.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.0.join("metrics")
    }

    /// What the worker reads.
    pub(crate) fn case(&self) -> PathBuf {
        self.0.join("case.json")
    }
}
