//! The files that a node has announced: what of its cases comes back is these, of these sizes, with these contents; and
//! whether they have arrived, whatever brought them.
//!
//! A session has the files of its node, which are what it fetches. The records of a run have those of all its nodes, until
//! somebody looks for them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use gpu_suites::event::Artifact;
use gpu_suites::id::{CaseId, Sha256};
use rustix::fs::OFlags;
use sha2::Digest as _;

use crate::files::results;

/// The most that a node's artifacts may take here, in bytes.
pub(crate) const MOST_BYTES: u64 = 1 << 30;
/// The most files that a node's artifacts may be.
pub(crate) const MOST_FILES: usize = 10_000;
/// The longest path of one: no system has longer ones.
pub(crate) const LONGEST_PATH: usize = 4096;
/// As much of a name as is told.
const SHOWN: usize = 120;
/// As many names of missing files as are told.
const TOLD: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// A case of which something is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub case: CaseId,
    pub what: String,
}

/// The files of the latest attempt of each case, by their paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    cases: BTreeMap<CaseId, BTreeMap<String, Announcement>>,
    count: usize,
    bytes: u64,
}

impl Announced {
    /// Takes note of a file of a node's; an error says why no agent announces such a one.
    pub(crate) fn take(&mut self, artifact: &Artifact) -> Result<(), String> {
        let is_below =
            Path::new(&artifact.path).components().all(|part| matches!(part, Component::Normal(_)));
        if artifact.path.is_empty() || !is_below || artifact.path.len() > LONGEST_PATH {
            return Err("an artifact whose path does not lie below a folder".into());
        }
        if !artifact.sha256.is_valid() {
            return Err("an artifact whose sha256 is not one".into());
        }
        self.note(artifact);
        if self.count > MOST_FILES || self.bytes > MOST_BYTES {
            return Err(format!("more than {MOST_FILES} artifacts, or {MOST_BYTES} bytes of them"));
        }
        Ok(())
    }

    /// Takes note of a file that was [taken](Self::take) already: each node has limits of its own.
    pub(crate) fn note(&mut self, artifact: &Artifact) {
        let announcement = Announcement { bytes: artifact.bytes, sha256: artifact.sha256.clone() };
        let files = self.cases.entry(artifact.case.clone()).or_default();
        match files.insert(artifact.path.clone(), announcement) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.bytes),
            None => self.count += 1,
        }
        self.bytes = self.bytes.saturating_add(artifact.bytes);
    }

    /// Parts with what was announced of a case: another attempt begins with an empty folder, and what was looked for is not
    /// looked for again.
    pub(crate) fn part_with(&mut self, case: &CaseId) -> Self {
        let Some(files) = self.cases.remove(case) else { return Self::default() };
        let bytes = files.values().map(|file| file.bytes).fold(0, u64::saturating_add);
        self.count -= files.len();
        self.bytes = self.bytes.saturating_sub(bytes);
        Self { count: files.len(), bytes, cases: BTreeMap::from([(case.clone(), files)]) }
    }

    /// How many bytes there are to be fetched; `None` where there is nothing.
    pub(crate) fn bytes(&self) -> Option<u64> {
        (self.count > 0).then_some(self.bytes)
    }

    /// The files by their paths in the archive that brings them: `SUITE.CASE/PATH`.
    pub(crate) fn in_archive(&self) -> BTreeMap<PathBuf, &Announcement> {
        let of_case = |(case, files): (&CaseId, _)| {
            let folder = PathBuf::from(case.folder());
            let files: &BTreeMap<String, Announcement> = files;
            files.iter().map(move |(path, file)| (folder.join(path), file))
        };
        self.cases.iter().flat_map(of_case).collect()
    }

    /// Of each case of which something is not here, whole, by size and sha256: what.
    pub(crate) fn missing(&self, run_dir: &Path) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (case, files) in &self.cases {
            let is_here = |path: &str, file: &Announcement| {
                let place = results::artifact(run_dir, case, path);
                place.is_some_and(|place| is_whole(&place, file).unwrap_or(false))
            };
            let gone = files.iter().filter(|(path, file)| !is_here(path, file));
            let gone = Vec::from_iter(gone.map(|(path, _)| crate::text::clean::one_line(path, SHOWN)));
            if !gone.is_empty() {
                let named = gone.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
                let more = if gone.len() > TOLD { ", …" } else { "" };
                let (gone, all) = (gone.len(), files.len());
                let what = format!("{gone} of {all} files that it made did not arrive whole ({named}{more})");
                missing.push(Missing { case: case.clone(), what });
            }
        }
        missing
    }
}

fn is_whole(path: &Path, wanted: &Announcement) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != wanted.bytes {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (sha2::Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize()) == wanted.sha256.as_str()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(case: &str, path: &str, bytes: u64) -> Artifact {
        Artifact {
            case: case.into(),
            path: path.into(),
            bytes,
            sha256: "0".repeat(64).into(),
            executable: false,
        }
    }

    #[test]
    fn what_no_agent_announces_is_refused() {
        let mut announced = Announced::default();
        for path in ["", ".", "..", "../x", "/etc/passwd", "a/../../x", &"x".repeat(LONGEST_PATH + 1)] {
            announced.take(&artifact("s::c", path, 1)).unwrap_err();
        }
        let no_hash = Artifact { sha256: "../../x".into(), ..artifact("s::c", "a", 1) };
        announced.take(&no_hash).unwrap_err();
        announced.take(&artifact("s::c", "huge", u64::MAX)).unwrap_err();
        let mut many = Announced::default();
        let refused = (0..=MOST_FILES).find(|n| many.take(&artifact("s::c", &n.to_string(), 1)).is_err());
        assert_eq!(refused, Some(MOST_FILES));
    }

    #[test]
    fn an_attempt_makes_its_own_files() {
        let mut announced = Announced::default();
        for (case, path) in [("s::c", "old"), ("s::c2", "other"), ("s::c", "a/b"), ("s::c", "old")] {
            announced.take(&artifact(case, path, 5)).unwrap();
        }
        assert_eq!(announced.bytes(), Some(15));
        assert_eq!(announced.part_with(&"s::c".into()).bytes(), Some(10));
        announced.take(&artifact("s::c", "new", 0)).unwrap();
        assert_eq!(announced.bytes(), Some(5));
        let paths = Vec::from_iter(announced.in_archive().into_keys());
        assert_eq!(paths, [Path::new("s.c/new"), Path::new("s.c2/other")]);
        announced.part_with(&"s::c2".into());
        assert_eq!(announced.bytes(), Some(0), "an empty file is one");
        announced.part_with(&"s::c".into());
        assert_eq!(announced.bytes(), None);
    }
}
