//! Files by what is in them: a local file with its sha256, ready to be sent to a node's store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gpu_suites::beneath;
use gpu_suites::id::Sha256;
use gpu_suites::spec::InputPath;
use sha2::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub path: PathBuf,
    pub sha256: Sha256,
    pub bytes: u64,
    pub executable: bool,
    /// What a plan calls it, where it is an input of a case.
    pub name: Option<InputPath>,
}

impl Blob {
    /// Reads and hashes a file of the user's choice.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::at(&path.canonicalize()?)
    }

    /// Reads and hashes the file at an absolute path; a part of it that has become a link is not followed.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::copy(path, &mut io::sink())
    }

    /// The same, called so by a plan.
    #[must_use]
    pub fn named(self, name: InputPath) -> Self {
        Self { name: Some(name), ..self }
    }

    /// As [`Blob::at`], and writes what was read to `to`: whoever else writes the file meanwhile, the copy is what the hash says.
    pub fn copy(path: &Path, to: &mut impl Write) -> io::Result<Self> {
        let file = regular(beneath::open(path)?)?;
        let metadata = file.metadata()?;
        // What is written to its end meanwhile may never end.
        let mut file = file.take(metadata.len());
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            to.write_all(&buffer[..count])?;
            bytes += count as u64;
        }
        let sha256 = Sha256(hex::encode(hasher.finalize()));
        let executable = metadata.permissions().mode() & 0o111 != 0;
        Ok(Self { path: path.into(), sha256, bytes, executable, name: None })
    }
}

/// Opens a regular file; whatever else has its name is refused at once, and never waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    regular(beneath::open(&path.canonicalize()?)?)
}

fn regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, not a file", kind_name(kind))))
}

/// What something is that is no file and no link.
pub(crate) fn kind_name(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(Blob::read(&pipe).unwrap_err().to_string().contains("a named pipe"));
        assert!(Blob::read(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
        assert!(Blob::read(folder.path()).unwrap_err().to_string().contains("a folder"));
    }
}
