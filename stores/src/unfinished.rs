//! A file that is being written, beside the one that it is to become; and what killed writers have left of such files.
//!
//! Its writer holds a lock on it from its first moment to its last, and the system lets go of that when the writer ends, however
//! it ends. So whoever can lock such a file knows that nobody writes it any more.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The names of such files begin so; no listing shows them.
pub(crate) const PREFIX: &str = ".unfinished-";
/// A younger file may not be locked yet by the one who has just made it.
const YOUNG: Duration = Duration::from_secs(60);
/// On a file system without locks nobody has written to it for so long.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// A file that is being written. It goes with the value, unless it has got its name by then.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// A new one beside `path`, under a name that nobody else has: two writers of one object do not get into each other's way,
    /// also where their processes have one number on two machines.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = path.with_file_name(format!("{PREFIX}{}-{count}", std::process::id()));
            match File::create_new(&path) {
                Ok(file) => {
                    // Not every file system can.
                    let _ = file.try_lock();
                    return Ok(Self { path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name, in place of what has it.
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }

    /// Gives it its name, unless something has it: a link, unlike a rename, replaces nothing.
    pub(crate) fn take_free(self, path: &Path) -> io::Result<()> {
        fs::hard_link(&self.path, path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A failure here would say nothing new: another writer removes it later.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what killed writers have left in a folder. What cannot be looked at or removed stays.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = remove_left(&entry.path());
        }
    }
}

fn remove_left(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let age = SystemTime::now().duration_since(about.modified()?).unwrap_or_default();
    let is_left = age >= YOUNG
        && match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => age >= OLD,
        };
    // Another may have removed it meanwhile, and a third one begun a new file under its name.
    let is_there =
        || fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (about.dev(), about.ino()));
    if is_left && is_there() { fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    /// The file as it is after nobody has written to it for so long.
    fn aged(file: &File, age: Duration) {
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let left = File::create(at(".unfinished-1-0")).unwrap();
        let young = File::create(at(".unfinished-1-1")).unwrap();
        let other = File::create(at("object")).unwrap();
        let mut live = Unfinished::beside(&at("shard")).unwrap();
        live.file().write_all(b"rows").unwrap();
        for file in [&left, &other, &live.file] {
            aged(file, 2 * OLD);
        }
        aged(&young, YOUNG / 2);
        fs::create_dir(at(".unfinished-2-0")).unwrap();
        sweep(root.path());
        assert!(!at(".unfinished-1-0").exists());
        assert!(at(".unfinished-1-1").exists() && at("object").exists() && at(".unfinished-2-0").exists());
        live.replace(&at("shard")).unwrap();
        assert_eq!(fs::read(at("shard")).unwrap(), b"rows");
        aged(&young, YOUNG);
        sweep(root.path());
        assert!(!at(".unfinished-1-1").exists());
    }

    #[test]
    fn a_writer_leaves_nothing_and_takes_no_name_that_another_has() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("object");
        drop(Unfinished::beside(&path).unwrap());
        assert_eq!(names(root.path()), 0);
        // Another process of this number, on another machine, has the names that come next.
        let next: u64 = {
            let first = Unfinished::beside(&path).unwrap();
            first.path.to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
        };
        // Other tests of this process count along.
        for count in next + 1..next + 50 {
            let name = format!("{PREFIX}{}-{count}", std::process::id());
            fs::write(root.path().join(name), b"theirs").unwrap();
        }
        let mut ours = Unfinished::beside(&path).unwrap();
        ours.file().write_all(b"ours").unwrap();
        ours.take_free(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        for entry in fs::read_dir(root.path()).unwrap().flatten().filter(|entry| entry.path() != path) {
            assert_eq!(fs::read(entry.path()).unwrap(), b"theirs");
        }
        let second = Unfinished::beside(&path).unwrap();
        assert_eq!(second.take_free(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(root.path()), 50);
    }
}
