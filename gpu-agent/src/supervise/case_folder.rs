//! Makes a case's folder: its inputs under the names that the suite gives them, and the places for what it writes.
//!
//! Inputs are copies, by reference where the file system can (reflink): whatever a case does to its files, even as
//! root, the store stays as it was verified.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gpu_suites::plan::{PlannedCase, WorkerCase};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::folder::{self, CaseDir, Folder};

#[derive(Debug, thiserror::Error)]
#[error("the case's folder could not be made: {}: {cause}", path.display())]
pub(super) struct FolderError {
    path: PathBuf,
    cause: io::Error,
}

/// Makes the folder anew: a second try begins with what the first one began with.
pub(super) fn make(dir: &CaseDir, case: &PlannedCase, store: &Folder) -> Result<(), FolderError> {
    let to = |path: &Path, result: io::Result<()>| {
        result.map_err(|cause| FolderError { path: path.to_owned(), cause })
    };
    if dir.path().exists() {
        to(dir.path(), fs::remove_dir_all(dir.path()))?;
    }
    for path in [dir.work(), dir.artifacts()] {
        to(&path, folder::make(&path))?;
    }
    for (input, sha256) in &case.inputs {
        // The plan was admitted: every input has a name.
        let Some(name) = input.on_node() else { continue };
        let path = dir.work().join(name);
        to(&path, copy(&store.blob(sha256), &path, case.executable.contains(input)))?;
    }
    // After the files: none of them is written through a link.
    for (link, target) in &case.links {
        let Some(name) = link.on_node() else { continue };
        let path = dir.work().join(name);
        to(&path, make_parent(&path).and_then(|()| symlink(target, &path)))?;
    }
    let fifo = mknodat(CWD, dir.metrics(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
    to(&dir.metrics(), fifo.map_err(io::Error::from))?;
    // For nobody else: what a program is given in its environment would stay here for the cases after it to read.
    if case.spec.needs_worker() {
        let worker_case = WorkerCase { id: case.id.clone(), spec: case.spec.clone() };
        let written = serde_json::to_vec(&worker_case).map_err(io::Error::from);
        to(&dir.case(), written.and_then(|bytes| fs::write(dir.case(), bytes)))?;
    }
    Ok(())
}

/// One content may be a program under one name and none under another.
fn copy(blob: &Path, path: &Path, executable: bool) -> io::Result<()> {
    make_parent(path)?;
    fs::copy(blob, path)?;
    let mode = if executable { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), folder::make)
}
