//! The artifacts that a node has announced: what of them comes back is these files, of these sizes, with these contents.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use gpu_suites::event::Artifact;
use gpu_suites::id::{CaseId, Sha256};

/// The most that a run's artifacts may take here, in bytes.
pub(crate) const MOST_BYTES: u64 = 1 << 30;
/// The most files that a run's artifacts may be.
pub(crate) const MOST_FILES: usize = 10_000;
/// The longest path of one: no system has longer ones.
pub(crate) const LONGEST_PATH: usize = 4096;

/// A file that a case has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// The files of a run's cases, by their paths in the archive that brings them: `SUITE.CASE/PATH`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    files: BTreeMap<PathBuf, Announcement>,
    bytes: u64,
}

impl Announced {
    /// Takes note of a file; an error says why no agent announces such a one.
    pub(crate) fn take(&mut self, artifact: &Artifact) -> Result<(), String> {
        let path = Path::new(&artifact.path);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if artifact.path.is_empty() || !is_below || artifact.path.len() > LONGEST_PATH {
            return Err("an artifact whose path is none below a folder".into());
        }
        if !artifact.sha256.is_valid() {
            return Err("an artifact whose sha256 is none".into());
        }
        let announcement = Announcement { bytes: artifact.bytes, sha256: artifact.sha256.clone() };
        self.bytes = self.bytes.saturating_add(artifact.bytes);
        if let Some(old) = self.files.insert(Path::new(&artifact.case.folder()).join(path), announcement) {
            self.bytes -= old.bytes;
        }
        if self.files.len() > MOST_FILES || self.bytes > MOST_BYTES {
            return Err(format!("more than {MOST_FILES} artifacts, or {MOST_BYTES} bytes of them"));
        }
        Ok(())
    }

    /// A case begins anew: what an earlier attempt has made is no more.
    pub(crate) fn forget(&mut self, case: &CaseId) {
        let folder = case.folder();
        self.files.retain(|path, _| !path.starts_with(&folder));
        self.bytes = self.files.values().map(|file| file.bytes).sum();
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Announcement> {
        self.files.get(path)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
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
        for (case, path) in [("s::c", "old"), ("s::c2", "other"), ("s::c", "a/b")] {
            announced.take(&artifact(case, path, 1)).unwrap();
        }
        announced.forget(&"s::c".into());
        announced.take(&artifact("s::c", "new", 1)).unwrap();
        assert_eq!(Vec::from_iter(announced.paths()), [Path::new("s.c/new"), Path::new("s.c2/other")]);
    }
}
