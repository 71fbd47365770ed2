//! What reaches a supervisor from outside: a message each, through a socket that no file stands for.
//!
//! Its name is in the kernel's own list of names: whoever can write the run's folder can neither listen there in the
//! supervisor's place nor take its messages away. Anybody can send; who does not show the run's key is not heard.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use gpu_suites::seal::Key;
use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::folder::RunDir;

/// The longest reason that is handed on.
const MAX_REASON: usize = 500;
/// The longest message: a reason, every character of it escaped.
pub(crate) const LONGEST: usize = 8 << 10;
/// How often, and after which pause each, a message is sent again where the supervisor is behind.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// A message to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Control {
    /// Somebody asks for the run: the lease starts anew.
    Renew,
    /// End the running case, leave out the rest.
    Cancel {
        reason: String,
        /// Whether a limit was reached; else the user asks for it.
        limit: bool,
    },
    /// Everything was received: the run's folder may go once the run has ended.
    Bye,
}

/// A message with what shows that its sender may send it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) key: Key,
    pub(crate) control: Control,
}

/// The way to one run's supervisor.
#[derive(Debug)]
pub(crate) struct Wire {
    /// `None` where nobody listens: that a run's supervisor is dead is seen by its lock.
    socket: Option<UnixDatagram>,
    key: Key,
}

impl Wire {
    pub(crate) fn open(dir: &RunDir, key: Key) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let connected = socket.connect_addr(&address(dir)?);
        Ok(Self { socket: connected.is_ok().then_some(socket), key })
    }

    /// Sends a message. It is lost where the supervisor is dead.
    pub(crate) fn send(&self, mut control: Control) {
        let Some(socket) = &self.socket else { return };
        if let Control::Cancel { reason, .. } = &mut control {
            *reason = reason.chars().take(MAX_REASON).collect();
        }
        let Ok(letter) = serde_json::to_vec(&Letter { key: self.key.clone(), control }) else { return };
        for _ in 0..TRIES {
            match socket.send(&letter) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                _ => return,
            }
        }
    }
}

/// Makes the supervisor's end. What is said before it listens waits for it.
pub(crate) fn bind(dir: &RunDir) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&address(dir)?)
}

/// The end that whoever started this process has made for it; no case gets it.
pub(crate) fn inherited(number: RawFd) -> io::Result<UnixDatagram> {
    // SAFETY: the number was handed over for this, and nothing else in this process uses it; where it is none, the calls
    // below say so.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket.into())
}

/// A name for the run in this folder.
fn address(dir: &RunDir) -> io::Result<SocketAddr> {
    let hash = Sha256::digest(dir.path().as_os_str().as_bytes());
    SocketAddr::from_abstract_name(format!("gpu-harness/{}", hex::encode(hash)))
}
