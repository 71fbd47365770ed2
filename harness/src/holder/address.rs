//! Where a holder is found: a socket whose name follows from its owner, its node and its settings.
//!
//! Two cargo runs at once have two owners, so two holders. The folder is this user's alone: whoever can open the socket
//! can have things run on the node.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::owner::Owner;
use crate::files::cache;
use crate::here::Env;

/// The longest path of a Unix socket, with the zero byte at its end left out.
const LONGEST: usize = 107;
/// As much of a sha256 as tells holders apart.
const NAME_BYTES: usize = 8;

/// A holder's files: they lie side by side and differ in their ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub socket: PathBuf,
}

/// There is no folder for the socket.
#[derive(Debug, thiserror::Error)]
#[error("failed to find a folder of this user's own for a socket; tried {}", tried.join(", "))]
pub struct NoPlace {
    tried: Vec<String>,
}

impl Address {
    /// The address of the holder for `owner`; `settings` is all that makes another node of it.
    pub fn of(owner: &Owner, settings: &str, env: &Env) -> Result<Self, NoPlace> {
        Ok(Self::within(&folder(env)?, owner, settings))
    }

    fn within(folder: &Path, owner: &Owner, settings: &str) -> Self {
        let told = format!("{}\n{owner}\n{settings}", env!("CARGO_PKG_VERSION"));
        let name = hex::encode(&Sha256::digest(told.as_bytes())[..NAME_BYTES]);
        Self { socket: folder.join(format!("{name}.sock")) }
    }

    /// Held by whoever starts the holder.
    pub fn lock(&self) -> PathBuf {
        self.socket.with_extension("lock")
    }

    /// What the holder has to say to nobody in particular.
    pub fn log(&self) -> PathBuf {
        self.socket.with_extension("log")
    }

    /// The folder for runs whose project cannot be written to.
    pub fn runs(&self) -> PathBuf {
        self.socket.with_file_name("runs")
    }
}

/// The first of the possible folders that can be this user's alone.
fn folder(env: &Env) -> Result<PathBuf, NoPlace> {
    let mut tried = Vec::new();
    for folder in candidates(env) {
        match make(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => tried.push(format!("{}: {error}", folder.display())),
        }
    }
    Err(NoPlace { tried })
}

/// `$XDG_RUNTIME_DIR`, the cache folder, and for a user without a home a folder in `/tmp`.
fn candidates(env: &Env) -> Vec<PathBuf> {
    let runtime = env.get("XDG_RUNTIME_DIR").map(|base| PathBuf::from(base).join("gpu-harness"));
    let cache = cache::folder(env).map(|cache| cache.join("holders"));
    let user = rustix::process::getuid().as_raw();
    let temporary = PathBuf::from(format!("/tmp/gpu-harness-{user}"));
    runtime.into_iter().chain(cache).chain([temporary]).collect()
}

fn make(folder: &Path) -> io::Result<()> {
    let length = folder.as_os_str().len() + "/.sock".len() + 2 * NAME_BYTES;
    if length > LONGEST {
        return Err(io::Error::other("the path is too long for a socket"));
    }
    if !folder.is_absolute() {
        return Err(io::Error::other("the path is not absolute"));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let is_ours = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
    if !is_ours || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("others can get in"));
    }
    // It may be on a file system that nobody writes to.
    tempfile::NamedTempFile::new_in(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_can_open_or_whose_path_is_too_long_holds_no_socket() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        make(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make(&folder).unwrap_err().to_string().contains("others"));
        assert!(make(&base.path().join("x".repeat(90))).unwrap_err().to_string().contains("too long"));
        std::os::unix::fs::symlink(base.path(), base.path().join("link")).unwrap();
        assert!(make(&base.path().join("link")).is_err());
    }

    #[test]
    fn another_owner_or_another_node_is_another_holder() {
        let (one, other) = ("7:1".parse().unwrap(), "7:2".parse().unwrap());
        let address = |owner, settings| Address::within(Path::new("/holders"), owner, settings);
        assert_eq!(address(&one, "a"), address(&one, "a"));
        assert_ne!(address(&one, "a"), address(&other, "a"));
        assert_ne!(address(&one, "a"), address(&one, "b"));
    }
}
