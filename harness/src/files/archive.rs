//! Files as one stream, a tar archive compressed with zstd: how blobs go to a node. What comes back is [`crate::files::artifacts`]'.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use gpu_suites::id::Sha256;
use tokio::sync::mpsc;

use crate::files::content::Blob;

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

/// A file that was written since it was hashed: what is sent is what it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// As it was hashed.
    pub(crate) before: Blob,
    /// As it was sent; `None` where it is gone.
    pub(crate) now: Option<Blob>,
}

/// Up to this size a file that is being sent is held in memory, else in a temporary file.
const IN_MEMORY: usize = 8 << 20;

/// Writes blobs as a zstd tar stream, each content once, under its sha256; gives those that are others by now.
///
/// Each is copied first: files are written while they are read, and the stream has to keep what it promises.
pub(crate) fn pack(blobs: &[Blob], to: impl Write) -> io::Result<Vec<Changed>> {
    let packed = zstd::Encoder::new(io::BufWriter::with_capacity(CHUNK, to), LEVEL)?;
    let mut tar = tar::Builder::new(packed);
    let mut contents: BTreeMap<&Sha256, Vec<&Blob>> = BTreeMap::new();
    for blob in blobs {
        contents.entry(&blob.sha256).or_default().push(blob);
    }
    let mut sent = BTreeSet::new();
    let mut changed = Vec::new();
    for (sha256, files) in contents {
        let mut others = Vec::new();
        for before in files {
            let mut copy = tempfile::spooled_tempfile(IN_MEMORY);
            let now = match Blob::copy(&before.path, &mut copy) {
                Ok(now) => Some(Blob { name: before.name.clone(), ..now }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(about(&before.path, &error)),
            };
            if let Some(now) = now.as_ref().filter(|now| sent.insert(now.sha256.clone())) {
                append(&mut tar, now, copy)?;
            }
            if now.as_ref().is_some_and(|now| now.sha256 == *sha256) {
                // Another file of the same content has it still: so has the node, for all of them.
                others.clear();
                break;
            }
            others.push(Changed { before: before.clone(), now });
        }
        changed.extend(others);
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(changed)
}

fn append(tar: &mut tar::Builder<impl Write>, blob: &Blob, mut content: impl Read + Seek) -> io::Result<()> {
    content.rewind()?;
    let mut header = tar::Header::new_gnu();
    header.set_size(blob.bytes);
    header.set_mode(0o444);
    tar.append_data(&mut header, blob.sha256.as_str(), content)
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
    use std::fs;

    use gpu_suites::spec::InputPath;

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

    /// The contents of a packed stream, each held against its name.
    fn contents(packed: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(zstd::Decoder::new(packed).unwrap());
        let contents = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&content)), name);
            (name, content)
        });
        contents.collect()
    }

    #[test]
    fn a_file_that_was_written_since_it_was_hashed_goes_as_it_is_now_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let blob = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            Blob::read(&path).unwrap().named(InputPath(name.into()))
        };
        let names =
            [("grew", "1"), ("shrank", "22222"), ("gone", "3"), ("still", "4"), ("twin", "4"), ("same", "5")];
        let blobs = names.map(|(name, content)| blob(name, content));
        for (name, content) in [("grew", "1 and more"), ("shrank", ""), ("still", "another")] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        fs::remove_file(folder.path().join("gone")).unwrap();
        let mut packed = Vec::new();
        let changed = pack(&blobs, &mut packed).unwrap();
        let told = |changed: &Changed| {
            let name = changed.before.name.clone().unwrap().0;
            (name, changed.now.as_ref().map(|now| now.bytes))
        };
        let mut told = Vec::from_iter(changed.iter().map(told));
        told.sort_unstable();
        let wanted =
            [("gone".to_owned(), None), ("grew".to_owned(), Some(10)), ("shrank".to_owned(), Some(0))];
        assert_eq!(told, wanted, "a content that another file has still is no change");
        let sent = contents(&packed);
        for content in ["1 and more", "", "4", "5"] {
            assert!(sent.values().any(|sent| sent == content.as_bytes()), "{content:?}");
        }
    }
}
