//! `gpu-harness run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use gpu_suites::unit::Span;

use super::failure::Failure;
use super::{Bounds, Choice, is_live, runtime};
use crate::config::Location;
use crate::holder::command;
use crate::report::terminal::{self, Verbosity};
use crate::run::{RunContext, RunOptions};

/// Flags of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The node:
  local                     this machine (a process of its own, as on any node)
  ssh://[user@]host[:port]  a machine that is there; its host key must be in known_hosts
  NAME                      a node in gpu-harness.yaml; its `default:` is used where --node is absent. One of
                            provider ec2 is made for the run, and given back after it

Examples:
  gpu-harness run --node ssh://ubuntu@gpu-box --timeout 20m
  gpu-harness run suites/overfit-one-image.yaml --case '*unet*' -v
  gpu-harness run --junit test-results/gpu.xml --retries 1
  gpu-harness run --node cloud -- cargo nextest run  one node for all that the command starts")]
pub(super) struct Run {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    bounds: Bounds,
    /// Also write the JUnit report to this file
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,
    /// Keep the node for so long where a case is not good, and print the ssh command that gets in
    #[arg(long, value_name = "D")]
    keep_node_on_failure: Option<Span>,
    /// Stop after the first case that is not good
    #[arg(long)]
    fail_fast: bool,
    /// Try a case that failed, errored or timed out again, up to N times
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// Add the run to the history in this folder or `s3://BUCKET/PREFIX`, judge it by the runs before [default:
    /// `history:` of gpu-harness.yaml]
    #[arg(long, value_name = "PLACE")]
    history: Option<Location>,
    /// Print only what is wrong, and the summary
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print every log line and every check
    #[arg(short, long)]
    verbose: bool,
    /// A command to run with the node in place of suites, e.g. `cargo nextest run`; its exit status is passed on
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["suites", "cases", "junit", "out", "timeout", "wait", "max_cost", "keep_node_on_failure", "fail_fast", "retries", "history", "quiet", "verbose"])]
    command: Vec<OsString>,
}

impl Run {
    /// Whether everything is to be told.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        if !self.command.is_empty() {
            let here = super::here()?;
            let runtime = runtime()?;
            let code = runtime.block_on(command::run(self.bounds.node, self.command, &here, Vec::new()));
            runtime.shutdown_background();
            return Ok(code?.code);
        }
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let here = super::here()?;
        let reporter = terminal::reporter(is_live(&here), verbosity, &here.env);
        let asked = RunOptions {
            junit: self.junit,
            keep_node_on_failure: self.keep_node_on_failure,
            fail_fast: self.fail_fast,
            retries: self.retries,
            history: self.history,
            ..self.choice.within(self.bounds)
        };
        let context = RunContext::new(here, reporter);
        let runtime = runtime()?;
        let exit = runtime.block_on(crate::run::run(context, asked));
        // A thread that still waits for a dead connection must not keep the process.
        runtime.shutdown_background();
        Ok(exit?.into())
    }
}
