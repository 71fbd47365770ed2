//! `gpu-harness show`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use gpu_suites::exit::Exit;

use super::failure::Failure;
use crate::files::run_dir::DEFAULT_PARENT;
use crate::plan;
use crate::report::look::Look;
use crate::report::show::{Shown, show};
use crate::report::{self};

/// Flags of `show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads RUN_DIR/events.ndjson and changes nothing, so a run that is going on can be looked at too.

Examples:
  gpu-harness show                          the latest run
  gpu-harness show --case '*unet*'          everything about some cases: each metric, check, fact and file
  gpu-harness show gpu-harness-runs/20261122-214503-7f3a9c01")]
pub(super) struct Show {
    /// The run's folder [default: gpu-harness-runs/latest]
    #[arg(value_name = "RUN_DIR")]
    run_dir: Option<PathBuf>,
    /// Everything about the cases whose name, or `suite::name`, matches this glob; may be given several times
    #[arg(long = "case", value_name = "GLOB")]
    cases: Vec<String>,
}

impl Show {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let run_dir = self.run_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_PARENT).join("latest"));
        let state = report::read(&run_dir)?;
        let cases = plan::globs(&self.cases)?;
        let shown = Shown { everything: !cases.is_empty(), cases };
        let width = io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
        let look = Look { colour: console::colors_enabled(), width };
        crate::text::streams::say(&show(&state, &shown, look));
        Ok(Exit::AllPassed)
    }
}
