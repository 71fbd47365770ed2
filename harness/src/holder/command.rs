//! `gpu-harness run -- COMMAND…`: a command, such as `cargo nextest run`, with a node for all that it starts.

use std::ffi::OsString;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use gpu_suites::exit::Exit;
use gpu_suites::lines::Reader;
use rustix::process::{Pid, Signal, kill_process};

use super::SOCKET;
use super::address::{Address, NoPlace};
use super::owner::Owner;
use super::serve::Order;
use super::start::{self, StartError};
use super::wire::{LONGEST_ANSWER, Request, Response, line};
use crate::ci::Service;
use crate::here::{Console, Here};
use crate::report;
use crate::session::interrupt::Interrupts;
use crate::text::{Explain, chain};

pub const NODE: &str = "GPU_HARNESS_NODE";

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("failed to look at this process")]
    Owner(#[source] io::Error),
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("failed to listen for signals")]
    Signals(#[source] io::Error),
    #[error("failed to run {program}")]
    Spawn { program: String, source: io::Error },
}

impl Explain for CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Start(error) => error.exit(),
            Self::Spawn { .. } => Exit::Usage,
            _ => Exit::Infrastructure,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub code: ExitCode,
    /// Whether anything was run on the node.
    pub has_run: bool,
}

/// Runs the command and passes its exit status on; the node is given back whatever comes.
pub async fn run(
    node: Option<String>,
    command: Vec<OsString>,
    here: &Here,
    variables: Vec<(String, OsString)>,
) -> Result<Done, CommandError> {
    let owner = Owner::this().map_err(CommandError::Owner)?;
    let address = Address::of(&owner, "a command", &here.env)?;
    let name = node.clone();
    // It watches this process, so that the node is given back even where this is killed.
    let project = here.folder.clone();
    let order = Order { address: address.clone(), owner, node, project, idle: None, tells: false };
    let mut signals = Interrupts::listen().map_err(CommandError::Signals)?;
    drop(start::connect(&order, &here.env)?);
    let ended = carry_out(&command, name.as_deref(), &address.socket, variables, &mut signals).await;
    let mut has_run = false;
    tokio::select! {
        folder = end(address.socket, here.console.clone()) => {
            has_run = folder.is_some();
            tell(folder, here).await;
        }
        // The holder goes on giving the node back.
        by = signals.next() => here.console.tell(&format!("gpu-harness: {by}: the node is given back by itself")),
    }
    ended.map(|status| Done { code: ExitCode::from(code(status)), has_run })
}

async fn carry_out(
    command: &[OsString],
    node: Option<&str>,
    socket: &Path,
    variables: Vec<(String, OsString)>,
    signals: &mut Interrupts,
) -> Result<ExitStatus, CommandError> {
    let [program, arguments @ ..] = command else { return Ok(ExitStatus::default()) };
    let failed = |source| CommandError::Spawn { program: program.to_string_lossy().into_owned(), source };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env(SOCKET, socket).envs(node.map(|node| (NODE, node))).envs(variables);
    let mut child = command.spawn().map_err(failed)?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(failed),
            by = signals.next() => {
                // A terminal's Ctrl-C reaches the command by itself; twice would be once too often.
                let is_heard = by == "SIGINT" && io::stdin().is_terminal();
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?))
                    && !is_heard
                {
                    let _ = kill_process(pid, signal(by));
                }
            }
        }
    }
}

fn signal(name: &str) -> Signal {
    match name {
        "SIGINT" => Signal::INT,
        "SIGHUP" => Signal::HUP,
        _ => Signal::TERM,
    }
}

/// As a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Tells the CI service whose step this is what the run came to.
async fn tell(folder: Option<PathBuf>, here: &Here) {
    let (Some(folder), Some(service)) = (folder, Service::of(&here.env)) else { return };
    match report::read(&folder) {
        Ok(state) => service.tell(&state, state.exit(), here).await,
        Err(error) => {
            here.console.tell(&format!("gpu-harness: the CI service is told nothing: {}", chain(&error)));
        }
    }
}

/// Asks the holder to give the node back, and waits until it has; gives the folder of its run, where anything was run.
async fn end(socket: PathBuf, console: Console) -> Option<PathBuf> {
    let ended = tokio::task::spawn_blocking(move || {
        let mut run_dir = None;
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(line(&Request::Stop).as_bytes())?;
        let mut lines = Reader::new(BufReader::new(stream), LONGEST_ANSWER);
        while let Some((line, _)) = lines.next_line()? {
            if let Ok(Response::Ending { run_dir: Some(folder) }) = serde_json::from_slice(line) {
                console.tell(&format!("gpu-harness: what came of it is in {}", folder.display()));
                run_dir = Some(folder);
            }
        }
        io::Result::Ok(run_dir)
    });
    ended.await.ok()?.ok()?
}
