//! `gpu-harness golden`.

use std::path::PathBuf;

use gpu_suites::exit::Exit;

use super::failure::Failure;
use super::{Choice, say};
use crate::plan::Selection;
use crate::plan::golden;
use crate::run::RunError;
use crate::text::clean::log_line;

/// Flags of `golden`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A `train` case with `golden: FILE` is held to the losses that the file has for its device, bit by bit. This adds those of a
run, in place of what the file has of the same device; look at the change, and commit it.

Examples:
  gpu-harness golden                                    the latest run
  gpu-harness golden --run gpu-harness-runs/20261122-214503-7f3a9c01 --case 'unet*'")]
pub(super) struct Golden {
    #[command(flatten)]
    choice: Choice,
    /// The run's folder
    #[arg(long, value_name = "RUN_DIR", default_value = "gpu-harness-runs/latest")]
    run: PathBuf,
}

impl Golden {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let here = super::here()?;
        let selection =
            Selection::read(&self.choice.suites, &self.choice.cases, &here.folder).map_err(RunError::from)?;
        let outcomes = golden::add(&self.run, &selection, &here.env)?;
        for added in &outcomes.added {
            let (case, path) = (log_line(added.case.as_str()), added.path.display());
            say(&format!("{case}: {} losses of {} in {path}\n", added.steps, log_line(&added.key)));
        }
        for (case, why) in &outcomes.left_out {
            say(&format!("{}: left out: {}\n", log_line(case.as_str()), log_line(why)));
        }
        if outcomes.added.is_empty() && outcomes.left_out.is_empty() {
            return Err(Failure::usage(
                "no case that was chosen names a file of golden losses (`golden: FILE` under `train:`)",
            ));
        }
        Ok(if outcomes.added.is_empty() { Exit::CheckFailed } else { Exit::AllPassed })
    }
}
