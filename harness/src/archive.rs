//! Files as one stream: how blobs go to a node, and how artifacts come back.
//!
//! Both are tar archives compressed with zstd. What comes from a node is untrusted: only regular files are taken,
//! only below the folder that is meant for them, and only up to a limit.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path};

use tokio::sync::mpsc;

use crate::content::Blob;

/// The most that a run's artifacts may take here, in bytes.
const MOST_BYTES: u64 = 1 << 30;
/// The most files that a run's artifacts may be.
const MOST_FILES: usize = 10_000;
/// The size of the chunks that go over the wire: large writes hide the round trip.
const CHUNK: usize = 256 << 10;
/// Of zstd: on a wire of 100 MiB/s the time that a higher one takes is more than it saves.
const LEVEL: i32 = 1;

/// The file compressed by gzip, which every node can unpack without our help.
pub(crate) fn gzip(path: &Path) -> io::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    io::copy(&mut File::open(path)?, &mut packed)?;
    packed.finish()
}

/// Writes blobs as a zstd tar stream, each under its sha256.
pub(crate) fn pack(blobs: &[Blob], to: impl Write) -> io::Result<()> {
    let packed = zstd::Encoder::new(io::BufWriter::with_capacity(CHUNK, to), LEVEL)?;
    let mut tar = tar::Builder::new(packed);
    for blob in blobs {
        let mut header = tar::Header::new_gnu();
        header.set_size(blob.bytes);
        header.set_mode(if blob.executable { 0o555 } else { 0o444 });
        // A file that grew since it was hashed must not run into the next header.
        let content = File::open(&blob.path)?.take(blob.bytes);
        tar.append_data(&mut header, blob.sha256.as_str(), content)?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// Unpacks a node's artifacts, `CASE/PATH` each, to `folder/CASE/artifacts/PATH`.
pub(crate) fn unpack(from: impl Read, folder: &Path) -> io::Result<()> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(from)?);
    let mut left = MOST_BYTES;
    for (count, entry) in tar.entries()?.enumerate() {
        let entry = entry?;
        let name = entry.path()?.into_owned();
        let parts: Vec<&std::ffi::OsStr> = name
            .components()
            .map(|part| match part {
                Component::Normal(part) => Some(part),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| bad(format!("the artifact {} leaves its folder", name.display())))?;
        let [case, path @ ..] = parts.as_slice() else { continue };
        if path.is_empty() || !entry.header().entry_type().is_file() {
            continue;
        }
        if count >= MOST_FILES || entry.size() > left {
            return Err(bad(format!("more than {MOST_FILES} artifacts, or {MOST_BYTES} bytes of them")));
        }
        left -= entry.size();
        let target = path.iter().fold(folder.join(case).join("artifacts"), |at, part| at.join(part));
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        let size = entry.size();
        io::copy(&mut entry.take(size), &mut File::create(target)?)?;
    }
    Ok(())
}

fn bad(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A writer whose chunks another task sends on; it blocks while that task is behind.
#[derive(Debug)]
pub(crate) struct ChunkWriter(pub(crate) mpsc::Sender<Vec<u8>>);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader of chunks that another task receives.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    chunks: mpsc::Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl ChunkReader {
    pub(crate) fn new(chunks: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { chunks, current: io::Cursor::default() }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(2);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, &b"ok"[..]).unwrap();
        }
        zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap()
    }

    #[test]
    fn artifacts_land_in_their_case_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("run/cases");
        unpack(&archive(&["s.c/plots/loss.png"])[..], &below).unwrap();
        assert_eq!(fs::read(below.join("s.c/artifacts/plots/loss.png")).unwrap(), b"ok");
        for hostile in ["../../escaped", "s.c/../../escaped", "/tmp/escaped-from-a-node"] {
            unpack(&archive(&[hostile])[..], &below).unwrap_err();
        }
        assert!(!folder.path().join("escaped").exists());
    }

    #[test]
    fn a_blob_goes_under_its_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "hello").unwrap();
        let blob = Blob::read(&path).unwrap();
        let mut packed = Vec::new();
        pack(std::slice::from_ref(&blob), &mut packed).unwrap();
        let mut tar = tar::Archive::new(zstd::Decoder::new(&packed[..]).unwrap());
        let mut entries = tar.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some(blob.sha256.as_str()));
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
    }
}
