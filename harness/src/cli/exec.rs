//! `gpu-harness exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use gpu_suites::unit::Span;

use tokio::sync::mpsc::unbounded_channel;

use super::failure::Failure;
use super::{dollars, runtime};
use crate::files::run_dir::DEFAULT_PARENT;
use crate::report::terminal::Through;
use crate::run::exec::{self, ExecOptions, Ready};
use crate::run::{RunContext, RunOptions};
use crate::session::interrupt::Stop;
use crate::text::streams::{self, tell};

/// Flags of `exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Output comes as it is printed, byte for byte where it goes to a file or a pipe; the exit status is the command's, or as in a
shell 128 and the number of the signal that ended it, 127 not found, 126 not executable. Where the command could not be run
to its end, or not all of it came back: 125 trouble with the node or with this machine, 124 a limit was reached, 130
interrupted.

Examples:
  gpu-harness exec --node gpu --sync -- pytest -m gpu
  gpu-harness exec --node gpu --sync --junit report.xml -- pytest -m gpu --junitxml=report.xml
  gpu-harness exec --node ssh://ubuntu@gpu-box --sync --bring out/ --env HF_TOKEN -- python3 train.py
  gpu-harness exec --node gpu -- nvidia-smi")]
pub(super) struct Exec {
    /// Where to run: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE", env = "GPU_HARNESS_NODE")]
    node: Option<String>,
    /// Send the git working tree below this folder: what git knows or does not ignore, changes included. What the node has
    /// already is not sent again
    #[arg(long)]
    sync: bool,
    /// Send this file too, to PATH in the command's working folder; may be repeated
    #[arg(long, value_name = "FILE=PATH")]
    send: Vec<String>,
    /// Bring a file or folder back that the command leaves in its working folder (a pattern such as `*.pt` means all that it
    /// matches), to the same place here; may be repeated
    #[arg(long, value_name = "PATH")]
    bring: Vec<String>,
    /// Bring a JUnit report back (or all of a folder, or of a pattern) and make its tests part of the run's junit.xml; may be
    /// repeated
    #[arg(long = "junit-from", visible_alias = "junit", value_name = "PATH")]
    junit_from: Vec<String>,
    /// Set a variable for the command: NAME, with the value that it has here, or NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Limit of the command
    #[arg(long, value_name = "D", default_value = "1h")]
    timeout: Span,
    /// Go on asking for so long where the cloud has no capacity [default: the node's `wait:`, else 10m]
    #[arg(long, value_name = "D")]
    wait: Option<Span>,
    /// US dollars that the run may cost [default: the node's `max-cost:`]
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<f64>,
    /// Keep the node for so long where the command fails, and print the ssh command that gets in
    #[arg(long, value_name = "D")]
    keep_node_on_failure: Option<Span>,
    /// Folder that gets one folder a run, and a `latest` link
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PARENT)]
    out: PathBuf,
    /// Print only the command's own output, and what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let wanted = ExecOptions {
            command: self.command,
            sync: self.sync,
            send: self.send,
            bring: self.bring,
            junit: self.junit_from,
            env: self.env,
            timeout: Some(self.timeout),
        };
        let here = super::here()?;
        let cwd = here.folder.clone();
        // What this program keeps here for itself is for nobody else.
        let ours =
            Vec::from_iter([cwd.join(&self.out)].into_iter().chain(crate::files::cache::folder(&here.env)));
        let ready = Ready::read(&wanted, &here, &ours)?;
        for note in &ready.notes {
            tell(&format!("gpu-harness: {note}"));
        }
        let asked = RunOptions {
            node: self.node,
            out: self.out,
            wait: self.wait,
            max_cost: self.max_cost,
            keep_node_on_failure: self.keep_node_on_failure,
            ..RunOptions::default()
        };
        let (sender, stop) = unbounded_channel();
        let gone = sender.clone();
        streams::when_unheard(move || {
            // Where nobody listens any more, the run is over.
            let _ = gone.send(crate::text::streams::UNHEARD);
        });
        let reporter = Box::new(Through::new(self.quiet, &here.env).or_stop(sender));
        let runtime = runtime()?;
        let context = RunContext { here, stop: Stop::SignalsAnd(stop), reporter };
        let ended = runtime.block_on(crate::run::exec(context, asked, ready));
        // A thread that still waits for a dead connection must not keep the process.
        runtime.shutdown_background();
        let (state, run_dir) = ended?;
        let told = exec::put_back(&state, &run_dir, &wanted, &cwd);
        for told in &told {
            tell(&format!("gpu-harness: warning: {told}"));
        }
        let is_short = !told.is_empty() || streams::lost().is_some();
        let status = match exec::exit_status(&state) {
            0 if is_short => exec::INFRASTRUCTURE,
            status => status,
        };
        Ok(ExitCode::from(status))
    }
}
