//! `gpu-harness cargo …`, and what cargo calls then.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::runtime;
use crate::cargo_runner;

/// Flags of `cargo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything behind `cargo` is cargo's: tests are built and listed here, each test binary is sent to the node once, and runs
there with the files beside its manifest. Works for `cargo test`, `cargo nextest run`, `cargo bench` and `cargo run`.

Examples:
  gpu-harness cargo --node gpu test -p mycrate
  gpu-harness cargo --node ssh://ubuntu@gpu-box nextest run
  gpu-harness cargo --env HF_TOKEN test -- --nocapture")]
pub(super) struct Cargo {
    /// Where to run: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE", env = "GPU_HARNESS_NODE")]
    node: Option<String>,
    /// Send this variable along with each test; may be repeated
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// cargo's own command and flags
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "CARGO")]
    arguments: Vec<OsString>,
}

impl Cargo {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let here = super::here()?;
        let runtime = runtime()?;
        let code = runtime.block_on(cargo_runner::cargo::run(self.node, self.arguments, &self.env, &here));
        runtime.shutdown_background();
        Ok(code?)
    }
}

/// What cargo says to a target's runner.
#[derive(Debug, clap::Args)]
pub(super) struct TargetRunner {
    /// The test binary
    binary: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl TargetRunner {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        Ok(cargo_runner::run(&self.binary, &self.arguments, &super::here()?)?)
    }
}
