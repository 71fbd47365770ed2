//! gpu-agent runs the cases of one run on a node, and outlives the connection that asked for it.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`serve`] | what does the harness want, and what does it get to see? |
//! | [`supervise`] | how does a run go, case by case? |
//! | [`journal`] | how are events kept, also when the disk is full? |
//! | [`install`] | how does a node come by what its cases need? |
//! | [`store`], [`receive`], [`fetch`] | how do files come and go? |
//! | [`selfcheck`] | what does this node have? |
//!
//! It links nothing but libc, so it starts on every node; libtorch is the business of `gpu-worker`, a process of its own.

mod artifacts;
mod control;
mod fetch;
mod folder;
mod gpu_driver;
mod install;
mod journal;
mod libtorch;
mod lock;
mod node_lease;
mod orders;
mod receive;
mod selfcheck;
mod serve;
mod store;
mod strays;
mod streams;
mod supervise;

use std::error::Error;
use std::process::ExitCode;

use gpu_suites::id::{RunId, Sha256};

use crate::folder::Folder;
use crate::selfcheck::Worker;

/// The command line makes no sense (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

const HELP: &str = "\
Runs the cases of a gpu-harness run on this node. gpu-harness starts it; by hand it is of use for a look.

usage: gpu-agent serve               talk to a harness on standard input and output
       gpu-agent receive             take blobs (a zstd tar on standard input) into the store
       gpu-agent fetch --run ID      write a run's artifacts (a zstd tar) to standard output
       gpu-agent supervise DIR [--control FD]
                                     run the run in DIR (started by serve, which gives it the orders)
       gpu-agent environment         put onto the node what the order on standard input names
       gpu-agent selfcheck [--json] [--worker PATH | --worker-blob SHA256]
                                     print what this node has
       gpu-agent --version

Files lie in $GPU_HARNESS_CACHE, else $XDG_CACHE_HOME/gpu-harness, else ~/.cache/gpu-harness.";

fn main() -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // What it knows of one case no other one may read: a process of the same user could, in its memory.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments.as_slice() {
        ["serve"] => with_folder(|folder| Ok(serve::serve(&folder)?)),
        ["receive"] => return receive::command(),
        ["fetch", "--run", run] => with_folder(|folder| Ok(fetch::fetch(&folder, &RunId::from(*run))?)),
        ["supervise", dir] => supervise::supervise(dir, None).map_err(Into::into),
        ["supervise", dir, "--control", number] => match number.parse() {
            Ok(number) => supervise::supervise(dir, Some(number)).map_err(Into::into),
            Err(_) => return misused(),
        },
        ["environment"] => with_folder(|folder| install::command(&folder)),
        ["selfcheck", selfcheck::gpu::ASKING] => selfcheck::gpus().map_err(Into::into),
        ["selfcheck", options @ ..] => match selfcheck_options(options) {
            Some((json, worker)) => {
                with_folder(|folder| Ok(selfcheck::command(&folder, json, worker.as_ref())?))
            }
            None => return misused(),
        },
        ["--version" | "-V"] => {
            streams::say(concat!("gpu-agent ", env!("CARGO_PKG_VERSION"))).map_err(Into::into)
        }
        ["--help" | "-h"] => streams::say(HELP).map_err(Into::into),
        _ => return misused(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            streams::tell(&format!("gpu-agent: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn with_folder(act: impl FnOnce(Folder) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    act(Folder::from_environment()?)
}

fn selfcheck_options(options: &[&str]) -> Option<(bool, Option<Worker>)> {
    let (mut json, mut worker) = (false, None);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--json" => json = true,
            "--worker" => worker = Some(Worker::Path(rest.next()?.into())),
            "--worker-blob" => {
                let sha256 = Sha256::from(*rest.next()?);
                worker = Some(Worker::Blob(sha256.is_valid().then_some(sha256)?));
            }
            _ => return None,
        }
    }
    Some((json, worker))
}

fn misused() -> ExitCode {
    streams::tell(HELP);
    ExitCode::from(USAGE)
}
