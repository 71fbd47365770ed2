//! What earlier runs measured, kept for the verdict on the next one. See docs/history.md.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`line`] | what is kept of a case, and under which key? |
//! | [`fold`] | what does a run amount to? |
//! | [`object`] | what does a run's object look like, and is it whole? |
//! | [`store`] | how are objects put there without ever overwriting one? |
//! | [`read`] | what does the history say, and what in it cannot be read? |
//! | [`series`] | which values belong together? |
//! | [`judge`] | what does it say of a run? |
//! | [`quarantine`] | whose failures do not count today? |
//! | [`show`] | how does a person read it? |
//! | [`html`] | and with a browser? |
//! | [`sql`] | how is it asked in SQL? |

pub mod fold;
pub mod html;
pub mod judge;
pub mod line;
pub mod object;
pub mod quarantine;
pub mod read;
pub mod series;
pub mod show;
pub mod sql;
pub mod store;

use std::path::Path;

use gpu_suites::exit::Exit;

pub use gpu_stores::StoreError;
pub use line::{Key, Line};
pub use read::{History, Skipped};
pub use store::{Put, Store};

use crate::report::{self, ReportError, RunState};
use crate::text::Explain;

#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It has no name, so that it could be added twice.
    #[error("the events name no run, so it cannot be told whether it is in the history already")]
    NoRun,
    #[error("run {run} has not ended; add it when it has")]
    GoesOn { run: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for AddError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Report(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::NoRun | Self::GoesOn { .. } => Exit::Usage,
        }
    }
}

pub fn add(run_dir: &Path, store: &Store) -> Result<Put, AddError> {
    let state = report::read(run_dir)?;
    if state.closed.is_none() && !state.cut_off {
        return Err(AddError::GoesOn { run: state.run.map(|run| run.0).unwrap_or_default() });
    }
    append(&state, store)
}

/// Adds a run that has ended. One that is there already is left as it is.
pub fn append(state: &RunState, store: &Store) -> Result<Put, AddError> {
    let run = state.run.as_ref().filter(|run| run.is_valid()).ok_or(AddError::NoRun)?;
    let object = object::write(run, &fold::lines(state));
    Ok(store.put_if_absent(&object::name(run), object.as_bytes())?)
}
