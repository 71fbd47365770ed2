//! One ssh connection: made, used to start commands, made anew.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::SshOptions;
use super::options::Target;
use super::wake::{Waker, wake_up};
use super::worker::{Request, Worker};
use crate::transport::exec::{Nudge, pair};
use crate::transport::{Command, Exec, Peer, TransportError};

/// An authenticated ssh connection. Commands that run when it is dropped run on until their [`Exec`] is dropped too.
pub struct Link {
    address: String,
    options: SshOptions,
    peer: Peer,
    worker: Handle,
}

/// The way to the thread that owns the session.
struct Handle {
    requests: Option<mpsc::Sender<Request>>,
    waker: Arc<Waker>,
}

impl Link {
    /// Connects to `ssh://[user@]host[:port]`, checks the host's key and logs in.
    pub async fn connect(address: &str, options: SshOptions) -> Result<Self, TransportError> {
        let target = Target::find(address, &options)?;
        let peer = target.peer.clone();
        let stream = dial(&peer, &options).await?;
        let (waker, wakeup) =
            wake_up().map_err(|source| TransportError::Setup { peer: peer.clone(), source })?;
        let (requests, incoming) = mpsc::channel();
        let (ready, made) = oneshot::channel();
        let for_thread = options.clone();
        std::thread::Builder::new()
            .name(format!("ssh {}", peer.host))
            .spawn(move || match Worker::open(stream, &target, &for_thread, wakeup, incoming) {
                Ok(worker) => {
                    if ready.send(Ok(())).is_ok() {
                        worker.run();
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .map_err(|source| TransportError::Setup { peer: peer.clone(), source })?;
        made.await.unwrap_or(Err(TransportError::Gone))?;
        let worker = Handle { requests: Some(requests), waker: Arc::new(waker) };
        Ok(Self { address: address.to_owned(), options, peer, worker })
    }

    /// Makes the connection anew, by the same address and options.
    pub async fn reconnect(&mut self) -> Result<(), TransportError> {
        *self = self.another().await?;
        Ok(())
    }

    /// A second connection, by the same address and options.
    pub async fn another(&self) -> Result<Self, TransportError> {
        Self::connect(&self.address, self.options.clone()).await
    }

    /// Starts a command; several run side by side, each with its own flow control.
    pub fn exec(&self, command: &Command) -> Result<Exec, TransportError> {
        let waker = Arc::clone(&self.worker.waker);
        let nudge: Nudge = Arc::new(move || waker.wake());
        let (exec, far) = pair(&nudge);
        let request = Request { line: command.shell_line(), label: command.describe(), far };
        let requests = self.worker.requests.as_ref().ok_or(TransportError::Gone)?;
        requests.send(request).map_err(|_| TransportError::Gone)?;
        self.worker.waker.wake();
        Ok(exec)
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
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
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A TCP connection to the first of the host's addresses that accepts one.
async fn dial(peer: &Peer, options: &SshOptions) -> Result<TcpStream, TransportError> {
    let limit = options.connect_timeout;
    let resolving = tokio::time::timeout(limit, tokio::net::lookup_host((peer.host.as_str(), peer.port)));
    let addresses = resolving
        .await
        .unwrap_or_else(|_| Err(timed_out(limit)))
        .map_err(|source| TransportError::Resolve { peer: peer.clone(), source })?;
    let mut tried = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let connecting = tokio::time::timeout(limit, tokio::net::TcpStream::connect(address));
        let connected = connecting.await.unwrap_or_else(|_| Err(timed_out(limit)));
        match connected.and_then(|stream| stream.set_nodelay(true).and(stream.into_std())) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                tried.push(address.to_string());
                last = error;
            }
        }
    }
    Err(TransportError::Connect { peer: peer.clone(), tried, source: last })
}

fn timed_out(limit: std::time::Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {} s", limit.as_secs_f64()))
}
