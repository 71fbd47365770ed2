//! Keeps everything that happens: each event goes to `events.ndjson` first, then to the reports that are made of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gpu_suites::event::{CaseFinished, Event, Node, NodeState, Record, TestsUnread};
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, NodeName};
use gpu_suites::outcome::Outcome;

use crate::event_log::{EventLog, EventLogError};
use crate::report::case::{CaseState, Phase};
use crate::report::{self, LogFiles, ReportError, Reporter, RunState};
use crate::run_dir::RunDir;

/// JUnit is written again after a case ended, but not more often than this: a thousand cases must not cost a
/// thousand whole reports.
const JUNIT_PAUSE: Duration = Duration::from_secs(1);
/// The page is larger, and for people: of a run that goes on it may be a little behind.
const PAGE_PAUSE: Duration = Duration::from_secs(15);

/// What a session tells: where its events go.
pub trait Records {
    /// Keeps an event that the harness itself saw.
    fn keep(&mut self, event: Event) -> Result<(), RecorderError>;
    /// Keeps a record of the node's journal. Call [`Records::flush`] after the last of a batch.
    fn node(&mut self, record: Record) -> Result<(), RecorderError>;
    /// Keeps that the node reached a state.
    fn node_is(&mut self, state: NodeState, detail: &str) -> Result<(), RecorderError>;
    /// Hands everything so far to the operating system, so that a killed harness leaves it behind.
    fn flush(&mut self) -> Result<(), RecorderError>;
    /// Writes the reports that have become due.
    fn tick(&mut self) -> Result<(), RecorderError>;
    /// Files that cases made have come: what they say of their own tests counts from now on.
    fn files_came(&mut self) -> Result<(), RecorderError>;
    /// Whether a case made files that are worth fetching.
    fn has_artifacts(&self) -> bool;
    /// The run's folder.
    fn folder(&self) -> PathBuf;
}

/// The records of one run.
pub struct Recorder {
    folder: RunDir,
    node: NodeName,
    junit: Option<PathBuf>,
    log: EventLog,
    state: RunState,
    logs: LogFiles,
    reporter: Box<dyn Reporter>,
    junit_due: bool,
    junit_at: Option<Instant>,
    page_at: Instant,
}

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The events cannot be written.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// A report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl Records for Recorder {
    fn keep(&mut self, event: Event) -> Result<(), RecorderError> {
        self.own(event)
    }

    fn node(&mut self, record: Record) -> Result<(), RecorderError> {
        Self::node(self, record)
    }

    fn node_is(&mut self, state: NodeState, detail: &str) -> Result<(), RecorderError> {
        Self::node_is(self, state, detail)
    }

    fn flush(&mut self) -> Result<(), RecorderError> {
        Self::flush(self)
    }

    fn tick(&mut self) -> Result<(), RecorderError> {
        Self::tick(self)
    }

    fn files_came(&mut self) -> Result<(), RecorderError> {
        let cases = Vec::from_iter(self.state.cases().iter().map(|case| case.id().clone()));
        cases.iter().try_for_each(|case| self.files_of_case_came(case))
    }

    fn has_artifacts(&self) -> bool {
        self.state.cases().iter().any(|case| !case.artifacts.is_empty())
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
        let logs = LogFiles::new(&folder.path);
        let state = RunState::default();
        let page_at = Instant::now();
        Ok(Self {
            folder,
            node,
            junit,
            log,
            state,
            logs,
            reporter,
            junit_due: false,
            junit_at: None,
            page_at,
        })
    }

    /// What the events so far amount to.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Keeps an event that the harness itself saw.
    pub fn own(&mut self, event: impl Into<Event>) -> Result<(), RecorderError> {
        let record = self.log.own(event)?;
        self.take(&record)?;
        self.flush()
    }

    /// The node that runs now.
    pub fn node_name(&self) -> &NodeName {
        &self.node
    }

    /// From here on the node is this one, e.g. `cloud/i-0abc`: a run may have several, one after another.
    pub fn on_node(&mut self, node: NodeName) {
        self.node = node;
    }

    /// Keeps that the node reached a state.
    pub fn node_is(&mut self, state: NodeState, detail: &str) -> Result<(), RecorderError> {
        self.own(Node { node: self.node.clone(), state, detail: detail.to_owned() })
    }

    /// Keeps a record of the node's journal. Call [`Recorder::flush`] after the last of a batch.
    pub fn node(&mut self, record: Record) -> Result<(), RecorderError> {
        let record = self.log.from_node(&self.node, record)?;
        self.take(&record)
    }

    fn take(&mut self, record: &Record) -> Result<(), RecorderError> {
        self.state.apply(record);
        self.logs.take(record)?;
        self.reporter.event(record, &self.state);
        self.junit_due |= matches!(record.event, Event::CaseFinished(_) | Event::RunCreated(_));
        Ok(())
    }

    /// Hands everything so far to the operating system, so that a killed harness leaves it behind.
    pub fn flush(&mut self) -> Result<(), RecorderError> {
        self.log.flush()?;
        self.tick()
    }

    /// Files that a case made have come: where its own tests' reports cannot be read, it has not passed.
    pub fn files_of_case_came(&mut self, case: &CaseId) -> Result<(), RecorderError> {
        let passed = |case: &&CaseState| case.last_ended().is_some_and(|end| end.outcome == Outcome::Passed);
        let Some(state) = self.state.case(case).filter(passed) else { return Ok(()) };
        let reports = report::unread(state, &self.folder.path);
        if reports.is_empty() { Ok(()) } else { self.own(TestsUnread { case: case.clone(), reports }) }
    }

    /// Writes the reports that have become due.
    pub fn tick(&mut self) -> Result<(), RecorderError> {
        if self.junit_due && self.junit_at.is_none_or(|at| at.elapsed() >= JUNIT_PAUSE) {
            self.write_junit()?;
            if self.page_at.elapsed() >= PAGE_PAUSE {
                report::html::write(&self.state, &self.folder.path)?;
                self.page_at = Instant::now();
            }
        }
        Ok(())
    }

    fn write_junit(&mut self) -> Result<(), RecorderError> {
        self.junit_due = false;
        self.junit_at = Some(Instant::now());
        report::write_junit(&self.state, &self.folder.path, self.junit.as_deref())?;
        Ok(())
    }

    /// Gives every case that did not finish its outcome.
    pub fn end_unfinished(&mut self, outcome: Outcome, reason: &str) -> Result<(), RecorderError> {
        let unfinished = self.state.cases().iter().filter(|case| case.phase != Phase::Finished);
        let endings: Vec<CaseFinished> = unfinished
            .map(|case| CaseFinished {
                case: case.id().clone(),
                attempt: case.attempt,
                outcome,
                reason: Some(reason.to_owned()),
                seconds: self.state.ending(case).seconds,
            })
            .collect();
        for ending in endings {
            self.own(ending)?;
        }
        Ok(())
    }

    /// Writes the last reports, shows the summary, and gives what it all amounts to.
    pub fn finish(mut self, exit: Exit) -> Result<RunState, RecorderError> {
        self.log.flush()?;
        self.logs.flush()?;
        self.write_junit()?;
        report::write_receipt(&self.state, &self.folder.path)?;
        report::write_summary(&self.state, &self.folder.path)?;
        let page = report::html::write(&self.state, &self.folder.path);
        // Whatever becomes of the page: how the run ended is said.
        self.reporter.finish(&self.state, &self.folder.path, exit);
        page?;
        Ok(self.state)
    }
}
