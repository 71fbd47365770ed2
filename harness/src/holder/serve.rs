//! The holder's life: it listens, serves whoever comes, and ends with its owner, after idle time, or with its node.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::lines::{Line, Lines, TooLong};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::address::Address;
use super::broker::{Broker, HolderEnd};
use super::case::{self, CaseRequest, What};
use super::owner::Owner;
use super::responder::{Responder, UNREAD, responder};
use super::wire::{Request, Response};
use crate::ci::Service;
use crate::config::Config;
use crate::files::run_dir::DEFAULT_PARENT;
use crate::here::Here;
use crate::node::NodeSpec;
use crate::run::RunError;
use crate::session::interrupt::Interrupts;
use crate::text::Explain;

/// How long the cases that run may take to end when the holder does: a session gives its node 30 s.
const LAST_CASES: Duration = Duration::from_secs(35);
/// The longest request: a case's name and some paths.
const LONGEST_ASK: usize = 16 << 20;

#[derive(Debug, Clone)]
pub struct Order {
    pub address: Address,
    pub owner: Owner,
    pub node: Option<String>,
    /// The folder whose settings hold, and where its run's folder is made.
    pub project: PathBuf,
    /// How long it keeps a node that nobody uses; `None`: as long as its owner lives.
    pub idle: Option<Duration>,
    /// Whether it tells the CI service whose step this is what the run came to; else whoever asks for its end does.
    pub tells: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("failed to listen on {}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    /// It has no node, or nowhere to keep what happens.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Explain for ServeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Listen { .. } => Exit::Infrastructure,
            Self::Run(error) => error.exit(),
        }
    }
}

/// Holds the node until nobody needs it, then gives it back.
pub async fn serve(order: Order, here: &Here) -> Result<Exit, ServeError> {
    let node = Config::find(&order.project)
        .map_err(RunError::from)
        .and_then(|config| Ok(NodeSpec::choose(order.node.as_deref(), &config)?))?;
    let mut signals = Interrupts::listen().map_err(RunError::Signals)?;
    let door = Door::open(&order.address.socket)?;
    let runs = vec![order.project.join(DEFAULT_PARENT), order.address.runs()];
    let broker = Rc::new(Broker::new(node, runs, here.env.clone()));
    let mut over = broker.over.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = over.wait_for(Option::is_some) => break,
            () = order.owner.ended() => broker.end(HolderEnd::Ended("the run that it was for has ended")),
            by = signals.next() => broker.end(HolderEnd::Ended(by)),
            () = idle(&broker, order.idle) => broker.end(HolderEnd::Ended("nobody has used it for a while")),
            come = door.listener.accept() => {
                if let Ok((stream, _)) = come {
                    tokio::task::spawn_local(attend(Rc::clone(&broker), stream));
                }
            }
        }
    }
    // Whoever comes from now on starts a holder of its own.
    drop(door);
    let mut busy = broker.busy.subscribe();
    let _ = tokio::time::timeout(LAST_CASES, busy.wait_for(|busy| busy.0 == 0)).await;
    let state = broker.close().await?;
    if let (Some(state), Some(service), true) = (state, Service::of(&here.env), order.tells) {
        service.tell(&state, state.exit(), here).await;
    }
    Ok(Exit::AllPassed)
}

/// Ends when nobody has wanted anything for so long.
async fn idle(broker: &Broker, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut busy = broker.busy.subscribe();
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

async fn attend(broker: Rc<Broker>, stream: UnixStream) {
    broker.busy.send_modify(|busy| busy.0 += 1);
    let (mut reader, writer) = stream.into_split();
    let (said, to_say) = responder();
    let writing = tokio::task::spawn_local(to_say.write_to(writer, UNREAD));
    let mut is_last = false;
    match ask(&mut reader).await {
        Ok(Request::Case { project, suites, case, slot }) => {
            said.answer(&Response::Accepted { pid: std::process::id() });
            let answer = match broker.selection(project, suites) {
                Ok(selection) => {
                    let asked = CaseRequest { what: What::Case(selection, case), slot };
                    watched(&broker, reader, &said, async |interrupts| {
                        case::run(&broker, asked, said.clone(), interrupts).await
                    })
                    .await
                }
                Err(error) => Response::refused(&error),
            };
            said.answer(&answer);
        }
        Ok(Request::Program(program)) => {
            said.answer(&Response::Accepted { pid: std::process::id() });
            let asked = CaseRequest { slot: program.slot, what: What::Program(program) };
            let answer = watched(&broker, reader, &said, async |interrupts| {
                case::run(&broker, asked, said.clone(), interrupts).await
            });
            said.answer(&answer.await);
        }
        Ok(Request::Stop) => {
            said.answer(&Response::Ending { run_dir: broker.run_dir() });
            broker.end(HolderEnd::Ended("its owner has asked for its end"));
            is_last = true;
        }
        Err(reason) => said.answer(&Response::Refused { reason, exit: Exit::Usage }),
    }
    broker.busy.send_modify(|busy| *busy = (busy.0 - 1, Instant::now()));
    drop(broker);
    if is_last {
        // The connection ends with the process, so that whoever asked knows when it has ended.
        std::future::pending::<()>().await;
    }
    drop(said);
    let _ = writing.await;
}

/// What is asked for: the first line that comes; an error says why that is no request.
async fn ask(from: &mut (impl AsyncRead + Unpin)) -> Result<Request, String> {
    let (mut lines, mut chunk) = (Lines::of_at_most(LONGEST_ASK), vec![0; 64 << 10]);
    loop {
        let count = from.read(&mut chunk).await.map_err(|error| error.to_string())?;
        if count == 0 {
            return Err("the connection ended before its request did".to_owned());
        }
        let first = lines.feed(&chunk[..count], |line| {
            Err(match line {
                // Why it is none may have a secret of its environment in it.
                Line::Whole(line) => serde_json::from_slice(line)
                    .map_err(|_| "this is no request of this version of gpu-harness".to_owned()),
                Line::TooLong => Err(TooLong { most: LONGEST_ASK }.to_string()),
            })
        });
        if let Err(first) = first {
            return first;
        }
    }
}

/// Does the work, and interrupts it when the test ends or the holder does.
async fn watched(
    broker: &Broker,
    mut reader: OwnedReadHalf,
    said: &Responder,
    work: impl AsyncFnOnce(&mut Interrupts) -> Response,
) -> Response {
    let (interrupt, mut interrupts) = Interrupts::inside();
    let mut over = broker.over.subscribe();
    let watch = async {
        let mut rest = [0];
        tokio::select! {
            // A test says nothing more: what comes is the end of its connection.
            _ = reader.read(&mut rest) => { let _ = interrupt.send("the end of its test"); }
            () = said.unread() => { let _ = interrupt.send("its test, which reads nothing that it prints"); }
            // A node that is gone is told by whoever follows the case on it, as what it is.
            _ = over.wait_for(|over| matches!(over, Some(HolderEnd::Ended(_)))) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_one_line_of_bounded_length_and_what_is_none_is_told_why() {
        let stop = serde_json::to_vec(&Request::Stop).unwrap();
        assert_eq!(ask(&mut &[&stop[..], b"\nmore\n"].concat()[..]).await, Ok(Request::Stop));
        for (text, why) in [
            (stop.clone(), "the connection ended"),
            (b"{\"ask\":\"dance\"}\n".to_vec(), "no request of this version"),
            (b"\xff\n".to_vec(), "no request of this version"),
            (vec![b'x'; LONGEST_ASK + 1], "a line of more than 16777216 bytes"),
        ] {
            let refused = ask(&mut &text[..]).await.unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
