//! Who asks a run to stop. The first asking lets it end in good order, the second ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where the askings come from.
#[derive(Debug)]
pub struct Interrupts(Source);

#[derive(Debug)]
enum Source {
    /// Ctrl-C and a CI system's stop.
    Signals {
        int: Signal,
        term: Signal,
        hangup: Signal,
        /// A file that may not grow any more: the write fails, and the process does not.
        _too_large: Signal,
        /// What another part of this process says.
        inside: Option<UnboundedReceiver<&'static str>>,
    },
    /// Another part of this process, which says by what.
    Inside(UnboundedReceiver<&'static str>),
}

#[derive(Debug, Default)]
pub enum Stop {
    /// Ctrl-C and a CI system's stop: for the one run that a process is there for.
    #[default]
    Signals,
    /// The same, and another part of this process, which says by what.
    SignalsAnd(UnboundedReceiver<&'static str>),
    /// Another part of this process alone: for one run among several.
    Inside(UnboundedReceiver<&'static str>),
}

impl Interrupts {
    /// Starts to listen for signals; from here on none of them ends the process by itself.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self(Source::Signals {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            inside: None,
        }))
    }

    /// Those that come from there; from here on no signal that is meant ends the process by itself.
    pub fn from(stop: Stop) -> std::io::Result<Self> {
        let receiver = match stop {
            Stop::Inside(receiver) => return Ok(Self(Source::Inside(receiver))),
            Stop::Signals => return Self::listen(),
            Stop::SignalsAnd(receiver) => receiver,
        };
        let mut listening = Self::listen()?;
        if let Source::Signals { inside, .. } = &mut listening.0 {
            *inside = Some(receiver);
        }
        Ok(listening)
    }

    /// Interrupts that come from within, and what makes them.
    pub fn inside() -> (UnboundedSender<&'static str>, Self) {
        let (sender, receiver) = unbounded_channel();
        (sender, Self(Source::Inside(receiver)))
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        match &mut self.0 {
            Source::Signals { int, term, hangup, inside, .. } => tokio::select! {
                _ = int.recv() => "SIGINT",
                _ = term.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
                by = said(inside.as_mut()) => by,
            },
            Source::Inside(receiver) => said(Some(receiver)).await,
        }
    }
}

/// What is said next; nobody who could say something any more says nothing.
async fn said(receiver: Option<&mut UnboundedReceiver<&'static str>>) -> &'static str {
    match receiver {
        Some(receiver) => match receiver.recv().await {
            Some(by) => by,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
