//! Hears the harness's requests, one JSON object a line, and passes renewals and cancellations on at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gpu_suites::lines::{self, End, TooLong};
use gpu_suites::seal::Key;
use gpu_suites::wire::Request;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::control::{Control, Wire};
use crate::folder::{Folder, RunDir};

/// The longest request that is taken: a plan with thousands of cases.
const LONGEST: usize = 16 << 20;

#[derive(Debug)]
pub(super) enum Heard {
    Request(Request),
    Nonsense(String),
    /// The harness says no more.
    End,
}

/// The listening thread, seen from the answering one.
#[derive(Debug)]
pub(super) struct Hearing {
    heard: Receiver<Heard>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Readable when there is something to see to.
    bell: OwnedFd,
    renewals: AtomicU64,
    /// The run that renewals and cancellations are about.
    attended: Mutex<Option<Attended>>,
    folder: Folder,
}

/// The run that this conversation is about.
#[derive(Debug)]
struct Attended {
    dir: RunDir,
    wire: Wire,
}

impl Attended {
    fn open(dir: &RunDir, key: Key) -> io::Result<Self> {
        Ok(Self { wire: Wire::open(dir, key)?, dir: dir.clone() })
    }
}

impl Hearing {
    pub(super) fn begin(folder: Folder) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared =
            Arc::new(Shared { bell, renewals: AtomicU64::new(0), attended: Mutex::new(None), folder });
        let (tell, heard) = sync_channel(1);
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("hear".into()).spawn(move || listener.listen(&tell))?;
        Ok(Self { heard, shared })
    }

    pub(super) fn next(&self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    pub(super) fn renewals(&self) -> u64 {
        self.shared.renewals.load(Ordering::Acquire)
    }

    /// From now on renewals and cancellations are about this run.
    pub(super) fn attend(&self, dir: &RunDir, key: Key) -> io::Result<()> {
        *self.shared.attended() = Some(Attended::open(dir, key)?);
        Ok(())
    }

    pub(super) fn attended(&self) -> Option<RunDir> {
        self.shared.attended().as_ref().map(|attended| attended.dir.clone())
    }

    /// Passes something on to the run that is attended to, if any is.
    pub(super) fn pass_on(&self, control: Control) {
        self.shared.send(control);
    }

    /// Waits until something was heard, `journal` has changed or `patience` is over.
    pub(super) fn wait(&self, journal: Option<BorrowedFd<'_>>, patience: Option<Timespec>) -> io::Result<()> {
        let mut fds = vec![PollFd::new(&self.shared.bell, PollFlags::IN)];
        fds.extend(journal.map(|journal| PollFd::from_borrowed_fd(journal, PollFlags::IN)));
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drain(self.shared.bell.as_fd());
        journal.into_iter().for_each(drain);
        Ok(())
    }
}

fn drain(fd: BorrowedFd<'_>) {
    let mut buffer = [0_u8; 4096];
    while rustix::io::read(fd, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
}

impl Shared {
    fn attended(&self) -> MutexGuard<'_, Option<Attended>> {
        self.attended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, tell: &SyncSender<Heard>) {
        let mut lines = lines::Reader::new(io::stdin().lock(), LONGEST);
        loop {
            match lines.next_line() {
                Ok(Some((line, End::Newline))) => match serde_json::from_slice(line) {
                    Ok(request) => self.hear(tell, request),
                    Err(error) => self.tell(tell, Heard::Nonsense(error.to_string())),
                },
                Ok(Some((_, End::TooLong))) => {
                    self.tell(tell, Heard::Nonsense(TooLong { most: LONGEST }.to_string()));
                }
                // Half a line is what a cut connection leaves.
                Ok(Some((_, End::Stream)) | None) | Err(_) => return self.tell(tell, Heard::End),
            }
        }
    }

    fn hear(&self, tell: &SyncSender<Heard>, request: Request) {
        match &request {
            Request::Renew => {
                self.send(Control::Renew);
                self.renewals.fetch_add(1, Ordering::Release);
                self.ring();
                return;
            }
            Request::Cancel { reason, limit } => {
                self.send(Control::Cancel { reason: reason.clone(), limit: *limit });
            }
            // So that a renewal right behind it reaches the run though the answer is still being made.
            Request::Attach { run, key, .. } if run.is_valid() => {
                let dir = self.folder.run(run);
                *self.attended() = Attended::open(&dir, key.clone()).ok();
            }
            _ => {}
        }
        self.tell(tell, Heard::Request(request));
    }

    fn send(&self, control: Control) {
        if let Some(attended) = self.attended().as_ref() {
            attended.wire.send(control);
        }
    }

    fn tell(&self, tell: &SyncSender<Heard>, heard: Heard) {
        // The bell first: where the channel is full, the other thread must come and empty it. And after it, since
        // that thread may have looked in between.
        self.ring();
        let _ = tell.send(heard);
        self.ring();
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}
