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
    },
    /// Another part of this process, which says by what.
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
        }))
    }

    /// Interrupts that come from within, and what makes them.
    pub fn inside() -> (UnboundedSender<&'static str>, Self) {
        let (sender, receiver) = unbounded_channel();
        (sender, Self(Source::Inside(receiver)))
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        match &mut self.0 {
            Source::Signals { int, term, hangup, .. } => tokio::select! {
                _ = int.recv() => "SIGINT",
                _ = term.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            },
            Source::Inside(receiver) => match receiver.recv().await {
                Some(by) => by,
                None => std::future::pending().await,
            },
        }
    }
}
