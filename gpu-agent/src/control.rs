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
    Cancel(String),
    /// Everything was received: the run's folder may go once the run has ended.
    Bye,
}

impl Control {
    /// Sends it. An error means that nobody is there to read it.
    pub(crate) fn send(mut self, dir: &RunDir) -> io::Result<()> {
        if let Self::Cancel(reason) = &mut self {
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
        }
        let mut line = serde_json::to_vec(&self)?;
        line.push(b'\n');
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().write(true).custom_flags(nonblocking).open(dir.control())?.write_all(&line)
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
