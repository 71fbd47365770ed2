//! The holder's life: it listens, serves whoever comes, and ends with its owner, after idle time, or with its node.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use gpu_suites::exit::Exit;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::address::Address;
use super::case::{self, Asked, What};
use super::hall::{Hall, Over};
use super::owner::Owner;
use super::wire::{Ask, Said, line};
use crate::ci::Service;
use crate::config::Config;
use crate::files::run_dir::DEFAULT_PARENT;
use crate::node::NodeSpec;
use crate::run::RunError;
use crate::session::interrupt::Interrupts;
use crate::text::chain;

/// How long the cases that run may take to end when the holder does: a session gives its node 30 s.
const LAST_CASES: Duration = Duration::from_secs(35);
/// The longest request: a case's name and some paths.
const LONGEST_ASK: u64 = 16 << 20;

/// What a holder is started with.
#[derive(Debug, Clone)]
pub struct Order {
    /// What it listens on.
    pub address: Address,
    /// For whom.
    pub owner: Owner,
    /// `--node`.
    pub node: Option<String>,
    /// The folder whose settings hold, and where its run's folder is made.
    pub project: PathBuf,
    /// How long it keeps a node that nobody uses; `None`: as long as its owner lives.
    pub idle: Option<Duration>,
    /// Whether it tells the CI service whose step this is what the run came to; else whoever asks for its end does.
    pub tells: bool,
}

/// Why a holder could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen.
    #[error("failed to listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// It has no node, or nowhere to keep what happens.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Holds the node until nobody needs it, then gives it back.
pub async fn serve(order: Order) -> Result<Exit, ServeError> {
    let node = Config::find(&order.project)
        .map_err(RunError::from)
        .and_then(|config| Ok(NodeSpec::choose(order.node.as_deref(), &config)?))?;
    let mut signals = Interrupts::listen().map_err(RunError::Signals)?;
    let door = Door::open(&order.address.socket)?;
    let runs = vec![order.project.join(DEFAULT_PARENT), order.address.runs()];
    let hall = Rc::new(Hall::new(node, runs));
    let mut over = hall.over.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = over.wait_for(Option::is_some) => break,
            () = order.owner.ended() => hall.end(Over::Ended("the run that it was for has ended")),
            by = signals.next() => hall.end(Over::Ended(by)),
            () = idle(&hall, order.idle) => hall.end(Over::Ended("nobody has used it for a while")),
            come = door.listener.accept() => {
                if let Ok((stream, _)) = come {
                    tokio::task::spawn_local(attend(Rc::clone(&hall), stream));
                }
            }
        }
    }
    // Whoever comes from now on starts a holder of its own.
    drop(door);
    let mut busy = hall.busy.subscribe();
    let _ = tokio::time::timeout(LAST_CASES, busy.wait_for(|busy| busy.0 == 0)).await;
    let state = hall.close().await?;
    if let (Some(state), Some(service), true) = (state, Service::here(), order.tells) {
        service.tell(&state, state.exit()).await;
    }
    Ok(Exit::AllPassed)
}

/// Ends when nobody has wanted anything for so long.
async fn idle(hall: &Hall, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut busy = hall.busy.subscribe();
    loop {
        let (count, since) = *busy.borrow_and_update();
        let wait = async {
            if count == 0 {
                // A limit beyond what the clock can hold is none.
                tokio::time::sleep(limit.saturating_sub(since.elapsed())).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = wait => return,
            _ = busy.changed() => {}
        }
    }
}

/// The socket, for as long as the value lives.
struct Door {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Door {
    fn open(path: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { path: path.to_owned(), source };
        let listener = UnixListener::bind(path).map_err(failed)?;
        // The folder is closed to others already.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let inode = std::fs::symlink_metadata(path).map_err(failed)?.ino();
        Ok(Self { listener, path: path.to_owned(), inode })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Another holder may have taken the place of a socket that somebody removed.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Serves one connection.
async fn attend(hall: Rc<Hall>, stream: UnixStream) {
    hall.busy.send_modify(|busy| busy.0 += 1);
    let (reader, writer) = stream.into_split();
    let (said, to_say) = unbounded_channel();
    let writing = tokio::task::spawn_local(write(writer, to_say));
    let mut reader = BufReader::new(reader);
    let mut text = String::new();
    let read = (&mut reader).take(LONGEST_ASK).read_line(&mut text).await;
    let asked = read.ok().and_then(|_| serde_json::from_str::<Ask>(&text).ok());
    let mut is_last = false;
    match asked {
        Some(Ask::Case { project, suites, case, slot }) => {
            let _ = said.send(line(&Said::Accepted { pid: std::process::id() }));
            let answer = match hall.selection(project, suites) {
                Ok(selection) => {
                    let asked = Asked { what: What::Case(selection, case), slot };
                    let said = said.clone();
                    watched(&hall, reader, async |interrupts| case::run(&hall, asked, said, interrupts).await)
                        .await
                }
                Err(error) => Said::Refused { reason: chain(&error) },
            };
            let _ = said.send(line(&answer));
        }
        Some(Ask::Program(program)) => {
            let _ = said.send(line(&Said::Accepted { pid: std::process::id() }));
            let asked = Asked { slot: program.slot, what: What::Program(program) };
            let to_test = said.clone();
            let answer =
                watched(&hall, reader, async |interrupts| case::run(&hall, asked, to_test, interrupts).await)
                    .await;
            let _ = said.send(line(&answer));
        }
        Some(Ask::Stop) => {
            let _ = said.send(line(&Said::Ending { run_dir: hall.run_dir() }));
            hall.end(Over::Ended("its owner has asked for its end"));
            is_last = true;
        }
        None => {
            let reason = "this is no request of this version of gpu-harness".to_owned();
            let _ = said.send(line(&Said::Refused { reason }));
        }
    }
    hall.busy.send_modify(|busy| *busy = (busy.0 - 1, Instant::now()));
    drop(hall);
    if is_last {
        // The connection ends with the process, so that whoever asked knows when it has ended.
        std::future::pending::<()>().await;
    }
    drop(said);
    let _ = writing.await;
}

/// Does the work, and interrupts it when the test ends or the holder does.
async fn watched(
    hall: &Hall,
    mut reader: BufReader<OwnedReadHalf>,
    work: impl AsyncFnOnce(&mut Interrupts) -> Said,
) -> Said {
    let (interrupt, mut interrupts) = Interrupts::inside();
    let mut over = hall.over.subscribe();
    let watch = async {
        let mut rest = [0];
        tokio::select! {
            // A test says nothing more: what comes is the end of its connection.
            _ = reader.read(&mut rest) => { let _ = interrupt.send("the end of its test"); }
            // A node that is gone is told by whoever follows the case on it, as what it is.
            _ = over.wait_for(|over| matches!(over, Some(Over::Ended(_)))) => {
                let _ = interrupt.send("the end of the test run");
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        answer = work(&mut interrupts) => answer,
        never = watch => never,
    }
}

/// Writes what there is to say; a test that does not read delays nobody else.
async fn write(mut writer: OwnedWriteHalf, mut said: UnboundedReceiver<String>) {
    while let Some(text) = said.recv().await {
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
