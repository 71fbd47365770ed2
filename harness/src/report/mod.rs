//! How results reach a person: every report is a fold over the run's events.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`fold`] | what do the events so far amount to? |
//! | [`case`] | what is known of one case? |

pub mod case;
pub mod excerpt;
pub mod fold;
pub mod series;

use std::path::Path;

use gpu_suites::event::Record;
use gpu_suites::exit::Exit;

pub use fold::RunState;

/// Something that shows a run while it goes on.
pub trait Reporter {
    /// Something happened; `state` has it folded in already.
    fn event(&mut self, record: &Record, state: &RunState);

    /// The run is over, its files are in `run_dir`.
    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit);
}
