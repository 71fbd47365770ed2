//! Reads what a case writes, one thread a stream, into the supervisor's bounded inbox: where the supervisor is behind,
//! the case waits, and nothing piles up.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use gpu_suites::event::Stream;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// The most that is read at once.
const CHUNK: usize = 64 << 10;

/// What the supervisor's main loop is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A piece of a stream of the case.
    Log(Stream, Vec<u8>),
    /// A piece of what was written to the metrics FIFO.
    Metrics(Vec<u8>),
    /// A reader has read all there is.
    Drained,
    /// The case's process has ended; it is not reaped yet.
    Exited,
    /// The harness said something.
    Woken,
}

/// Makes a message of what was read.
type Wrap = fn(Vec<u8>) -> Message;

#[derive(Debug)]
pub(super) struct Readers {
    stop: Arc<OwnedFd>,
}

impl Readers {
    /// How many [`Message::Drained`] come in the end.
    pub(super) const COUNT: usize = 3;

    pub(super) fn start(
        [out, err, metrics]: [OwnedFd; Self::COUNT],
        process: Pid,
        outbox: &SyncSender<Message>,
    ) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let streams: [(&str, OwnedFd, Wrap); Self::COUNT] = [
            ("stdout", out, |bytes| Message::Log(Stream::Stdout, bytes)),
            ("stderr", err, |bytes| Message::Log(Stream::Stderr, bytes)),
            ("metrics", metrics, Message::Metrics),
        ];
        for (name, fd, wrap) in streams {
            rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
            let (stop, outbox) = (Arc::clone(&stop), outbox.clone());
            std::thread::Builder::new().name(name.into()).spawn(move || {
                read(&fd, &stop, |bytes| outbox.send(wrap(bytes)).is_ok());
                let _ = outbox.send(Message::Drained);
            })?;
        }
        let outbox = outbox.clone();
        std::thread::Builder::new().name("wait".into()).spawn(move || {
            // Not reaped here: until the main loop has ended the process group, its number must stay taken.
            let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(process), end).is_err_and(|error| error == Errno::INTR) {}
            let _ = outbox.send(Message::Exited);
        })?;
        Ok(Self { stop })
    }

    /// Nobody writes any more: the readers end when they have read what is there.
    pub(super) fn drain(&self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }
}

/// Reads until the end of the file, or until `stop` is readable and nothing is left.
fn read(fd: &OwnedFd, stop: &OwnedFd, mut send: impl FnMut(Vec<u8>) -> bool) {
    let mut buffer = vec![0; CHUNK];
    let mut stopped = false;
    loop {
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if !send(buffer[..count].to_vec()) {
                    return;
                }
            }
            Err(Errno::AGAIN) if stopped => return,
            Err(Errno::AGAIN) => {
                let mut fds =
                    [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
                let _ = poll(&mut fds, None);
                stopped = !fds[1].revents().is_empty();
            }
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
