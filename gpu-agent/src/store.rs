//! The node's store: files named by the sha256 of their content, so that nothing is sent twice.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gpu_suites::id::Sha256;

use crate::folder::{Folder, RunDir};
use crate::lock::Lock;
use crate::strays;

/// A blob that no run has used for this long goes.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// What nobody finished, or no supervisor looks after, goes after this long.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The blobs of `wanted` that are not in the store. Those that are there are marked as used.
pub(crate) fn missing(folder: &Folder, wanted: &[&Sha256]) -> Vec<Sha256> {
    let lacks = |sha256: &&&Sha256| !is_there(&folder.blob(sha256));
    wanted.iter().filter(lacks).map(|sha256| (*sha256).clone()).collect()
}

fn is_there(blob: &Path) -> bool {
    let there = fs::symlink_metadata(blob).is_ok_and(|data| data.is_file());
    if there {
        touch(blob);
    }
    there
}

/// Marks a blob as used now.
pub(crate) fn touch(blob: &Path) {
    // Best effort: a read-only store still serves.
    if let Ok(file) = File::open(blob) {
        let _ = file.set_modified(SystemTime::now());
    }
}

pub(crate) fn make_executable(blob: &Path) -> std::io::Result<()> {
    if fs::metadata(blob)?.mode() & 0o111 == 0 {
        fs::set_permissions(blob, fs::Permissions::from_mode(0o555))?;
    }
    Ok(())
}

/// Removes what nobody will ask for again.
pub(crate) fn tidy(folder: &Folder) {
    // The agent may itself lie in the store.
    touch(Path::new("/proc/self/exe"));
    for (path, age) in entries(&folder.store()) {
        let partial = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tmp-"));
        if age > if partial { STALE } else { UNUSED } {
            let _ = fs::remove_file(path);
        }
    }
    for (path, age) in entries(&folder.runs()) {
        let dir = RunDir::at(path);
        if age > STALE && !Lock::is_held(&dir) {
            strays::end(&dir);
            let _ = fs::remove_dir_all(dir.path());
        }
    }
}

fn entries(folder: &Path) -> Vec<(std::path::PathBuf, Duration)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let now = SystemTime::now();
    let aged = entries.flatten().filter_map(|entry| {
        let modified = entry.metadata().ok()?.modified().ok()?;
        Some((entry.path(), now.duration_since(modified).unwrap_or_default()))
    });
    aged.collect()
}
