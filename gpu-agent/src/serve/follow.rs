//! Sends a run's journal from a numbered line on, whole lines only, and goes on as it grows.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use gpu_suites::wire::Reply;
use rustix::event::Timespec;
use rustix::fs::inotify;

use crate::folder::RunDir;
use crate::lock::Lock;

/// How much of the journal is read at once.
const BLOCK: usize = 256 << 10;
/// Far more than any line has.
const LONGEST: usize = 4 << 20;

/// How long to wait for the file system to tell before looking by oneself: it does not tell of every death.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The same where the file system tells nothing.
const LOOK_OFTEN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Lines were sent; there may be more.
    Sent,
    /// There is nothing to send now.
    Idle,
    /// All was sent, and no supervisor is there to write more, though the run has not ended.
    Gone,
}

/// The journal, being sent.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) dir: RunDir,
    journal: File,
    /// Where the node has no more of these, the journal is looked at in short intervals.
    watch: Option<OwnedFd>,
    /// Where the next whole line begins.
    offset: u64,
    /// Lines that the harness has already.
    skip: u64,
    block: Vec<u8>,
    started: bool,
    finished: bool,
}

impl Follower {
    pub(super) fn open(dir: RunDir, from: u64) -> io::Result<Self> {
        let journal = File::open(dir.journal())?;
        let watch = watch(&dir).ok();
        Ok(Self {
            dir,
            journal,
            watch,
            offset: 0,
            skip: from,
            block: vec![0; BLOCK],
            started: false,
            finished: false,
        })
    }

    /// Readable when the journal has changed.
    pub(super) fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// How long to wait at most before looking at the journal.
    pub(super) fn patience(&self) -> Timespec {
        if self.watch.is_some() { LOOK } else { LOOK_OFTEN }
    }

    /// Sends the next lines.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        // Asked before the journal is read: what a supervisor wrote before it died is then seen.
        let alive = self.finished || Lock::is_held(&self.dir);
        let count = self.journal.read_at(&mut self.block, self.offset)?;
        let Some(end) = memchr::memrchr(b'\n', &self.block[..count]) else {
            if count == self.block.len() && count < LONGEST {
                self.block.resize(2 * count, 0);
                return Ok(Step::Sent);
            }
            return Ok(if alive { Step::Idle } else { Step::Gone });
        };
        let whole = end + 1;
        if !self.started {
            self.started = true;
            let started = serde_json::to_string(&Reply::Started)? + "\n";
            io::stdout().lock().write_all(started.as_bytes())?;
        }
        let known = known(&self.block[..whole], &mut self.skip);
        self.finished |= is_last(&self.block[..whole]);
        let mut out = io::stdout().lock();
        out.write_all(&self.block[known..whole])?;
        out.flush()?;
        self.offset += whole as u64;
        Ok(Step::Sent)
    }
}

fn watch(dir: &RunDir) -> io::Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let changes =
        inotify::WatchFlags::MODIFY | inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::DELETE_SELF;
    inotify::add_watch(&watch, dir.journal(), changes)?;
    Ok(watch)
}

/// The length of the lines that the harness has already: line N has the number N, since the journal has no gap.
fn known(lines: &[u8], skip: &mut u64) -> usize {
    let mut known = 0;
    for end in memchr::memchr_iter(b'\n', lines) {
        if *skip == 0 {
            break;
        }
        *skip -= 1;
        known = end + 1;
    }
    known
}

/// Whether whole lines end with the run's last event.
fn is_last(lines: &[u8]) -> bool {
    let body = lines.strip_suffix(b"\n").unwrap_or(lines);
    let last = memchr::memrchr(b'\n', body).map_or(body, |end| &body[end + 1..]);
    // The agent's own lines have `kind` before any text of a case.
    let head = &last[..last.len().min(96)];
    memchr::memmem::find(head, b",\"kind\":\"run-finished\"").is_some()
}

pub(super) fn has_finished(dir: &RunDir) -> bool {
    let tail = || {
        let mut file = File::open(dir.journal())?;
        let size = file.seek(SeekFrom::End(0))?;
        let start = size.saturating_sub(LONGEST as u64);
        let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        io::Result::Ok(bytes)
    };
    tail().is_ok_and(|bytes| is_last(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_the_harness_has_are_left_out() {
        for (lines, skip, rest, left) in [
            ("a\nb\nc\n", 0, "a\nb\nc\n", 0),
            ("a\nb\nc\n", 2, "c\n", 0),
            ("a\nb\nc\n", 3, "", 0),
            ("a\nb\nc\n", 5, "", 2),
        ] {
            let mut to_skip = skip;
            let known = known(lines.as_bytes(), &mut to_skip);
            assert_eq!((&lines[known..], to_skip), (rest, left), "{lines:?} {skip}");
        }
    }

    #[test]
    fn a_case_cannot_write_the_end_of_the_run() {
        let log = "{\"seq\":7,\"at\":\"2026-11-22T21:00:00.123456789Z\",\"kind\":\"log\",\"case\":\"a::b\",\
                   \"stream\":\"stdout\",\"text\":\",\\\"kind\\\":\\\"run-finished\\\"\"}\n";
        assert!(!is_last(log.as_bytes()));
        let end = "{\"seq\":8,\"at\":\"2026-11-22T21:00:00.123456789Z\",\"kind\":\"run-finished\"}\n";
        assert!(is_last(format!("{log}{end}").as_bytes()));
    }
}
