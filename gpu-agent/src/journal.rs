//! The run's journal: every event as a line on disk before anybody is sent it, also when the disk is full.
//!
//! Lines are collected and written in batches. Where a write fails, the torn line is cut off, the rest is kept in
//! memory, and [`Journal::trouble`] says so: the supervisor ends the running case, and [`Journal::rescue`] gives up the
//! reserve, a file made while there was room, so that the endings fit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_suites::budget;
use gpu_suites::event::{Event, Record};
use gpu_suites::seal::{Key, Sealing};
use jiff::Timestamp;

use crate::folder::RunDir;

/// Room for the endings: thousands of them.
const RESERVE: u64 = 1 << 20;
/// Lines are written at the latest when there is so much of them.
const BATCH: usize = 64 << 10;
/// How often, and for how long, a write is tried again once the reserve was given up.
const RESCUE_TRIES: u32 = 50;
const RESCUE_PAUSE: Duration = Duration::from_millis(100);

/// The journal, being written.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    reserve: PathBuf,
    next: u64,
    /// Bytes on disk, whole lines all of them.
    written: u64,
    waiting: Vec<u8>,
    sealing: Sealing,
    trouble: Option<String>,
}

impl Journal {
    pub(crate) fn create(dir: &RunDir) -> io::Result<Self> {
        let path = dir.journal();
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.set_len(0)?;
        let reserve = dir.reserve();
        if !reserve.exists() {
            set_aside(&reserve)?;
        }
        let waiting = Vec::with_capacity(2 * BATCH);
        Ok(Self {
            file,
            path,
            reserve,
            next: 0,
            written: 0,
            waiting,
            sealing: Sealing::default(),
            trouble: None,
        })
    }

    /// Adds an event. It is on disk after the next [`Journal::flush`]. Gives what it costs of the run's budget.
    pub(crate) fn append(&mut self, event: impl Into<Event>) -> u64 {
        let record = Record { seq: self.next, at: Timestamp::now(), from: None, event: event.into() };
        let before = self.waiting.len();
        if serde_json::to_writer(&mut self.waiting, &record).is_ok() {
            self.sealing.line(&self.waiting[before..]);
            self.waiting.push(b'\n');
            self.next += 1;
        }
        let cost = budget::cost(self.waiting.len() - before);
        if self.waiting.len() >= BATCH && self.trouble.is_none() {
            self.flush();
        }
        cost
    }

    /// The seal under all lines so far.
    pub(crate) fn seal(&self, key: &Key) -> String {
        self.sealing.seal(key)
    }

    /// Writes what waits. An error is kept as the journal's trouble.
    pub(crate) fn flush(&mut self) {
        if let Err(error) = self.write() {
            let free = rustix::fs::statvfs(&self.path)
                .map_or(String::new(), |stat| format!(" ({} bytes are free)", stat.f_bavail * stat.f_frsize));
            let what = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the node's disk is full",
                _ => "the node's disk cannot be written",
            };
            self.trouble.get_or_insert(format!(
                "{what}: {}: {error}{free}; make room there, or name another folder with GPU_HARNESS_CACHE",
                self.path.display()
            ));
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.waiting.len() {
            match self.file.write(&self.waiting[done..]) {
                Ok(0) => return self.torn(done, io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.torn(done, error),
            }
        }
        self.written += done as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Keeps the whole lines of what was written, and cuts the torn one off.
    fn torn(&mut self, done: usize, error: io::Error) -> io::Result<()> {
        let whole = memchr::memrchr(b'\n', &self.waiting[..done]).map_or(0, |end| end + 1);
        self.written += whole as u64;
        self.waiting.drain(..whole);
        self.file.set_len(self.written)?;
        Err(error)
    }

    /// Why the journal cannot be written, where it cannot.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Gives up the reserve and writes what waits. Called when nothing runs that could take the room.
    pub(crate) fn rescue(&mut self) -> io::Result<()> {
        let _ = fs::remove_file(&self.reserve);
        let mut last = Ok(());
        for _ in 0..RESCUE_TRIES {
            last = self.write();
            if last.is_ok() {
                return last;
            }
            std::thread::sleep(RESCUE_PAUSE);
        }
        last
    }
}

pub(crate) fn set_aside(reserve: &Path) -> io::Result<()> {
    let mut file = File::create(reserve)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE) {
        Ok(()) => Ok(()),
        // Not every file system can; real bytes do as well.
        Err(rustix::io::Errno::OPNOTSUPP) => io::copy(&mut io::repeat(1).take(RESERVE), &mut file).map(drop),
        Err(error) => Err(error.into()),
    }
}
