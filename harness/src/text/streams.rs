//! This process's standard output and standard error: nothing that becomes of them is a panic, and what could not be written is
//! remembered, so that no success is told of it.
//!
//! A reader that has gone, as `head` goes, has seen enough: that is no trouble. A full disk is.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;

/// Nobody reads its output any more, as SIGPIPE says it.
pub const UNHEARD: &str = "SIGPIPE";
/// The first trouble with standard output.
static LOST: OnceLock<String> = OnceLock::new();

/// Standard output, its trouble remembered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(io::stdout().flush())
    }
}

fn noted<T>(done: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &done
        && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted)
    {
        LOST.get_or_init(|| error.to_string());
    }
    done
}

pub fn say(text: &str) {
    let _ = Stdout.write_all(text.as_bytes()).and_then(|()| Stdout.flush());
}

/// Prints a line on standard error; where that cannot be written, there is nobody to tell.
pub fn tell(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Why some of standard output was not written, where it was not.
pub fn lost() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

/// Calls `gone`, once, when nobody can read standard output any more, where that is a pipe or a socket.
pub fn when_unheard(gone: impl FnOnce() + Send + 'static) {
    let is_stream = rustix::fs::fstat(io::stdout().as_fd())
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket));
    if !is_stream {
        return;
    }
    let watch = move || {
        loop {
            // Nothing is asked for: an error is told all the same.
            let out = io::stdout();
            let mut fds = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) if fds[0].revents().intersects(PollFlags::ERR) => return gone(),
                _ => return,
            }
        }
    };
    // Without it, the next write tells.
    let _ = std::thread::Builder::new().name("unheard".into()).spawn(watch);
}
