//! One ssh connection: made, used to start commands, made anew.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::SshOptions;
use super::address::Address;
use super::config::Way;
use super::dial::{self, Stream};
use super::target::Target;
use super::wake::{Waker, wake_up};
use super::worker::{Elsewhere, Inbox, Request, What, Worker};
use crate::text::chain;
use crate::transport::command::Mark;
use crate::transport::exec::{Nudge, pair};
use crate::transport::{Command, Exec, Peer, TransportError};

/// More machines than anybody jumps over: a configuration whose jumps lead in a circle ends here.
const MOST_JUMPS: usize = 8;

/// An authenticated ssh connection. Commands that run when it is dropped run on until their [`Exec`] is dropped too.
pub struct Link {
    route: Route,
    worker: Handle,
}

/// How a machine is reached: all that a further connection to it is made from.
#[derive(Clone)]
struct Route {
    target: Arc<Target>,
    way: Way,
    options: SshOptions,
    /// How many machines are jumped over to get there.
    jumps: usize,
}

/// The way to the thread that owns the session.
struct Handle {
    requests: Option<mpsc::Sender<Request>>,
    waker: Arc<Waker>,
}

/// A connection to be made. Boxed, as one may need another before it.
type Connecting = Pin<Box<dyn Future<Output = Result<Link, TransportError>> + Send>>;

impl Link {
    /// Connects to `ssh://[user@]host[:port]`, checks the host's key and logs in.
    pub async fn connect(address: &str, options: SshOptions) -> Result<Self, TransportError> {
        Route::find(Address::parse(address)?, options, None, 0).await?.open().await
    }

    /// Makes the connection anew, by the same way.
    pub async fn reconnect(&mut self) -> Result<(), TransportError> {
        *self = self.another().await?;
        Ok(())
    }

    pub async fn another(&self) -> Result<Self, TransportError> {
        self.route.clone().open().await
    }

    /// Starts a command; several run side by side, each with its own flow control.
    pub fn exec(&self, command: &Command) -> Result<Exec, TransportError> {
        let mark = Mark::new();
        self.start(What::Command { line: command.far_line(&mark), mark }, command.describe())
    }

    /// A TCP connection from that machine to another, as a command's input and output.
    pub(super) fn tunnel(&self, host: &str, port: u16) -> Result<Exec, TransportError> {
        self.start(What::Tunnel { host: host.to_owned(), port }, format!("{host} port {port}"))
    }

    fn start(&self, what: What, label: String) -> Result<Exec, TransportError> {
        let waker = Arc::clone(&self.worker.waker);
        let nudge: Nudge = Arc::new(move || waker.wake());
        let (exec, far) = pair(&nudge);
        self.send(Request { what, label, far }).map_err(|_| TransportError::Gone)?;
        Ok(exec)
    }

    fn send(&self, request: Request) -> Result<(), mpsc::SendError<Request>> {
        if let Some(requests) = &self.worker.requests {
            requests.send(request)?;
            self.worker.waker.wake();
        }
        Ok(())
    }

    pub fn peer(&self) -> &Peer {
        &self.route.target.peer
    }
}

impl Route {
    /// By the user's ssh configuration; a machine on the way to another is given the rest of that way.
    async fn find(
        address: Address,
        options: SshOptions,
        over: Option<Vec<Address>>,
        jumps: usize,
    ) -> Result<Self, TransportError> {
        // The configuration may start programs (`Match exec`) and ask the name service.
        let finding = tokio::task::spawn_blocking(move || {
            let target = Target::find(&address, &options, jumps > 0)?;
            Ok((target, options))
        });
        let (target, options) = finding.await.unwrap_or(Err(TransportError::Gone))?;
        let way = over.map_or_else(|| target.settings.way.clone(), Way::Jump);
        Ok(Self { target: Arc::new(target), way, options, jumps })
    }

    fn open(self) -> Connecting {
        Box::pin(async move {
            let stream = self.stream().await?;
            self.session(stream).await
        })
    }

    async fn stream(&self) -> Result<Stream, TransportError> {
        let target = &self.target;
        match &self.way {
            Way::Direct => dial::direct(target).await,
            Way::Command(line) => dial::through(line, target),
            Way::Jump(hops) => {
                let Some((last, before)) = hops.split_last() else { return dial::direct(target).await };
                if self.jumps >= MOST_JUMPS {
                    return Err(TransportError::JumpLoop {
                        peer: target.peer.clone(),
                        over: last.host.clone(),
                    });
                }
                let before = (!before.is_empty()).then(|| before.to_vec());
                let route = Self::find(last.clone(), self.options.clone(), before, self.jumps + 1).await?;
                if route.target.peer == target.peer {
                    return Err(TransportError::JumpLoop {
                        peer: target.peer.clone(),
                        over: last.host.clone(),
                    });
                }
                dial::over(&route.open().await?, target)
            }
        }
    }

    /// Holds a session over a stream, in a thread of its own.
    async fn session(self, stream: Stream) -> Result<Link, TransportError> {
        let setup = |source| TransportError::Setup { peer: self.target.peer.clone(), source };
        let (waker, wakeup) = wake_up().map_err(setup)?;
        let (requests, incoming) = mpsc::channel();
        let (ready, made) = oneshot::channel();
        let (target, options) = (Arc::clone(&self.target), self.options.clone());
        let (elsewhere, carrier) = (self.elsewhere(), stream.carrier.clone());
        std::thread::Builder::new()
            .name(format!("ssh {}", target.peer.host))
            .spawn(move || {
                match Worker::open(stream, &target, &options, Inbox { wakeup, requests: incoming, elsewhere })
                {
                    Ok(worker) => {
                        if ready.send(Ok(())).is_ok() {
                            worker.run();
                        }
                    }
                    Err(error) => drop(ready.send(Err(carrier.explain(&target, error)))),
                }
            })
            .map_err(setup)?;
        made.await.unwrap_or(Err(TransportError::Gone))?;
        let worker = Handle { requests: Some(requests), waker: Arc::new(waker) };
        Ok(Link { route: self, worker })
    }

    /// Takes a command that the server lets this connection not have to one of its own.
    fn elsewhere(&self) -> Elsewhere {
        let (route, runtime) = (self.clone(), tokio::runtime::Handle::current());
        Arc::new(move |request| {
            let route = route.clone();
            runtime.spawn(async move {
                let peer = route.target.peer.clone();
                let failed = match route.open().await {
                    Ok(link) => link.send(request).err().map(|unsent| (unsent.0, "it was closed".to_owned())),
                    Err(error) => Some((request, chain(&error))),
                };
                if let Some((Request { label, far, .. }, reason)) = failed {
                    far.fail(|| TransportError::SecondConnection {
                        peer: peer.clone(),
                        command: label.clone(),
                        reason: reason.clone(),
                    });
                }
            });
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.requests = None;
        self.waker.wake();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", self.peer()).finish_non_exhaustive()
    }
}
