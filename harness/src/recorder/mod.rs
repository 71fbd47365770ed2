//! Keeps everything that happens: each event goes to `events.ndjson` first, then to the reports that are made of it.
//!
//! Recording never fails for whoever records: a node has to be given back whether or not there is room on the disk to tell
//! of it. What goes wrong is remembered ([`Records::is_broken`]), and told at the end. Nor does it wait: a thread of its own
//! writes ([`writer`]), and what is slow there, a disk or a terminal, delays no renewal of a lease.

mod brought;
mod event_log;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

use gpu_suites::event::{CaseFinished, Event, Node, NodeState, Record, TestsFailed, TestsUnread, Warning};
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, NodeName};
use gpu_suites::outcome::Outcome;

use crate::files::announced::Announced;
pub use crate::files::announced::Missing;
use crate::files::run_dir::RunDir;
use crate::log::RunLog;
use crate::recorder::brought::Brought;
use crate::report::case::{CaseState, Exited, Phase};
use crate::report::{self, Against, ReportError, Reporter, RunState};
pub use event_log::EventLogError;
use event_log::{EventLog, Numbering};
use writer::{Writer, WriterState};

/// What a session tells: where its events go.
pub trait Records {
    fn keep(&mut self, event: Event);
    /// Keeps a record of the node's journal.
    fn node(&mut self, record: Record);
    /// Keeps that the node reached a state.
    fn node_is(&mut self, state: NodeState, detail: &str);
    /// Whether something could not be kept: there is no use in going on.
    fn is_broken(&self) -> bool;
    /// Whether there is room for more; what is kept all the same waits in memory.
    fn has_room(&self) -> bool;
    /// Files that cases made have come: what they say of their own tests counts from now on.
    fn files_came(&mut self);
    fn folder(&self) -> PathBuf;
}

pub struct Recorder {
    folder: RunDir,
    node: NodeName,
    numbering: Numbering,
    state: RunState,
    announced: Announced,
    brought: Brought,
    writer: Writer,
    log: RunLog,
}

#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error(transparent)]
    Log(#[from] EventLogError),
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There is no thread to be had for it.
    #[error("failed to start the thread that writes the records")]
    Thread(#[source] std::io::Error),
}

impl Records for Recorder {
    fn keep(&mut self, event: Event) {
        self.own(event);
    }

    fn node(&mut self, record: Record) {
        let record = self.numbering.of_node(&self.node, record);
        self.take(record);
    }

    fn node_is(&mut self, state: NodeState, detail: &str) {
        self.own(Node { node: self.node.clone(), state, detail: detail.to_owned() });
    }

    fn is_broken(&self) -> bool {
        self.writer.is_broken()
    }

    fn has_room(&self) -> bool {
        self.writer.has_room()
    }

    fn files_came(&mut self) {
        let cases = Vec::from_iter(self.state.cases().iter().map(|case| case.id().clone()));
        for case in &cases {
            self.files_of_case_came(case);
        }
    }

    fn folder(&self) -> PathBuf {
        self.folder.path.clone()
    }
}

impl Recorder {
    /// Starts the records in a run's folder; JUnit goes there, and to `junit` too.
    pub fn create(
        folder: RunDir,
        node: NodeName,
        junit: Option<PathBuf>,
        reporter: Box<dyn Reporter>,
    ) -> Result<Self, RecorderError> {
        let log = EventLog::create(&folder.events())?;
        Self::with(log, folder, node, junit, reporter)
    }

    fn with(
        log: EventLog,
        folder: RunDir,
        node: NodeName,
        junit: Option<PathBuf>,
        reporter: Box<dyn Reporter>,
    ) -> Result<Self, RecorderError> {
        let kept = RunLog::open(&folder.path, folder.run.as_str());
        let writer = Writer::begin(WriterState::new(folder.path.clone(), junit, log, reporter))?;
        Ok(Self {
            folder,
            node,
            numbering: Numbering::default(),
            state: RunState::default(),
            announced: Announced::default(),
            brought: Brought::default(),
            writer,
            log: kept,
        })
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    pub fn own(&mut self, event: impl Into<Event>) {
        let record = self.numbering.own(event.into());
        self.take(record);
    }

    pub fn node_name(&self) -> &NodeName {
        &self.node
    }

    /// From here on the node is this one, e.g. `cloud/i-0abc`: a run may have several, one after another.
    pub fn on_node(&mut self, node: NodeName) {
        self.node = node;
    }

    fn take(&mut self, record: Record) {
        self.state.apply(&record);
        match &record.event {
            Event::CaseStarted(event) => drop(self.announced.part_with(&event.case)),
            // Only cases that the harness itself named bring files.
            Event::Artifact(event) if self.state.case(&event.case).is_some() => self.announced.note(event),
            _ => {}
        }
        self.brought.take(&record.event);
        self.writer.write(record);
    }

    /// Files that a case made have come: where its own tests' reports cannot be read, or tell of
    /// failures, it has not passed. A command that ended with another code has passed because it was to fail.
    pub fn files_of_case_came(&mut self, case: &CaseId) {
        let passed = |case: &&CaseState| case.last_ended().is_some_and(|end| end.outcome == Outcome::Passed);
        let Some(state) = self.state.case(case).filter(passed) else { return };
        let has_succeeded = state.exit == Some(Exited::Code(0));
        let Against { unread, failed, named } = report::against(state, &self.folder.path);
        if !unread.is_empty() {
            self.own(TestsUnread { case: case.clone(), reports: unread });
        }
        if failed > 0 && has_succeeded {
            self.own(TestsFailed { case: case.clone(), failed, named });
        }
    }

    /// Waits until everything so far is written, and its reports with it.
    pub fn settle(&mut self) -> Result<(), RecorderError> {
        self.writer.settle()
    }

    /// Gives this outcome to every case in such a phase.
    pub fn end(&mut self, phases: &[Phase], outcome: Outcome, reason: &str) {
        let these = self.state.cases().iter().filter(|case| phases.contains(&case.phase));
        let endings: Vec<CaseFinished> = these
            .map(|case| CaseFinished {
                case: case.id().clone(),
                attempt: case.attempt,
                outcome,
                reason: Some(reason.to_owned()),
                seconds: self.state.ending(case).seconds,
            })
            .collect();
        for ending in endings {
            self.own(ending);
        }
    }

    /// Looks for the files that nodes have announced, of one case or of all: what is not here, whole.
    pub fn missing(&mut self, only: Option<&CaseId>) -> impl Future<Output = Vec<Missing>> + use<> {
        let announced = match only {
            Some(case) => self.announced.part_with(case),
            None => std::mem::take(&mut self.announced),
        };
        let folder = self.folder.path.clone();
        let looking = tokio::task::spawn_blocking(move || announced.missing(&folder));
        async move { looking.await.unwrap_or_default() }
    }

    /// A case whose files are not here has not passed, whatever the cause: it gets this outcome, and `why` as a part of the
    /// reason.
    pub fn lacks(&mut self, missing: Vec<Missing>, outcome: Outcome, why: Option<&str>) {
        for Missing { case, what } in missing {
            let reason = why.map_or_else(|| what.clone(), |why| format!("{what}: {why}"));
            let last = self.state.case(&case).and_then(|seen| seen.last_ended());
            match last.filter(|last| last.outcome == Outcome::Passed) {
                Some(last) => {
                    let (attempt, seconds) = (last.number, last.seconds);
                    self.own(CaseFinished { case, attempt, outcome, reason: Some(reason), seconds });
                }
                None => self.own(Warning { case: Some(case), message: reason }),
            }
        }
    }

    /// Makes of the files that came, of one case or of all, what they were on the node: programs, links, empty folders.
    pub fn restore(&mut self, only: Option<&CaseId>) {
        for message in self.brought.restore(&self.folder.path, only) {
            self.own(Warning { case: only.cloned(), message });
        }
    }

    /// Writes the last reports, shows the summary, and gives what it all amounts to.
    pub fn finish(self, exit: Exit) -> Result<RunState, RecorderError> {
        let Self { writer, state, log, .. } = self;
        writer.finish(exit, &state)?;
        drop(log);
        Ok(state)
    }
}
