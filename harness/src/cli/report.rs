//! `gpu-harness report`.

use std::path::PathBuf;

use gpu_suites::exit::Exit;

use super::failure::Failure;
use crate::ci::Service;
use crate::report;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every report is made from RUN_DIR/events.ndjson alone. A case that had not finished when the events end is an error,
never a pass. The exit code is the one that the run would have had.

Example:
  gpu-harness report gpu-harness-runs/latest --junit junit.xml")]
pub(super) struct Report {
    /// The run's folder, e.g. gpu-harness-runs/latest
    #[arg(value_name = "RUN_DIR")]
    run_dir: PathBuf,
    /// Also write the JUnit report to this file
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,
    /// Also tell the CI service whose step this is: GitHub's page of the step and annotations, Bitbucket's Code Insights
    #[arg(long)]
    ci: bool,
}

impl Report {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let state = report::render(&self.run_dir, self.junit.as_deref())?;
        let look = report::look::Look { colour: console::colors_enabled(), width: None };
        crate::text::streams::say(&report::summary::summary(&state, look));
        let here = super::here()?;
        if let (true, Some(service)) = (self.ci, Service::of(&here.env)) {
            super::runtime()?.block_on(service.tell(&state, state.exit(), &here));
        }
        Ok(state.exit())
    }
}
