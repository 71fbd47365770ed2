//! The thread that writes: events, logs, reports, and what a person sees.
//!
//! It has a fold of its own over the same records, so that no report is rendered while a lease waits to be renewed. Its
//! first error is kept: nothing more is written to the log then, but everything is shown.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gpu_suites::event::{Event, Record};
use gpu_suites::exit::Exit;

use super::RecorderError;
use super::event_log::EventLog;
use crate::report::junit::JUnit;
use crate::report::look::Look;
use crate::report::{LogFiles, REPORTS, Report, Reporter, RunState, list};

/// How soon it is looked again whether a report may be written that waits for that.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that may wait to be written before a node is read more slowly.
const ROOM: usize = 8 << 20;

enum Job {
    Record(Box<Record>, String),
    Settle(SyncSender<Result<(), RecorderError>>),
    Finish(Exit),
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    broken: AtomicBool,
}

/// The thread, seen from the run.
pub(super) struct Writer {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), RecorderError>>,
}

impl Writer {
    pub(super) fn begin(desk: WriterState) -> Result<Self, RecorderError> {
        let (jobs, todo) = channel();
        let shared = Arc::new(Shared::default());
        let of_thread = Shares(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("records".into());
        let thread = thread.spawn(move || desk.work(&todo, &of_thread)).map_err(RecorderError::Thread)?;
        Ok(Self { jobs, shared, thread })
    }

    pub(super) fn write(&self, record: Record) {
        let line = record.to_line();
        self.shared.queued.fetch_add(line.len(), Ordering::Relaxed);
        // A thread that has panicked is told of at the end.
        let _ = self.jobs.send(Job::Record(Box::new(record), line));
    }

    pub(super) fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    pub(super) fn has_room(&self) -> bool {
        self.is_broken() || self.shared.queued.load(Ordering::Relaxed) < ROOM
    }

    pub(super) fn settle(&self) -> Result<(), RecorderError> {
        let (tell, told) = sync_channel(1);
        let _ = self.jobs.send(Job::Settle(tell));
        told.recv().unwrap_or(Ok(()))
    }

    /// Has the last reports written; `state` is what the records amount to.
    pub(super) fn finish(self, exit: Exit, state: &RunState) -> Result<(), RecorderError> {
        let _ = self.jobs.send(Job::Finish(exit));
        drop(self.jobs);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => {
                // By now everything is given back, or this says what is not.
                tell_receipt(state);
                resume_unwind(panic)
            }
        }
    }
}

/// The thread's hold on what is shared: when it is let go, whatever the cause, nothing more is written.
struct Shares(Arc<Shared>);

impl Drop for Shares {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::Relaxed);
    }
}

/// What the thread works with.
pub(super) struct WriterState {
    folder: PathBuf,
    junit: Option<PathBuf>,
    log: EventLog,
    logs: LogFiles,
    state: RunState,
    reporter: Box<dyn Reporter>,
    /// When each report was written last, and whether a case has ended since.
    written: [(Option<Instant>, bool); REPORTS.len()],
    begun: Instant,
    trouble: Option<RecorderError>,
}

impl WriterState {
    pub(super) fn new(
        folder: PathBuf,
        junit: Option<PathBuf>,
        log: EventLog,
        reporter: Box<dyn Reporter>,
    ) -> Self {
        Self {
            logs: LogFiles::new(&folder),
            folder,
            junit,
            log,
            state: RunState::default(),
            reporter,
            written: [(None, false); REPORTS.len()],
            begun: Instant::now(),
            trouble: None,
        }
    }

    /// Does what there is to do until the end; gives the first trouble.
    fn work(mut self, todo: &Receiver<Job>, shares: &Shares) -> Result<(), RecorderError> {
        loop {
            let job = if let Ok(job) = todo.try_recv() {
                Ok(job)
            } else {
                // Nothing waits: what was kept goes to the operating system before anything else comes.
                self.flush();
                shares.0.broken.store(self.trouble.is_some(), Ordering::Relaxed);
                todo.recv_timeout(if self.is_behind() { LOOK } else { Duration::MAX })
            };
            match job {
                Ok(Job::Record(record, line)) => {
                    self.take(&record, &line);
                    shares.0.queued.fetch_sub(line.len(), Ordering::Relaxed);
                }
                Ok(Job::Settle(tell)) => {
                    self.flush();
                    let _ = tell.send(self.trouble.take().map_or(Ok(()), Err));
                }
                Ok(Job::Finish(exit)) => {
                    self.finish(exit);
                    return self.trouble.map_or(Ok(()), Err);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.trouble.map_or(Ok(()), Err),
            }
        }
    }

    fn take(&mut self, record: &Record, line: &str) {
        self.keep(|desk| Ok(desk.log.append(line)?));
        self.state.apply(record);
        self.keep(|desk| Ok(desk.logs.take(record)?));
        self.reporter.event(record, &self.state);
        if matches!(record.event, Event::CaseFinished(_) | Event::RunCreated(_)) {
            self.written.iter_mut().for_each(|(_, is_behind)| *is_behind = true);
        }
    }

    /// Writes something, unless something could not be written before.
    fn keep(&mut self, write: impl FnOnce(&mut Self) -> Result<(), RecorderError>) {
        if self.trouble.is_none() {
            self.trouble = write(self).err();
        }
    }

    /// Hands the events to the operating system, so that a killed harness leaves them behind, and writes the reports that
    /// have become due.
    fn flush(&mut self) {
        self.keep(|desk| Ok(desk.log.flush()?));
        for (place, report) in REPORTS.into_iter().enumerate() {
            let (at, is_behind) = self.written[place];
            let Some(pause) = report.pause() else { continue };
            // What may be written often is there from the first moment on, so that a run that is killed has it.
            let is_due = at.unwrap_or(self.begun).elapsed() >= pause || at.is_none() && pause <= LOOK;
            if is_behind && is_due {
                self.keep(|desk| desk.write(report));
                self.written[place] = (Some(Instant::now()), false);
            }
        }
    }

    /// Whether a report that is written meanwhile lacks a case.
    fn is_behind(&self) -> bool {
        REPORTS
            .iter()
            .zip(&self.written)
            .any(|(report, (_, is_behind))| report.pause().is_some() && *is_behind)
    }

    fn write(&self, report: &dyn Report) -> Result<(), RecorderError> {
        list::write(report, &self.state, &self.folder)?;
        match &self.junit {
            Some(path) if report.name() == JUnit.name() => {
                Ok(list::write_junit(&self.state, &self.folder, path)?)
            }
            _ => Ok(()),
        }
    }

    /// Each report is tried, whatever became of the others; how the run ended is said in any case.
    fn finish(&mut self, exit: Exit) {
        let mut written = vec![
            self.log.flush().map_err(RecorderError::from),
            self.logs.flush().map_err(RecorderError::from),
        ];
        written.extend(REPORTS.map(|report| self.write(report)));
        self.reporter.finish(&self.state, &self.folder, exit);
        if self.trouble.is_some() || written.iter().any(Result::is_err) {
            tell_receipt(&self.state);
        }
        self.trouble = self.trouble.take().or_else(|| written.into_iter().find_map(Result::err));
    }
}

/// Says what became of the nodes where nobody can read it up.
fn tell_receipt(state: &RunState) {
    use std::io::Write as _;

    let run = state.run.as_ref().map_or("", |run| run.as_str());
    for line in state.receipt.lines(run, Look::PLAIN) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
