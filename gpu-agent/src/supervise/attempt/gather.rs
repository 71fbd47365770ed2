//! Takes what a program left in its working folder and is to be brought back to the artifacts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gpu_suites::spec::{Command, InputPath};

use crate::folder;

/// The deepest folder that a pattern is looked for in.
const MOST_DEPTH: usize = 32;

/// The files at the places of JUnit reports before the program began: a report of an earlier run is none of this one's.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeMap<PathBuf, (u64, i64, i64)>);

/// What of a file changes whenever it is written or replaced.
fn stamp(path: &Path) -> Option<(u64, i64, i64)> {
    let data = fs::symlink_metadata(path).ok()?;
    Some((data.ino(), data.mtime(), data.mtime_nsec()))
}

/// Gives a file an age that no file has that is written now: the kernel's clock is too coarse to tell two writes apart.
fn age(path: &Path) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.set_modified(SystemTime::UNIX_EPOCH)
}

impl Before {
    /// The files that lie there now.
    pub(super) fn look(work: &Path, command: &Command) -> Self {
        let reports = command.junit.iter().flat_map(|wanted| reports(work, wanted));
        let aged = |path: PathBuf| {
            let at = work.join(&path);
            // Where it cannot be made older, its own age has to do.
            let _ = age(&at);
            Some((path, stamp(&at)?))
        };
        Self(reports.filter_map(aged).collect())
    }

    fn is_stale(&self, work: &Path, path: &Path) -> bool {
        self.0.get(path).is_some_and(|before| stamp(&work.join(path)).as_ref() == Some(before))
    }
}

/// Moves each path from the working folder to the artifacts, and says what could not be, in a sentence each.
///
/// Both lie on one file system: it is a rename, however large the files are.
pub(super) fn gather(work: &Path, artifacts: &Path, command: &Command, before: &Before) -> Vec<String> {
    let mut told = Vec::new();
    let mut moved = Vec::new();
    for wanted in &command.junit {
        let (stale, fresh): (Vec<_>, Vec<_>) =
            reports(work, wanted).into_iter().partition(|path| before.is_stale(work, path));
        // It goes back neither by itself nor in its folder.
        for path in &stale {
            let _ = fs::remove_file(work.join(path));
        }
        match (fresh.is_empty(), stale.is_empty()) {
            (true, true) => told.push(absent(wanted)),
            (true, false) => told.push(format!(
                "{wanted} is to be brought back, and the program did not write it: what lies there was sent with it"
            )),
            _ => moved.extend(fresh),
        }
    }
    for wanted in &command.bring {
        let found = matching(work, wanted);
        if found.is_empty() {
            told.push(absent(wanted));
        }
        moved.extend(found);
    }
    let moved = BTreeSet::from_iter(moved);
    let with_folder = |path: &Path| path.ancestors().skip(1).any(|above| moved.contains(above));
    let is_link = |path: &&PathBuf| fs::symlink_metadata(work.join(path)).is_ok_and(|data| data.is_symlink());
    // A link is followed while what it leads to is still there.
    let (links, others): (Vec<_>, Vec<_>) = moved.iter().filter(|path| !with_folder(path)).partition(is_link);
    for path in links.into_iter().chain(others) {
        if let Err(error) = take(work, artifacts, path) {
            told.push(format!("{} cannot be brought back: {error}", path.display()));
        }
    }
    told
}

fn absent(wanted: &InputPath) -> String {
    format!("{wanted} is to be brought back, and the program did not leave it")
}

/// The JUnit reports that a path or pattern means: of a folder, every `.xml` in it.
fn reports(work: &Path, wanted: &InputPath) -> Vec<PathBuf> {
    let mut reports = Vec::new();
    for path in matching(work, wanted) {
        if fs::symlink_metadata(work.join(&path)).is_ok_and(|data| data.is_dir()) {
            each_below(work, &path, 0, &mut |path| {
                if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml")) {
                    reports.push(path.to_owned());
                }
            });
        } else {
            reports.push(path);
        }
    }
    reports
}

/// What a path or pattern means in the working folder; a name that is there is no pattern.
fn matching(work: &Path, wanted: &InputPath) -> Vec<PathBuf> {
    let Some(path) = Some(wanted).filter(|path| path.in_cache().is_none()).and_then(InputPath::on_node)
    else {
        return Vec::new();
    };
    if fs::symlink_metadata(work.join(&path)).is_ok() {
        return vec![path];
    }
    if !wanted.is_pattern() {
        return Vec::new();
    }
    let mut found = Vec::new();
    each_below(work, Path::new(""), 0, &mut |path| {
        if wanted.matches(path) {
            found.push(path.to_owned());
        }
    });
    found
}

fn each_below(work: &Path, below: &Path, depth: usize, each: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(work.join(below)) else { return };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < MOST_DEPTH => {
                each(&path);
                each_below(work, &path, depth + 1, each);
            }
            _ => each(&path),
        }
    }
}

fn take(work: &Path, artifacts: &Path, path: &Path) -> io::Result<()> {
    let (from, to) = (work.join(path), artifacts.join(path));
    // What a link points at may be anything on the node.
    let work = work.canonicalize()?;
    let elsewhere = || io::Error::new(io::ErrorKind::InvalidInput, "it is a link that leads elsewhere");
    if !from.parent().unwrap_or(&work).canonicalize()?.starts_with(&work) {
        return Err(elsewhere());
    }
    if let Some(parent) = to.parent() {
        folder::make(parent)?;
    }
    if !fs::symlink_metadata(&from)?.is_symlink() {
        return fs::rename(from, to);
    }
    let real = from.canonicalize().map_err(|_| elsewhere())?;
    if !real.starts_with(&work) {
        return Err(elsewhere());
    }
    if !fs::metadata(&real)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link to a folder: name the folder itself",
        ));
    }
    fs::copy(real, to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn command(bring: &[&str], junit: &[&str]) -> Command {
        let paths = |paths: &[&str]| paths.iter().map(|path| InputPath((*path).to_owned())).collect();
        Command {
            bring: paths(bring),
            junit: paths(junit),
            ..serde_json::from_str(r#"{"run":["x"]}"#).unwrap()
        }
    }

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (work, artifacts) = (folder.path().join("work"), folder.path().join("artifacts"));
        fs::create_dir_all(work.join("out/deep")).unwrap();
        fs::create_dir_all(&artifacts).unwrap();
        (folder, work, artifacts)
    }

    #[test]
    fn files_and_folders_go_and_what_is_not_there_or_leads_elsewhere_is_told() {
        let (_folder, work, artifacts) = folders();
        fs::write(work.join("out/deep/a.bin"), "a").unwrap();
        fs::write(work.join("r.xml"), "r").unwrap();
        symlink("/etc/passwd", work.join("link")).unwrap();
        symlink("/etc", work.join("etc")).unwrap();
        symlink("out/deep/a.bin", work.join("best")).unwrap();
        let wanted = command(&["out", "gone.txt", "link", "etc/passwd", "best"], &["r.xml"]);
        let left = gather(&work, &artifacts, &wanted, &Before::default());
        assert_eq!(fs::read_to_string(artifacts.join("out/deep/a.bin")).unwrap(), "a");
        assert_eq!(fs::read_to_string(artifacts.join("r.xml")).unwrap(), "r");
        assert_eq!(fs::read_to_string(artifacts.join("best")).unwrap(), "a", "a link within means its file");
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(
            left[0].contains("gone.txt is to be brought back, and the program did not leave it"),
            "{left:?}"
        );
        for name in ["link", "etc/passwd"] {
            let told = format!("{name} cannot be brought back: it is a link that leads elsewhere");
            assert!(left.contains(&told), "{left:?}");
        }
        assert!(fs::metadata("/etc/passwd").is_ok());
    }

    #[test]
    fn a_pattern_means_all_that_it_matches_and_a_folder_of_reports_each_of_them() {
        let (_folder, work, artifacts) = folders();
        for name in
            ["out/TEST-a.xml", "out/TEST-b.xml", "out/deep/c.XML", "out/deep/notes.txt", "best.pt", "last.pt"]
        {
            fs::write(work.join(name), name).unwrap();
        }
        let left = gather(&work, &artifacts, &command(&["*.pt"], &["out/TEST-*.xml"]), &Before::default());
        assert_eq!(left, [""; 0]);
        for name in ["out/TEST-a.xml", "out/TEST-b.xml", "best.pt", "last.pt"] {
            assert!(artifacts.join(name).is_file(), "{name}");
        }
        let left = gather(&work, &artifacts, &command(&["*.onnx"], &["out"]), &Before::default());
        assert!(left.len() == 1 && left[0].starts_with("*.onnx is to be brought back"), "{left:?}");
        assert!(artifacts.join("out/deep/c.XML").is_file() && !artifacts.join("out/deep/notes.txt").exists());
    }

    #[test]
    fn a_report_of_an_earlier_run_does_not_come_back_as_one_of_this() {
        let (_folder, work, artifacts) = folders();
        for name in ["out/old.xml", "out/new.xml"] {
            fs::write(work.join(name), "before").unwrap();
        }
        let wanted = command(&["out"], &["out/old.xml", "out/new.xml"]);
        let before = Before::look(&work, &wanted);
        fs::write(work.join("out/new.xml"), "before").unwrap();
        let left = gather(&work, &artifacts, &wanted, &before);
        assert!(
            left.len() == 1 && left[0].contains("out/old.xml") && left[0].contains("did not write it"),
            "{left:?}"
        );
        assert!(artifacts.join("out/new.xml").is_file() && !artifacts.join("out/old.xml").exists());
    }
}
