//! One command that runs on a node: its input, its output, and how it ended.
//!
//! [`pair`] makes both ends: the caller's [`Exec`] and the [`FarSide`] that a transport feeds.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::TransportError;

/// Chunks that wait in one direction before the sender has to.
const QUEUED_CHUNKS: usize = 8;
/// How much of a command's standard error is kept: its end.
const STDERR_TAIL: usize = 16 << 10;

/// Told whenever the caller did something that its transport may wait for.
pub(super) type Nudge = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    /// A signal ended it; the name without `SIG`, such as `KILL`.
    Signal(String),
}

impl ExitStatus {
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(name) => write!(f, "signal SIG{name}"),
        }
    }
}

/// A command that was started. Dropping it ends the command: its streams are closed, and on this machine its whole
/// process group is killed. (A far process that reads no input and writes no output does not notice.)
#[derive(Debug)]
pub struct Exec {
    // First, so that it is closed first: the streams then wake the transport, which looks at this.
    ended: Ended,
    pub stdin: Stdin,
    pub stdout: Stdout,
    stderr: Tail,
    noise: Tail,
}

#[derive(Debug)]
enum Ended {
    Awaited(oneshot::Receiver<Result<ExitStatus, TransportError>>),
    Known(ExitStatus),
}

impl Exec {
    /// Waits for the command to end. Its input is closed; output that was not read is thrown away.
    pub async fn wait(&mut self) -> Result<ExitStatus, TransportError> {
        self.stdin.close();
        self.stdout.close();
        match &mut self.ended {
            Ended::Known(status) => Ok(status.clone()),
            Ended::Awaited(receiver) => {
                let status = receiver.await.unwrap_or(Err(TransportError::Gone))?;
                self.ended = Ended::Known(status.clone());
                Ok(status)
            }
        }
    }

    /// The input, for a task of its own that writes it; closed here from now on.
    pub fn take_stdin(&mut self) -> Stdin {
        let closed = Stdin { chunks: None, nudge: Arc::clone(&self.stdin.nudge) };
        std::mem::replace(&mut self.stdin, closed)
    }

    /// The end of what the command has written to its standard error so far. Where something stands between us and the command
    /// (a login shell) and the command has not begun, what that has said comes first.
    pub fn stderr_text(&self) -> String {
        self.noise.text() + &self.stderr.text()
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Stdout {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Self::Awaited(receiver) = self {
            receiver.close();
        }
    }
}

/// The input of a command that reads no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the command reads no more input")]
pub struct StdinClosed;

pub struct Stdin {
    chunks: Option<mpsc::Sender<Vec<u8>>>,
    nudge: Nudge,
}

impl Stdin {
    /// Hands a chunk over, waiting while too many are on their way. Chunks of 64 to 256 KiB travel best.
    /// Either the whole chunk is taken or, where the future is dropped, nothing of it.
    pub async fn write(&mut self, chunk: impl Into<Vec<u8>>) -> Result<(), StdinClosed> {
        let chunks = self.chunks.as_ref().ok_or(StdinClosed)?;
        chunks.send(chunk.into()).await.map_err(|_| StdinClosed)?;
        (self.nudge)();
        Ok(())
    }

    /// Ends the input; the command sees the end of its standard input after all that was written.
    pub fn close(&mut self) {
        if self.chunks.take().is_some() {
            (self.nudge)();
        }
    }
}

/// The standard output of a command. It comes in chunks only: what somebody else may send for ever is not read to its end.
pub struct Stdout {
    chunks: mpsc::Receiver<Result<Vec<u8>, TransportError>>,
    nudge: Nudge,
}

impl Stdout {
    /// The next chunk; `None` at the end of the output; an error where the connection ended before the output did.
    /// Nothing is lost where the future is dropped.
    pub async fn recv(&mut self) -> Option<Result<Vec<u8>, TransportError>> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let chunk = self.chunks.poll_recv(context);
        if let Poll::Ready(Some(Ok(_))) = chunk {
            (self.nudge)();
        }
        chunk
    }

    fn close(&mut self) {
        self.chunks.close();
        // What waits in the queue would otherwise stay there.
        while self.chunks.try_recv().is_ok() {}
        (self.nudge)();
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").field("open", &self.chunks.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.lock();
        kept.extend_from_slice(bytes);
        // Cut at twice the length, so that it is not moved for every few bytes.
        if kept.len() > 2 * STDERR_TAIL {
            let surplus = kept.len() - STDERR_TAIL;
            kept.drain(..surplus);
        }
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn text(&self) -> String {
        let kept = self.lock();
        String::from_utf8_lossy(&kept[kept.len().saturating_sub(STDERR_TAIL)..]).into_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport's end of an [`Exec`].
#[derive(Debug)]
pub(super) struct FarSide {
    /// What the caller has written; the sender's end is the end of the input.
    pub(super) stdin: mpsc::Receiver<Vec<u8>>,
    /// Where output goes; dropped at its end. Only the transport sends, so room that was seen stays.
    pub(super) stdout: Option<mpsc::Sender<Result<Vec<u8>, TransportError>>>,
    pub(super) stderr: Tail,
    /// Where goes what was said before the command began; empty from then on.
    pub(super) noise: Tail,
    /// Where the end goes; closed when the caller has dropped the [`Exec`].
    pub(super) ended: oneshot::Sender<Result<ExitStatus, TransportError>>,
}

impl FarSide {
    /// Whether the caller has dropped the [`Exec`].
    pub(super) fn abandoned(&self) -> bool {
        self.ended.is_closed()
    }

    /// Whether a chunk of output finds room (or nobody wants it).
    pub(super) fn has_room(&self) -> bool {
        self.stdout.as_ref().is_none_or(|stdout| stdout.capacity() > 1 || stdout.is_closed())
    }

    /// Hands a chunk of output over, for which there is room; what nobody wants is thrown away.
    pub(super) fn put(&self, chunk: &[u8]) {
        if let Some(stdout) = self.stdout.as_ref().filter(|stdout| !stdout.is_closed()) {
            let _ = stdout.try_send(Ok(chunk.to_vec()));
        }
    }

    /// Ends the command with an error, on its output and for whoever waits.
    pub(super) fn fail(self, mut error: impl FnMut() -> TransportError) {
        if let Some(stdout) = self.stdout {
            let _ = stdout.try_send(Err(error()));
        }
        let _ = self.ended.send(Err(error()));
    }
}

/// Both ends of a command that is about to start.
pub(super) fn pair(nudge: &Nudge) -> (Exec, FarSide) {
    let (input, stdin) = mpsc::channel(QUEUED_CHUNKS);
    // One place more than output may fill, so that an error always finds room.
    let (stdout, output) = mpsc::channel(QUEUED_CHUNKS + 1);
    let (ended, end) = oneshot::channel();
    let (stderr, noise) = (Tail::default(), Tail::default());
    let exec = Exec {
        stdin: Stdin { chunks: Some(input), nudge: Arc::clone(nudge) },
        stdout: Stdout { chunks: output, nudge: Arc::clone(nudge) },
        stderr: stderr.clone(),
        noise: noise.clone(),
        ended: Ended::Awaited(end),
    };
    (exec, FarSide { stdin, stdout: Some(stdout), stderr, noise, ended })
}
