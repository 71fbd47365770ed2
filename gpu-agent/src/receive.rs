//! Takes blobs into the store: a zstd tar stream of files named by their sha256, each verified before it gets its name.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gpu_suites::id::Sha256;
use gpu_suites::wire::{Refusal, Reply};
use sha2::{Digest, Sha256 as Hasher};

use crate::folder::Folder;
use crate::streams;

/// Receives from standard input and prints one reply.
pub(crate) fn command() -> ExitCode {
    let folder = Folder::from_environment()
        .map_err(|error| Refusal::Unwritable { path: "~/.cache".into(), cause: error.to_string() });
    let (reply, code) = match folder.and_then(|folder| receive(&folder, io::stdin().lock())) {
        Ok(reply) => (reply, ExitCode::SUCCESS),
        Err(error) => (Reply::Refused { error }, ExitCode::FAILURE),
    };
    match serde_json::to_string(&reply).map_err(io::Error::from).and_then(|line| streams::say(&line)) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Refusal + '_ {
    |error| Refusal::Unwritable { path: path.display().to_string(), cause: error.to_string() }
}

fn broken(error: &io::Error) -> Refusal {
    Refusal::BadRequest { cause: format!("the stream of blobs is broken: {error}") }
}

fn receive(folder: &Folder, from: impl Read) -> Result<Reply, Refusal> {
    folder.prepare().map_err(|(path, error)| unwritable(&path)(error))?;
    let unpacked = zstd::Decoder::new(from).map_err(|error| broken(&error))?;
    let mut tar = tar::Archive::new(unpacked);
    let (mut blobs, mut bytes) = (0, 0);
    for entry in tar.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        let sha256 = name_of(&entry)?;
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        bytes += keep(folder, &sha256, executable, &mut entry)?;
        blobs += 1;
    }
    // What was renamed is only safe with its folder.
    File::open(folder.store()).and_then(|store| store.sync_all()).map_err(unwritable(&folder.store()))?;
    Ok(Reply::Received { blobs, bytes })
}

/// The entry's name, where it is a regular file whose name is a sha256 and nothing else.
fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Sha256, Refusal> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let sha256 = Sha256(name);
    if entry.header().entry_type().is_file() && sha256.is_valid() {
        return Ok(sha256);
    }
    Err(Refusal::BadRequest {
        cause: format!("{:?} is no blob: a regular file named by its sha256", sha256.as_str()),
    })
}

/// A file that goes again unless it gets its name.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn keep(folder: &Folder, sha256: &Sha256, executable: bool, content: &mut impl Read) -> Result<u64, Refusal> {
    let partial =
        Partial(folder.store().join(format!(".tmp-{}-{}", std::process::id(), &sha256.as_str()[..16])));
    let blob = folder.blob(sha256);
    let write_error = unwritable(&partial.0);
    let mut file = File::create(&partial.0).map_err(&write_error)?;
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; 256 << 10], 0);
    loop {
        match content.read(&mut buffer).map_err(|error| broken(&error))? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count]).map_err(&write_error)?;
                bytes += count as u64;
            }
        }
    }
    let got = Sha256(hex::encode(hasher.finalize()));
    if got != *sha256 {
        return Err(Refusal::Damaged { wanted: sha256.clone(), got });
    }
    let mode = Permissions::from_mode(if executable { 0o555 } else { 0o444 });
    file.set_permissions(mode).and_then(|()| file.sync_all()).map_err(&write_error)?;
    drop(file);
    fs::rename(&partial.0, &blob).map_err(unwritable(&blob))?;
    Ok(bytes)
}
