//! What a case has written down about itself, read from its files.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::super::case::CaseState;
use crate::files::results;

/// The longest record that is read.
const LONGEST: u64 = 8 << 20;

/// A file of the case that the node told of and that was fetched.
pub(super) fn path(run_dir: &Path, case: &CaseState, name: &str) -> Option<PathBuf> {
    case.artifacts.iter().find(|artifact| artifact.path == name)?;
    let path = results::artifact(run_dir, case.id(), name)?;
    // Never through a link: it could lead anywhere.
    path.symlink_metadata().is_ok_and(|found| found.is_file()).then_some(path)
}

/// Its content, unless it is longer than so many bytes.
pub(super) fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(most + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= most).then_some(content)
}

/// A record, as far as it says what is asked for.
pub(super) fn read<T: DeserializeOwned>(run_dir: &Path, case: &CaseState, name: &str) -> Option<T> {
    serde_json::from_slice(&bytes(&path(run_dir, case, name)?, LONGEST)?).ok()
}
