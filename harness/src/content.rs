//! Files by what is in them: a local file with its sha256, ready to be sent to a node's store.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gpu_suites::beneath;
use gpu_suites::id::Sha256;
use sha2::Digest;

/// A local file and its content's sha256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Where it lies here.
    pub path: PathBuf,
    /// Its content.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it is a program.
    pub executable: bool,
}

impl Blob {
    /// Reads and hashes a file of the user's choice.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::at(&path.canonicalize()?)
    }

    /// Reads and hashes the file at an absolute path; a part of it that has become a link is not followed.
    pub fn at(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let mut file = beneath::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            bytes += count as u64;
        }
        let sha256 = Sha256(hex::encode(hasher.finalize()));
        let executable = metadata.permissions().mode() & 0o111 != 0;
        Ok(Self { path: path.into(), sha256, bytes, executable })
    }
}
