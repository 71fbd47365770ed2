//! The command line, lowered to typed requests in one place.

mod cargo;
mod compare;
mod doctor;
mod exec;
pub mod failure;
mod golden;
mod history;
mod hold;
mod init;
mod list;
mod nodes;
mod reap;
mod report;
mod run;
mod selfcheck;
mod show;
mod table;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use gpu_suites::exit::Exit;
use gpu_suites::unit::Span;

use self::failure::Failure;
use crate::config::Config;
use crate::files::run_dir::DEFAULT_PARENT;
use crate::here::{Env, Here};
use crate::run::{RunError, RunOptions};
use crate::text::streams::say;

/// What `--version` says; `-V` says the version alone. build.rs has the facts.
const MADE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("GPU_HARNESS_COMMIT"),
    ")\nbuilt by ",
    env!("GPU_HARNESS_BUILT"),
    ", with ",
    env!("GPU_HARNESS_FEATURES")
);

/// Test training and inference on a GPU node from a machine that has no GPU.
///
/// A suite file (suites/*.yaml) says what is run and what must hold; a node runs it; the results come back live, as
/// JUnit, and as a folder with everything.
#[derive(Debug, Parser)]
#[command(name = "gpu-harness", version, long_version = MADE, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  gpu-harness run                                   every suite in suites/, on the default node
  gpu-harness run suites/overfit-one-image.yaml     one suite
  gpu-harness run --node ssh://ubuntu@gpu-box       on a machine of yours
  gpu-harness run --case 'unet*' --junit junit.xml  some cases, report for CI
  gpu-harness exec --node gpu --sync -- pytest      any command, with the working tree
  gpu-harness list                                  what there is to run
  gpu-harness show                                  the latest run once more, with curves
  gpu-harness selfcheck --node ssh://ubuntu@gpu-box what a node has: GPU, driver, libtorch

Exit codes: 0 all passed, 1 a check failed, 2 usage or file error, 3 infrastructure, 4 time or money limit, 130 interrupted.")]
pub struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run suites on a node and report what came of them
    Run(run::Run),
    /// Run any command on a node, as if it ran here
    Exec(exec::Exec),
    /// Run cargo with its test binaries on a node: `gpu-harness cargo test`, `gpu-harness cargo nextest run`
    Cargo(cargo::Cargo),
    /// What cargo calls for a test binary
    #[command(hide = true)]
    TargetRunner(cargo::TargetRunner),
    /// List the cases that there are to run
    List(list::List),
    /// Make the reports of a run again from its events, also of a run that was killed
    Report(report::Report),
    /// Print the essence of a run: its cases with their curves, and what it cost
    Show(show::Show),
    /// Print what earlier runs measured and the verdict on the last one, or add old runs
    History(history::HistoryVerb),
    /// Run two versions in turn on one node: by what ratio do their figures differ, and which commit did it?
    Compare(compare::Compare),
    /// Make the losses of a run those that its cases are held to from now on
    Golden(golden::Golden),
    /// Print the JSON Schema of suite files, for editors
    Schema,
    /// Print what a node has: GPU, driver, libtorch, CUDA, disk, cores, clock
    Selfcheck(selfcheck::Selfcheck),
    /// Examine what a node needs: credentials, permissions, quotas, image, prices; or the way to it
    Doctor(doctor::Doctor),
    /// List the nodes in a cloud that live now, and what they have cost
    Nodes(nodes::Nodes),
    /// End what is left in a cloud past its expiry
    Reap(reap::Reap),
    /// Hold a node for test processes, which start this
    #[command(hide = true)]
    Hold(hold::Hold),
    /// Write the CI file of Bitbucket, GitHub or GitLab, or renew it
    Init(init::Init),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Carries out the command, and says how the process is to end.
    pub fn execute(self) -> Result<ExitCode, Failure> {
        crate::log::begin(&Env::of_process(), matches!(&self.command, Verb::Run(run) if run.is_verbose()));
        let exit = match self.command {
            // These end as the command that they ran.
            Verb::Exec(verb) => return in_place_of_a_command(verb.execute()),
            Verb::Cargo(verb) => return in_place_of_a_command(verb.execute()),
            Verb::TargetRunner(verb) => return in_place_of_a_command(verb.execute()),
            Verb::Run(verb) => return verb.execute(),
            Verb::List(verb) => verb.execute()?,
            Verb::Report(verb) => verb.execute()?,
            Verb::Show(verb) => verb.execute()?,
            Verb::History(verb) => verb.execute()?,
            Verb::Compare(verb) => verb.execute()?,
            Verb::Golden(verb) => verb.execute()?,
            Verb::Schema => {
                say(&format!("{:#}\n", gpu_suites::schema::json_schema()));
                Exit::AllPassed
            }
            Verb::Selfcheck(verb) => verb.execute()?,
            Verb::Doctor(verb) => verb.execute()?,
            Verb::Nodes(verb) => verb.execute()?,
            Verb::Reap(verb) => verb.execute()?,
            Verb::Hold(verb) => verb.execute()?,
            Verb::Init(verb) => verb.execute()?,
            Verb::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "gpu-harness", &mut script);
                say(&String::from_utf8_lossy(&script));
                Exit::AllPassed
            }
        };
        Ok(exit.into())
    }
}

/// What stands for a command ends as that does: trouble of our own has a code that few commands have.
fn in_place_of_a_command(ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    match ended {
        Err(failure) if failure.exit == Exit::Infrastructure => {
            failure.tell();
            Ok(ExitCode::from(crate::run::exec::INFRASTRUCTURE))
        }
        ended => ended,
    }
}

/// The name under which cargo finds this program as `cargo gpu-remote`.
const CARGO_NAME: &str = "cargo-gpu-remote";

/// The words of a command line. As `cargo-gpu-remote` (a link to gpu-harness on PATH) this is `gpu-harness cargo`: cargo
/// says its subcommand's own name first.
pub fn words(all: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words = Vec::from_iter(all);
    let called = words.first().and_then(|name| Path::new(name).file_name());
    if called.is_some_and(|name| name == CARGO_NAME) {
        let said = words.get(1).is_some_and(|word| word == "gpu-remote");
        words.splice(..=usize::from(said), ["gpu-harness".into(), "cargo".into()]);
    }
    words
}

/// Which suites and cases; shared by the commands that choose some.
#[derive(Debug, clap::Args)]
struct Choice {
    /// Suite files, or folders of them [default: suites/]
    #[arg(value_name = "SUITE|DIR")]
    suites: Vec<PathBuf>,
    /// Only cases whose name, or `suite::name`, matches this glob; may be given several times
    #[arg(long = "case", value_name = "GLOB")]
    cases: Vec<String>,
}

/// Where it runs and what it may take; shared by the commands that run cases.
#[derive(Debug, clap::Args)]
struct Bounds {
    /// Where to run: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE", env = "GPU_HARNESS_NODE")]
    node: Option<String>,
    /// Folder that gets one folder a run, and a `latest` link
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PARENT)]
    out: PathBuf,
    /// Limit of the whole run, e.g. 90s, 20m
    #[arg(long, value_name = "D")]
    timeout: Option<Span>,
    /// Go on asking for so long where the cloud has no capacity [default: the node's `wait:`, else 10m]
    #[arg(long, value_name = "D")]
    wait: Option<Span>,
    /// US dollars that each run may cost [default: the node's `max-cost:`]
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<f64>,
}

impl Choice {
    /// What is asked for with this choice, within these bounds.
    fn within(self, bounds: Bounds) -> RunOptions {
        let Bounds { node, out, timeout, wait, max_cost } = bounds;
        RunOptions {
            suites: self.suites,
            cases: self.cases,
            node,
            out,
            timeout,
            wait,
            max_cost,
            ..RunOptions::default()
        }
    }
}

/// Where the command was given: what it goes by of this process.
fn here() -> Result<Here, Failure> {
    Here::of_process().map_err(|error| Failure::of_this_machine("find the working folder", &error))
}

/// The settings of the project that the working folder belongs to.
fn project() -> Result<Config, Failure> {
    Ok(Config::find(&here()?.folder).map_err(RunError::from)?)
}

/// Plain data as one line of JSON.
fn json_line(data: &impl serde::Serialize) -> String {
    serde_json::to_string(data).unwrap_or_else(|error| unreachable!("this is plain data: {error}"))
}

/// Plain data as JSON.
fn json(data: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(data).unwrap_or_else(|error| unreachable!("this is plain data: {error}"))
}

/// An amount of money, for whatever node: none is less than nothing, or without end.
fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.trim().trim_start_matches('$').parse::<f64>().ok();
    let amount = amount.filter(|amount| amount.is_finite() && *amount >= 0.0);
    amount.ok_or_else(|| "an amount of US dollars such as 2.50 is wanted".to_owned())
}

/// One thread is enough: it moves lines from a socket to a file, and every blocking part has its own thread.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::of_this_machine("start the event loop", &error))
}

/// Whether what we print is read by a person as it comes.
fn is_live(here: &Here) -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal() && here.env.get("CI").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_an_amount() {
        assert_eq!([dollars("2.50"), dollars("$0")], [Ok(2.5), Ok(0.0)]);
        for odd in ["NaN", "-1", "inf", "1e400", "", "two"] {
            assert!(dollars(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn as_a_subcommand_of_cargo_it_is_our_own_cargo() {
        let words = |line: &str| {
            let words = words(line.split(' ').map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            words("/bin/cargo-gpu-remote gpu-remote --node x test"),
            "gpu-harness cargo --node x test"
        );
        assert_eq!(words("cargo-gpu-remote test"), "gpu-harness cargo test");
        assert_eq!(words("gpu-harness run gpu-remote"), "gpu-harness run gpu-remote");
    }
}
