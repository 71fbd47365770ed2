//! Where the events of one case go: into the records of the holder's run, and to the test that asked for the case.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gpu_suites::event::{Event, NodeState, Record};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use tokio::sync::mpsc::UnboundedSender;

use crate::recorder::{Recorder, RecorderError, Records};
use crate::report::{Reporter, RunState};

/// The records of one case of a run that several may be running in.
pub(super) struct OfCase {
    pub(super) run: Rc<RefCell<Recorder>>,
    pub(super) case: CaseId,
    /// To the test.
    pub(super) said: UnboundedSender<String>,
}

impl Records for OfCase {
    fn keep(&mut self, event: Event) -> Result<(), RecorderError> {
        self.run.borrow_mut().own(event)
    }

    fn node(&mut self, record: Record) -> Result<(), RecorderError> {
        // A test that has ended reads no more.
        let _ = self.said.send(format!("{}\n", record.to_line()));
        self.run.borrow_mut().node(record)
    }

    /// The node is the holder's: what one case sees of its life is not worth telling for each, but for its loss.
    fn node_is(&mut self, state: NodeState, detail: &str) -> Result<(), RecorderError> {
        match state {
            NodeState::Lost => self.run.borrow_mut().node_is(state, detail),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), RecorderError> {
        self.run.borrow_mut().flush()
    }

    fn tick(&mut self) -> Result<(), RecorderError> {
        self.run.borrow_mut().tick()
    }

    fn files_came(&mut self) -> Result<(), RecorderError> {
        self.run.borrow_mut().files_of_case_came(&self.case)
    }

    fn has_artifacts(&self) -> bool {
        self.run.borrow().state().case(&self.case).is_some_and(|case| !case.artifacts.is_empty())
    }

    fn folder(&self) -> PathBuf {
        self.run.borrow().folder().to_owned()
    }
}

/// Shows nothing: the tests do.
pub(super) struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Record, _: &RunState) {}

    fn finish(&mut self, _: &RunState, _: &Path, _: Exit) {}
}
