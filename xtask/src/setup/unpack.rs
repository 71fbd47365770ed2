//! Takes the wanted files out of a zip archive (a wheel is one).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::progress::Progress;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("failed to open {}", archive.display())]
    Open {
        archive: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {} out of {}", entry, archive.display())]
    Read {
        archive: PathBuf,
        entry: String,
        #[source]
        source: ZipError,
    },
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Unpacks every file for which `place` names one, relative to `into`. Returns how many there were.
pub(crate) fn unpack(
    archive: &Path,
    into: &Path,
    label: &str,
    place: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, UnpackError> {
    let file =
        File::open(archive).map_err(|source| UnpackError::Open { archive: archive.to_owned(), source })?;
    let failed = |entry: &str, source| UnpackError::Read {
        archive: archive.to_owned(),
        entry: entry.to_owned(),
        source,
    };
    let mut zip = ZipArchive::new(file).map_err(|source| failed("the table of contents", source))?;
    let mut wanted = Vec::new();
    let mut total = 0;
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(|source| failed("an entry", source))?;
        if let Some(relative) = place(entry.name()).filter(|path| entry.is_file() && stays_below(path)) {
            total += entry.size();
            wanted.push((index, relative));
        }
    }
    let mut progress = Progress::new(label, Some(total), 0);
    for (index, relative) in &wanted {
        let mut entry = zip.by_index(*index).map_err(|source| failed("an entry", source))?;
        let name = entry.name().to_owned();
        copy(&mut entry, &into.join(relative), &mut progress)
            .map_err(|error| error.map_read(|source| failed(&name, source.into())))?;
    }
    progress.finish();
    Ok(wanted.len())
}

/// An archive must not write outside of its folder.
fn stays_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Which side of a copy failed.
enum CopyError {
    Read(io::Error),
    Write(UnpackError),
}

impl CopyError {
    fn map_read(self, read: impl FnOnce(io::Error) -> UnpackError) -> UnpackError {
        match self {
            Self::Read(error) => read(error),
            Self::Write(error) => error,
        }
    }
}

fn copy(entry: &mut impl Read, path: &Path, progress: &mut Progress) -> Result<(), CopyError> {
    let failed = |source| CopyError::Write(UnpackError::Write { path: path.to_owned(), source });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = File::create(path).map_err(failed)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match entry.read(&mut buffer).map_err(CopyError::Read)? {
            0 => return Ok(()),
            count => {
                file.write_all(&buffer[..count]).map_err(failed)?;
                progress.advance(count as u64);
            }
        }
    }
}
