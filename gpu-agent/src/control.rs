//! What reaches a supervisor from outside: one JSON line each, through a FIFO in the run's folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde::{Deserialize, Serialize};

use crate::folder::RunDir;

/// The longest reason that is handed on: a line must go through the FIFO in one piece.
const MAX_REASON: usize = 500;

/// A message to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Control {
    /// Somebody asks for the run: the lease starts anew.
    Renew,
    /// End the running case, leave out the rest.
    Cancel {
        /// Why.
        reason: String,
        /// Whether a limit was reached; else the user asks for it.
        limit: bool,
    },
    /// Everything was received: the run's folder may go once the run has ended.
    Bye,
}

/// The way to one run's supervisor. What is said before the supervisor listens waits for it, as long as this is open.
#[derive(Debug)]
pub(crate) struct Wire(File);

impl Wire {
    pub(crate) fn open(dir: &RunDir) -> io::Result<Self> {
        // Open both ways, the FIFO needs no reader; that nobody reads any more is seen by the run's lock.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        Ok(Self(OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(dir.control())?))
    }

    /// Sends a message. It is lost where the supervisor is dead.
    pub(crate) fn send(&self, mut control: Control) {
        if let Control::Cancel { reason, .. } = &mut control {
            *reason = reason.chars().take(MAX_REASON).collect();
        }
        if let Ok(mut line) = serde_json::to_vec(&control) {
            line.push(b'\n');
            let _ = (&self.0).write_all(&line);
        }
    }
}

/// Makes the FIFO.
pub(crate) fn make(dir: &RunDir) -> io::Result<()> {
    Ok(mknodat(CWD, dir.control(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}

/// Opens the supervisor's end: it never sees an end of file, though writers come and go.
pub(crate) fn open(dir: &RunDir) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(dir.control())
}
