//! The files that nodes have announced, and whether they have arrived: by size and sha256, whatever brought them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use gpu_suites::event::{Event, Record};
use gpu_suites::id::{CaseId, Sha256};
use rustix::fs::OFlags;
use sha2::Digest as _;

use crate::report::files;

/// More files than an agent brings from a run.
const MOST: usize = 20_000;
/// As much of a name as is told.
const SHOWN: usize = 120;
/// As many names of missing files as are told.
const TOLD: usize = 3;

/// A case of which something is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The case.
    pub case: CaseId,
    /// What of it, for a person.
    pub what: String,
}

/// What has been announced and not been looked for yet.
#[derive(Debug, Default)]
pub(super) struct Announced {
    cases: BTreeMap<CaseId, BTreeMap<String, (u64, Sha256)>>,
    count: usize,
}

impl Announced {
    /// Takes in a record; those of no interest change nothing.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::RunCreated(event) if record.from.is_none() => {
                // Only cases that the harness itself named bring files.
                for case in &event.cases {
                    self.cases.entry(case.id.clone()).or_default();
                }
            }
            // Another attempt begins with an empty folder.
            Event::CaseStarted(event) => {
                if let Some(files) = self.cases.get_mut(&event.case) {
                    self.count -= files.len();
                    files.clear();
                }
            }
            Event::Artifact(event) if self.count < MOST => {
                if let Some(files) = self.cases.get_mut(&event.case) {
                    let file = (event.bytes, event.sha256.clone());
                    self.count += usize::from(files.insert(event.path.clone(), file).is_none());
                }
            }
            _ => {}
        }
    }

    /// How many bytes there are to be fetched, of one case or of all; `None` where there is nothing.
    pub(super) fn bytes(&self, only: Option<&CaseId>) -> Option<u64> {
        let cases = self.cases.iter().filter(|(case, _)| only.is_none_or(|only| only == *case));
        let files = cases.flat_map(|(_, files)| files.values());
        files
            .map(|(bytes, _)| *bytes)
            .fold(None, |all, bytes| Some(all.unwrap_or(0_u64).saturating_add(bytes)))
    }

    /// What has been announced of one case or of all; it is not asked for again.
    pub(super) fn take_of(&mut self, only: Option<&CaseId>) -> Self {
        let mut taken = Self::default();
        for (case, files) in &mut self.cases {
            if only.is_none_or(|only| only == case) {
                self.count -= files.len();
                taken.cases.insert(case.clone(), std::mem::take(files));
            }
        }
        taken
    }

    /// Of each case of which something is not here, whole: what.
    pub(super) fn missing(&self, run_dir: &Path) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (case, files) in &self.cases {
            let here = |path: &str, bytes: u64, sha256: &Sha256| {
                let place = files::artifact(run_dir, case, path);
                place.is_some_and(|place| is_whole(&place, bytes, sha256).unwrap_or(false))
            };
            let gone = files.iter().filter(|(path, (bytes, sha256))| !here(path, *bytes, sha256));
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

fn is_whole(path: &Path, bytes: u64, sha256: &Sha256) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != bytes {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (sha2::Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize()) == sha256.as_str()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
