//! The way to the outside, or its absence.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Result, bail};
use gpu_wheels::fetch::Source;
use gpu_wheels::index::Index;
use gpu_wheels::web::Web;
use sha2::{Digest, Sha256};

/// The way to the outside, or its absence.
pub(crate) enum Network {
    /// `--offline`: nothing is fetched or installed.
    Off,
    On,
}

impl Network {
    pub(crate) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    /// Where wheels are had: the index that pip uses on this machine.
    pub(crate) fn wheels(&self) -> Result<Source> {
        match self {
            Self::Off => bail!("not downloaded: --offline"),
            Self::On => Ok(Source { web: Web::connect(), index: Index::configured()? }),
        }
    }
}

/// The sha256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
