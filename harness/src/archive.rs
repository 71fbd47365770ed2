//! Files as one stream, a tar archive compressed with zstd: how blobs go to a node. What comes back is [`crate::artifacts`]'.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use gpu_suites::beneath;
use tokio::sync::mpsc;

use crate::content::Blob;

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
        let content = beneath::open(&blob.path)?.take(blob.bytes);
        tar.append_data(&mut header, blob.sha256.as_str(), content)?;
    }
    tar.into_inner()?.finish()?.flush()
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

    #[test]
    fn a_blob_goes_under_its_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "hello").unwrap();
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
