//! Is a run's supervisor alive? It holds a lock on a file of the run's folder, which the kernel releases when it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;

use crate::folder::RunDir;

/// The lock, held. Whoever inherits its file descriptor holds it too.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// `None` where somebody holds it.
    pub(crate) fn take(dir: &RunDir) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether somebody holds it; a folder that is gone has nobody.
    pub(crate) fn is_held(dir: &RunDir) -> bool {
        let Ok(file) = File::open(dir.lock()) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

impl From<Lock> for OwnedFd {
    fn from(lock: Lock) -> Self {
        lock.0.into()
    }
}

impl From<OwnedFd> for Lock {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}
