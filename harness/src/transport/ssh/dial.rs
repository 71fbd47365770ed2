//! The way to a machine's ssh port: by TCP, through a program, or over other machines.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::process::Child;
use tokio::sync::oneshot;

use super::config::Family;
use super::link::Link;
use super::target::Target;
use crate::text::chain;
use crate::transport::TransportError;
use crate::transport::exec::{Exec, Tail};

/// How long is waited for a program to say why its connection ended, or to end once its connection has.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long after its stream a program may end that ended by itself.
const BURIAL: Duration = Duration::from_millis(100);
/// What is moved at once.
const CHUNK: usize = 64 << 10;

/// A stream that an ssh session can be held over.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: OwnedFd,
    pub(super) carrier: Carrier,
    /// What carries it ends when this is dropped.
    pub(super) holds: Option<oneshot::Sender<()>>,
}

/// What carries a stream, and knows more than the stream about why it ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Carrier {
    /// The program or the machine, for messages; none: the network itself.
    name: Option<String>,
    why: Arc<Mutex<Option<String>>>,
}

impl Carrier {
    fn new(name: String) -> Self {
        Self { name: Some(name), why: Arc::default() }
    }

    fn complain(&self, why: String) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// In place of an error of the stream, what its carrier says; blocks for a moment, as that may come later.
    pub(super) fn explain(&self, target: &Target, error: TransportError) -> TransportError {
        let is_of_stream =
            matches!(error, TransportError::Handshake { .. } | TransportError::ConnectionLost(_));
        let Some(way) = self.name.clone().filter(|_| is_of_stream) else { return error };
        let begun = std::time::Instant::now();
        loop {
            if let Some(said) = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return TransportError::Way { peer: target.peer.clone(), way, said };
            }
            if begun.elapsed() > LAST_WORDS {
                return error;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A TCP connection to the first of the host's addresses that accepts one.
pub(super) async fn direct(target: &Target) -> Result<Stream, TransportError> {
    let (peer, limit) = (&target.peer, target.limit);
    let resolving = tokio::time::timeout(limit, tokio::net::lookup_host((peer.host.as_str(), peer.port)));
    let addresses = resolving
        .await
        .unwrap_or_else(|_| Err(timed_out(limit)))
        .map_err(|source| TransportError::Resolve { peer: peer.clone(), source })?;
    let mut tried = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address that may be used");
    let is_of_family = |address: &SocketAddr| match target.settings.family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    for address in addresses.filter(is_of_family) {
        let connecting = tokio::time::timeout(limit, connect(address, target));
        let connected = connecting.await.unwrap_or_else(|_| Err(timed_out(limit)));
        match connected.and_then(|stream| stream.set_nodelay(true).and(stream.into_std())) {
            Ok(stream) => {
                tracing::debug!(%peer, %address, "connected");
                return Ok(Stream { socket: stream.into(), carrier: Carrier::default(), holds: None });
            }
            Err(error) => {
                tracing::info!(%peer, %address, "not connected: {error}");
                tried.push(address.to_string());
                last = error;
            }
        }
    }
    Err(TransportError::Connect { peer: peer.clone(), tried, source: last })
}

/// A connection from the address that the configuration names (`BindAddress`, `BindInterface`), where it does.
async fn connect(to: SocketAddr, target: &Target) -> io::Result<tokio::net::TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(interface) = &target.settings.bind_interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(from) = &target.settings.bind_address {
        let mut addresses = tokio::net::lookup_host((from.as_str(), 0)).await?;
        let address = addresses.find(|address| address.is_ipv4() == to.is_ipv4());
        let none = || {
            io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("BindAddress {from} is of another family"),
            )
        };
        socket.bind(address.ok_or_else(none)?)?;
    }
    socket.connect(to).await
}

fn timed_out(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {} s", limit.as_secs_f64()))
}

/// A program's input and output (`ProxyCommand`).
pub(super) fn through(line: &str, target: &Target) -> Result<Stream, TransportError> {
    let failed = |source| TransportError::Setup { peer: target.peer.clone(), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let input: OwnedFd = theirs.try_clone().map_err(failed)?.into();
    let mut command = tokio::process::Command::new(&target.shell);
    command.arg("-c").arg(format!("exec {line}"));
    command.stdin(input).stdout(OwnedFd::from(theirs)).stderr(std::process::Stdio::piped());
    // Of its own group, so that an interrupt from the terminal is ours to pass on and all of it can be ended.
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| {
        let program = target.shell.display().to_string();
        TransportError::Spawn { program, source }
    })?;
    // The parent's copies of the program's end would keep the stream open after the program.
    drop(command);
    let carrier = Carrier::new(format!("ProxyCommand `{}`", crate::text::clean::text(line)));
    let complaint = carrier.clone();
    let said = Tail::default();
    let words = child.stderr.take().map(|from| tokio::spawn(keep(from, said.clone())));
    let (holds, let_go) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (ended, is_own) = tokio::select! {
            biased;
            ended = child.wait() => (Some(ended), true),
            // It may have ended before that, and not be buried yet.
            _ = let_go => (tokio::time::timeout(BURIAL, child.wait()).await.ok(), false),
        };
        let Some(status) = ended else { return end(child).await };
        let went_well = status.as_ref().is_ok_and(std::process::ExitStatus::success);
        if let Some(words) = words {
            let _ = tokio::time::timeout(LAST_WORDS, words).await;
        }
        let ended = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = said.text();
        let said = crate::text::clean::text(said.trim());
        if went_well && said.is_empty() && !is_own {
            return;
        }
        complaint.complain(if said.is_empty() {
            format!("it ended ({ended})")
        } else {
            format!("{said} ({ended})")
        });
    });
    Ok(Stream { socket: ours.into(), carrier, holds: Some(holds) })
}

/// Ends a program whose stream is closed, and what it started, where it does not end by itself.
async fn end(mut child: Child) {
    for signal in [Signal::HUP, Signal::KILL] {
        if tokio::time::timeout(LAST_WORDS, child.wait()).await.is_ok() {
            return;
        }
        if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(group, signal);
        }
    }
    let _ = child.wait().await;
}

async fn keep(mut from: impl tokio::io::AsyncRead + Unpin, tail: Tail) {
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        tail.push(&buffer[..read]);
    }
}

/// A channel of a connection to another machine (`ProxyJump`).
pub(super) fn over(jump: &Link, target: &Target) -> Result<Stream, TransportError> {
    let failed = |source| TransportError::Setup { peer: target.peer.clone(), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    for end in [&ours, &theirs] {
        end.set_nonblocking(true).map_err(failed)?;
    }
    let theirs = tokio::net::UnixStream::from_std(theirs).map_err(failed)?;
    let carrier = Carrier::new(jump.peer().to_string());
    let exec = jump.tunnel(&target.peer.host, target.peer.port)?;
    tokio::spawn(pump(exec, theirs, carrier.clone()));
    Ok(Stream { socket: ours.into(), carrier, holds: None })
}

/// Moves bytes both ways until one side ends.
async fn pump(mut exec: Exec, socket: tokio::net::UnixStream, carrier: Carrier) {
    let (mut from, mut into) = socket.into_split();
    let mut stdin = exec.take_stdin();
    let up = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if stdin.write(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        while let Some(chunk) = exec.stdout.recv().await {
            match chunk {
                Ok(chunk) if into.write_all(&chunk).await.is_ok() => {}
                Ok(_) => return None,
                Err(error) => return Some(chain(&error)),
            }
        }
        Some("the connection over it was closed".to_owned())
    };
    let why = tokio::select! {
        () = up => None,
        why = down => why,
    };
    if let Some(why) = why {
        carrier.complain(why);
    }
}
