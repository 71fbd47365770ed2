//! Was a disk of the node full while a case ran? A program that cannot write fails like any other: only the node can tell.
//!
//! A program may have removed what it wrote by the time it has ended, so that the disks are looked at all along.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gpu_suites::unit::ByteSize;

/// How often the disks are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// So little is full: what a file system cannot give any more.
const FULL: u64 = 4 << 20;
/// Where the program itself says so, it may have asked for more than was left.
const TIGHT: u64 = 256 << 20;
/// What programs say of a disk that is full (`ENOSPC`), and of a quota that is used up (`EDQUOT`), which no look at the disk shows.
const NO_SPACE: [&str; 2] = ["No space left on device", "ENOSPC"];
const NO_QUOTA: [&str; 2] = ["Disk quota exceeded", "EDQUOT"];

pub(super) struct DiskWatch {
    places: Vec<Place>,
    next: Instant,
}

struct Place {
    path: PathBuf,
    least: Option<Left>,
}

/// What a file system has left for this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    bytes: u64,
    /// `None` where the file system has no fixed number of them.
    files: Option<u64>,
}

impl Left {
    fn of(path: &Path) -> Option<Self> {
        let about = rustix::fs::statvfs(path).ok()?;
        // Root may use what is kept for it.
        let is_root = rustix::process::geteuid().is_root();
        let blocks = if is_root { about.f_bfree } else { about.f_bavail };
        let files = if is_root { about.f_ffree } else { about.f_favail };
        Some(Self {
            bytes: blocks.saturating_mul(about.f_frsize),
            files: (about.f_files > 0).then_some(files),
        })
    }

    fn least(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), files: self.files.min(other.files) }
    }
}

impl DiskWatch {
    /// Begins to watch where the case runs, where it puts what is temporary, and where its processes share memory.
    pub(super) fn begin(work: &Path, temporary: Option<&OsString>) -> Self {
        let temporary = temporary.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let paths = [work.to_owned(), temporary, PathBuf::from("/dev/shm")];
        let places = paths.into_iter().map(|path| Place { path, least: None }).collect();
        let mut watch = Self { places, next: Instant::now() };
        watch.look();
        watch
    }

    /// Looks at the disks, if it is time to.
    pub(super) fn look(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        for place in &mut self.places {
            if let Some(left) = Left::of(&place.path) {
                place.least = Some(place.least.map_or(left, |least| least.least(left)));
            }
        }
    }

    /// Why what the case could not write is the node's fault, if so; `stderr` is the end of what it said.
    pub(super) fn full(&mut self, stderr: &str) -> Option<String> {
        self.next = Instant::now();
        self.look();
        let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
        if says(&NO_QUOTA) {
            return Some("the node's disk quota is used up: the program says so".to_owned());
        }
        let least = if says(&NO_SPACE) { TIGHT } else { FULL };
        self.places.iter().find_map(|place| {
            let left = place.least?;
            let what = match left {
                Left { files: Some(0), .. } => "no file more can be made".to_owned(),
                Left { bytes, .. } if bytes < least => format!("{} were left", ByteSize(bytes)),
                _ => return None,
            };
            Some(format!("the node's disk was full while the case ran: on {} {what}", place.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(bytes: u64, files: Option<u64>) -> DiskWatch {
        let places = vec![Place { path: "/nowhere/at/all".into(), least: Some(Left { bytes, files }) }];
        DiskWatch { places, next: Instant::now() }
    }

    #[test]
    fn a_disk_that_was_full_is_the_nodes_fault_and_words_alone_are_not() {
        let python = "OSError: [Errno 28] No space left on device";
        assert!(watch(0, Some(9)).full("").is_some_and(|why| why.contains("/nowhere/at/all 0 B were left")));
        assert!(watch(9 << 30, Some(0)).full("").is_some_and(|why| why.contains("no file more")));
        assert!(watch(100 << 20, None).full(python).is_some(), "it asked for more than was left");
        assert_eq!(watch(100 << 20, None).full("AssertionError"), None);
        assert_eq!(watch(9 << 30, None).full(python), None, "there was room: it says so of something else");
        assert!(watch(9 << 30, None).full("Disk quota exceeded").is_some());
        assert!(DiskWatch::begin(Path::new("/"), None).places[0].least.is_some());
    }
}
