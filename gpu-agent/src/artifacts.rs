//! Which files of a case come back: regular files below its artifact folder, in order, as long as there is room.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gpu_suites::id::Sha256;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256 as Hasher};

/// The most bytes and files of one run that come back.
const MOST_BYTES: u64 = 1 << 30;
const MOST_FILES: usize = 10_000;
/// The deepest folder that is looked into.
const MOST_DEPTH: usize = 32;

/// What a run's artifacts may still take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    bytes: u64,
    files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MOST_BYTES, files: MOST_FILES }
    }
}

/// A file that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path below the artifact folder.
    pub(crate) path: PathBuf,
    /// Where it lies.
    pub(crate) at: PathBuf,
    pub(crate) bytes: u64,
}

/// The artifacts of a case.
#[derive(Debug, Default)]
pub(crate) struct Artifacts {
    pub(crate) files: Vec<Found>,
    /// What does not come back, and why, in a sentence each.
    pub(crate) left_out: Vec<String>,
}

/// Finds a case's artifacts and takes them off the budget. Links are not followed.
pub(crate) fn of_case(folder: &Path, budget: &mut Budget) -> Artifacts {
    let mut artifacts = Artifacts::default();
    let (mut beyond, mut beyond_bytes) = (0_usize, 0_u64);
    walk(folder, Path::new(""), 0, &mut |path, bytes| {
        if budget.files == 0 || bytes > budget.bytes {
            beyond += 1;
            beyond_bytes += bytes;
            return;
        }
        budget.files -= 1;
        budget.bytes -= bytes;
        artifacts.files.push(Found { at: folder.join(&path), path, bytes });
    });
    if beyond > 0 {
        artifacts.left_out.push(format!(
            "{beyond} artifacts ({beyond_bytes} bytes) are left out: a run's artifacts may take {MOST_BYTES} bytes and \
             be {MOST_FILES} files"
        ));
    }
    artifacts
}

fn walk(folder: &Path, below: &Path, depth: usize, each: &mut impl FnMut(PathBuf, u64)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    for name in names {
        let path = below.join(&name);
        match fs::symlink_metadata(folder.join(&name)) {
            // A name that is not UTF-8 could not be told.
            Ok(data) if data.is_file() && name.to_str().is_some() => each(path, data.len()),
            Ok(data) if data.is_dir() && depth < MOST_DEPTH && name.to_str().is_some() => {
                walk(&folder.join(&name), &path, depth + 1, each);
            }
            _ => {}
        }
    }
}

/// Opens a file that was found, unless it has become a link.
pub(crate) fn open(file: &Found) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(&file.at)
}

/// The content's sha256 and size.
pub(crate) fn hash(file: &Found) -> io::Result<(Sha256, u64)> {
    let mut content = open(file)?.take(MOST_BYTES);
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; 64 << 10], 0);
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok((Sha256(hex::encode(hasher.finalize())), bytes)),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}
