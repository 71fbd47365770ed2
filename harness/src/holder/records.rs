//! Where the events of one case go: into the records of the holder's run, and to the test that asked for the case.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gpu_suites::event::{Event, NodeState, Record};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;

use super::responder::Responder;
use crate::recorder::{Recorder, Records};
use crate::report::{Reporter, RunState};

/// The records of one case of a run that several may be running in.
pub(super) struct CaseRecords {
    pub(super) run: Rc<RefCell<Recorder>>,
    pub(super) case: CaseId,
    pub(super) said: Responder,
}

impl Records for CaseRecords {
    fn keep(&mut self, event: Event) {
        self.run.borrow_mut().own(event);
    }

    fn node(&mut self, record: Record) {
        self.said.record(&record);
        self.run.borrow_mut().node(record);
    }

    /// The node is the holder's: what one case sees of its life is not worth telling for each, but for its loss.
    fn node_is(&mut self, state: NodeState, detail: &str) {
        if state == NodeState::Lost {
            self.run.borrow_mut().node_is(state, detail);
        }
    }

    fn is_broken(&self) -> bool {
        self.run.borrow().is_broken()
    }

    fn has_room(&self) -> bool {
        self.run.borrow().has_room() && self.said.has_room()
    }

    fn files_came(&mut self) {
        self.run.borrow_mut().files_of_case_came(&self.case);
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
