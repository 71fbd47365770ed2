//! Takes members out of the bytes of a wheel: a file gets its name when it is what RECORD says of it.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};

use crate::contents::{Member, Packing, header_length};

/// A member and the file that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) member: Member,
    pub(crate) path: PathBuf,
}

impl Wanted {
    /// Whether an earlier try left the file, whole.
    pub(crate) fn is_there(&self) -> bool {
        self.path.metadata().is_ok_and(|data| data.len() == self.member.bytes)
            && File::open(&self.path).and_then(sha256).is_ok_and(|found| found == self.member.sha256)
    }
}

/// Why a member did not become a file.
#[derive(Debug)]
pub(crate) enum Unpacked {
    /// It is not what RECORD says.
    Other,
    /// Its bytes did not come.
    Read(io::Error),
    /// It cannot be written.
    Write(io::Error),
}

/// Unpacks members out of consecutive bytes that begin with the first one's own header.
pub(crate) fn unpack(wanted: &[Wanted], from: &mut dyn Read) -> Result<(), Unpacked> {
    let Some(first) = wanted.first() else { return Ok(()) };
    let mut at = first.member.range.start;
    for Wanted { member, path } in wanted {
        skip(from, member.range.start - at)?;
        one(member, path, &mut from.take(member.range.end - member.range.start))?;
        at = member.range.end;
    }
    Ok(())
}

fn one(member: &Member, path: &Path, from: &mut dyn Read) -> Result<(), Unpacked> {
    let mut fixed = [0; 30];
    from.read_exact(&mut fixed).map_err(of_packed)?;
    skip(from, header_length(&fixed).ok_or(Unpacked::Other)? - 30)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Unpacked::Write)?;
    }
    let partial = path.with_added_extension("part");
    let mut file = File::create(&partial).map_err(Unpacked::Write)?;
    let mut packed = from.take(member.packed);
    let found = match member.packing {
        Packing::Stored => copy(&mut packed, &mut file, member.bytes),
        Packing::Deflated => copy(&mut DeflateDecoder::new(&mut packed), &mut file, member.bytes),
    }?;
    if found != member.sha256 {
        let _ = fs::remove_file(&partial);
        return Err(Unpacked::Other);
    }
    fs::rename(&partial, path).map_err(Unpacked::Write)?;
    // Up to the next header.
    io::copy(from, &mut io::sink()).map_err(Unpacked::Read).map(drop)
}

/// Copies as many bytes as there should be, and one more at most; gives their SHA-256.
fn copy(from: &mut dyn Read, to: &mut File, bytes: u64) -> Result<[u8; 32], Unpacked> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut from = from.take(bytes + 1);
    loop {
        match from.read(&mut buffer).map_err(of_packed)? {
            0 => return Ok(hash.finalize().into()),
            count => {
                hash.update(&buffer[..count]);
                to.write_all(&buffer[..count]).map_err(Unpacked::Write)?;
            }
        }
    }
}

/// Bytes that end too early or cannot be inflated are other bytes than RECORD's.
fn of_packed(error: io::Error) -> Unpacked {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Unpacked::Other
        }
        _ => Unpacked::Read(error),
    }
}

fn skip(from: &mut dyn Read, bytes: u64) -> Result<(), Unpacked> {
    let skipped = io::copy(&mut from.take(bytes), &mut io::sink()).map_err(Unpacked::Read)?;
    if skipped == bytes { Ok(()) } else { Err(Unpacked::Other) }
}

fn sha256(mut file: File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}
