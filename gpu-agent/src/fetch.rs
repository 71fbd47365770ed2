//! Sends a run's artifacts: a zstd tar stream with `CASE/PATH` entries.

use std::fs;
use std::io::{self, Read};

use gpu_suites::id::RunId;

use crate::artifacts::{self, Budget};
use crate::folder::{Folder, RunDir};

#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("run {run:?} is not on this node; its lease may have ended")]
    NoSuchRun { run: String },
    #[error("failed to send the artifacts of run {run}")]
    Send { run: RunId, source: io::Error },
}

pub(crate) fn fetch(folder: &Folder, run: &RunId) -> Result<(), FetchError> {
    let dir = folder.run(run);
    if !run.is_valid() || !dir.cases().is_dir() {
        return Err(FetchError::NoSuchRun { run: run.as_str().to_owned() });
    }
    send(&dir).map_err(|source| FetchError::Send { run: run.clone(), source })
}

fn send(dir: &RunDir) -> io::Result<()> {
    let out = io::BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let mut tar = tar::Builder::new(zstd::Encoder::new(out, 3)?);
    let mut cases: Vec<_> = fs::read_dir(dir.cases())?.flatten().map(|entry| entry.file_name()).collect();
    cases.sort_unstable();
    let mut budget = Budget::default();
    for case in cases {
        for file in artifacts::of_case(&dir.cases().join(&case).join("artifacts"), &mut budget).files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.bytes);
            header.set_mode(0o600);
            // A file that is still being written has the size that was announced, whatever becomes of it.
            let content = artifacts::open(&file)?.chain(io::repeat(0)).take(file.bytes);
            tar.append_data(&mut header, std::path::Path::new(&case).join(&file.path), content)?;
        }
    }
    let mut out = tar.into_inner()?.finish()?;
    io::Write::flush(&mut out)
}
