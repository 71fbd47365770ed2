//! Wakes a thread that waits in `poll`.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The end that is waited on.
#[derive(Debug)]
pub(super) struct Wakeup {
    receiver: UnixStream,
    pending: Arc<AtomicBool>,
}

/// The end that wakes.
#[derive(Debug)]
pub(super) struct Waker {
    sender: UnixStream,
    pending: Arc<AtomicBool>,
}

pub(super) fn wake_up() -> io::Result<(Waker, Wakeup)> {
    let (sender, receiver) = UnixStream::pair()?;
    sender.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    let pending = Arc::new(AtomicBool::new(false));
    Ok((Waker { sender, pending: Arc::clone(&pending) }, Wakeup { receiver, pending }))
}

impl Waker {
    /// Makes the thread look again; cheap where it was already told to.
    pub(super) fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // A full socket wakes just as well.
            let _ = (&self.sender).write(&[0]);
        }
    }
}

impl Wakeup {
    /// To be called after `poll` and before looking at what may have changed: whatever changes later wakes again.
    pub(super) fn clear(&self, readable: bool) {
        if readable {
            // Not tied to the flag: the byte of a wake-up may come after its flag was seen.
            let _ = (&self.receiver).read(&mut [0; 64]);
        }
        self.pending.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
