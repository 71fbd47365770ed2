//! Files that are whole or not there, and where each lies in a run's folder.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use gpu_suites::id::CaseId;

/// Writes a file whole: a reader finds the old one or the new one, even after a crash.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Reports are for other programs too: as readable as the user's umask lets them be.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".part-").permissions(mode).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // Not every file system can do this to a folder; the file itself is safe by now.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// The folder of a case in a run's folder; `None` for an id that is no folder's name.
pub fn case_folder(run_dir: &Path, case: &CaseId) -> Option<PathBuf> {
    case.is_valid().then(|| run_dir.join("cases").join(case.folder()))
}

/// Where a case's artifact lies; `None` for a path that leaves the folder.
pub fn artifact(run_dir: &Path, case: &CaseId, path: &str) -> Option<PathBuf> {
    let is_below = !path.is_empty()
        && Path::new(path).components().all(|component| matches!(component, Component::Normal(_)))
        && !path.contains(char::is_control);
    if is_below { Some(case_folder(run_dir, case)?.join("artifacts").join(path)) } else { None }
}

/// The name of a stream's log: later attempts have their number in it.
pub fn log_name(stream: gpu_suites::event::Stream, attempt: u32) -> String {
    let stream = match stream {
        gpu_suites::event::Stream::Stdout => "stdout",
        gpu_suites::event::Stream::Stderr => "stderr",
    };
    // A node that claims ever new attempts does not get ever new files.
    match attempt.min(100) {
        0 | 1 => format!("{stream}.log"),
        attempt => format!("{stream}.{attempt}.log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/junit.xml");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("junit.xml");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"new").is_err(), "a folder is not replaced");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_name_leads_out_of_the_folder_of_the_run() {
        let run = Path::new("run");
        assert_eq!(case_folder(run, &CaseId::new("s", "c")).unwrap(), Path::new("run/cases/s.c"));
        for case in ["..::x", "../../etc::x", "a/b::c", "", "a\0::b", ".hidden::x"] {
            assert_eq!(case_folder(run, &case.into()), None, "{case:?}");
        }
        let case = CaseId::new("s", "c");
        assert_eq!(artifact(run, &case, "a/b.png").unwrap(), Path::new("run/cases/s.c/artifacts/a/b.png"));
        for path in ["../x", "/etc/passwd", "a/../../x", "", "a\nb"] {
            assert_eq!(artifact(run, &case, path), None, "{path:?}");
        }
    }
}
