//! A large file to a node, quicker than one stream can carry it.
//!
//! An ssh server lets 2 MiB of a channel's input be on the way, so at a round trip of 40 ms one channel carries 50 MiB/s
//! at best, and scp no more. Windows are the channels', though: several commands on one connection, each of which
//! writes its stripe of the file, together fill the wire.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{Command, ExitStatus, Transport, TransportError, quote};

/// Channels at once: a server opens 10 (`MaxSessions`) unless told otherwise, and others are in use.
const STRIPES: u64 = 6;
/// Less than this is not worth another channel.
const SMALLEST: u64 = 1 << 20;
/// What is read from the file and written to a channel at once; stripes begin at multiples of it.
const CHUNK: u32 = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("read {path} to send it")]
    Read { path: String, source: io::Error },
    #[error("write {path} on the node: dd ended with {status} and said: {said}")]
    Write { path: String, status: ExitStatus, said: String },
}

impl Transport {
    /// Copies a file to `to`, a path on the node where nothing is yet, in stripes side by side. What arrives is for the
    /// caller to verify, as after any copy.
    pub async fn upload(&self, file: &Path, to: &str) -> Result<(), UploadError> {
        let failed = |source| UploadError::Read { path: file.display().to_string(), source };
        let opened = Arc::new(File::open(file).map_err(failed)?);
        let length = opened.metadata().map_err(failed)?.len();
        let stripe = length.div_ceil(STRIPES).max(SMALLEST).next_multiple_of(u64::from(CHUNK));
        let mut stripes = tokio::task::JoinSet::new();
        for start in (0..length.max(1)).step_by(usize::try_from(stripe).unwrap_or(usize::MAX)) {
            let seek = start / u64::from(CHUNK);
            let line = format!("exec dd bs={CHUNK} seek={seek} conv=notrunc of={}", quote(to));
            let exec = self.exec(Command::shell(line)).await?;
            let part = Part {
                file: Arc::clone(&opened),
                path: file.display().to_string(),
                start,
                end: length.min(start + stripe),
            };
            stripes.spawn(send(exec, part, to.to_owned()));
        }
        // The first failure drops the others, and that ends them.
        while let Some(sent) = stripes.join_next().await {
            sent.unwrap_or(Err(TransportError::Gone.into()))?;
        }
        Ok(())
    }
}

struct Part {
    file: Arc<File>,
    path: String,
    start: u64,
    end: u64,
}

async fn send(mut exec: super::Exec, part: Part, to: String) -> Result<(), UploadError> {
    let mut at = part.start;
    while at < part.end {
        let length = usize::try_from((part.end - at).min(u64::from(CHUNK))).unwrap_or_default();
        let file = Arc::clone(&part.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; length];
            file.read_exact_at(&mut chunk, at).map(|()| chunk)
        });
        let chunk = read.await.map_err(io::Error::other).flatten();
        let chunk = chunk.map_err(|source| UploadError::Read { path: part.path.clone(), source })?;
        if exec.stdin.write(chunk).await.is_err() {
            // How the writer ended says more.
            break;
        }
        at += length as u64;
    }
    match exec.wait().await? {
        ExitStatus::Code(0) if at >= part.end => Ok(()),
        status => Err(UploadError::Write { path: to, status, said: exec.stderr_text().trim().to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_any_length_arrives_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("it's to"));
        for length in [0, 1, 1 << 20, (1 << 20) + 1, 9_999_999] {
            let data: Vec<u8> =
                (0..length).map(|i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
            std::fs::write(&from, &data).unwrap();
            let _ = std::fs::remove_file(&to);
            Transport::local().upload(&from, to.to_str().unwrap()).await.unwrap();
            assert!(std::fs::read(&to).unwrap() == data, "{length} bytes differ");
        }
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        std::fs::write(&from, vec![0; 5 << 20]).unwrap();
        let error = Transport::local().upload(&from, "/no/such/folder/file").await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("write /no/such/folder/file on the node: dd ended with exit code 1"),
            "{text}"
        );
        assert!(text.contains("No such file"), "{text}");
    }
}
