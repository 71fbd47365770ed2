//! How results reach a person: every report is a fold over the run's events.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`fold`] | what do the events so far amount to? |
//! | [`case`], `attempt` | what is known of one case, and how does an event change it? |
//! | [`standing`] | how does a case count, and for whose fault? |
//! | [`series`], [`excerpt`] | what is kept of a metric, of a log? |
//! | [`curve`], [`pace`] | what is kept of a metric for a plot, of the rate of steps? |
//! | [`events`] | how is `events.ndjson` read? |
//! | [`list`] | which reports are there? |
//! | [`junit`], `merged` | what does CI get? |
//! | [`markdown`] | what does a page of a CI service, a wiki or a merge request show? |
//! | [`summary`] | what does a person get at the end? |
//! | [`html`] | what does a person get who looks with a browser? |
//! | [`show`] | what does a person get who looks again? |
//! | [`receipt`] | what a cloud provided, is it gone, what did it cost? |
//! | [`terminal`] | what does a person see meanwhile? |
//! | [`log_files`] | where do the cases' logs go? |
//! | [`look`], [`words`] | how are outcomes and verdicts set? |
//! | [`finding`] | what does `doctor` say of one thing? |
//! | [`hush`] | how is a node's text kept from commanding GitHub? |

mod attempt;
pub mod case;
pub mod curve;
pub mod events;
pub mod excerpt;
pub mod finding;
pub mod fold;
pub mod html;
pub mod junit;
pub mod list;
pub mod log_files;
pub mod look;
pub mod markdown;
mod merged;
pub mod pace;
pub mod receipt;
pub mod series;
pub mod show;
pub mod standing;
pub mod stop_commands;
pub mod summary;
pub mod terminal;
pub mod words;

#[cfg(test)]
pub(crate) mod sample;

use std::io;
use std::path::{Path, PathBuf};

use gpu_suites::event::{Record, Warning};
use gpu_suites::exit::Exit;

use crate::text::Explain;

pub use crate::files::results::write_atomic;
pub use fold::RunState;
pub use list::{REPORTS, Report};
pub use log_files::LogFiles;
pub(crate) use merged::{Against, against};

/// Something that shows a run while it goes on, from the thread that writes its records.
pub trait Reporter: Send {
    /// Something happened; `state` has it folded in already.
    fn event(&mut self, record: &Record, state: &RunState);

    /// The run is over, its files are in `run_dir`.
    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit);
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("failed to read the events in {}; name the folder of a run, such as gpu-harness-runs/latest", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has no events of a run", path.display())]
    NoEvents { path: PathBuf },
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Page(#[from] crate::page::PageError),
}

impl Explain for ReportError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::NoEvents { .. } => Exit::Usage,
            Self::Write { .. } | Self::Page(_) => Exit::Infrastructure,
        }
    }
}

impl ReportError {
    fn new(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.into(), source }
    }
}

/// Makes every report of a run anew from its `events.ndjson`, however the run ended.
///
/// The logs of a run that is still going on are left to the process that writes them.
pub fn render(run_dir: &Path, junit: Option<&Path>) -> Result<RunState, ReportError> {
    let path = run_dir.join("events.ndjson");
    let mut state = RunState::default();
    let mut logs = LogFiles::new(run_dir);
    let damage = events::read(&path, |record| {
        state.apply(&record);
        logs.take(&record)
    })?;
    if state.began.is_none() {
        return Err(ReportError::NoEvents { path });
    }
    logs.flush()?;
    if damage.lines > 0 {
        let message =
            format!("events.ndjson is damaged: lines that are no events were left out: {}", damage.lines);
        state.warn(&Warning { case: None, message }, true);
    }
    if !logs.is_written_elsewhere() {
        state.cut_off();
    }
    for report in REPORTS {
        list::write(report, &state, run_dir)?;
    }
    if let Some(path) = junit {
        list::write_junit(&state, run_dir, path)?;
    }
    Ok(state)
}

/// The state of a run as its `events.ndjson` tells it; nothing is written.
pub fn read(run_dir: &Path) -> Result<RunState, ReportError> {
    let path = run_dir.join("events.ndjson");
    let mut state = RunState::default();
    events::read(&path, |record| {
        state.apply(&record);
        Ok(())
    })?;
    if state.began.is_none() {
        return Err(ReportError::NoEvents { path });
    }
    if !LogFiles::new(run_dir).is_written_elsewhere() {
        state.cut_off();
    }
    Ok(state)
}

#[cfg(test)]
mod tests;
