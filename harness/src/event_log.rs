//! `events.ndjson`: the harness's own events and the node's, under one gapless numbering.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use gpu_suites::event::{Event, Origin, Record};
use gpu_suites::id::NodeName;
use jiff::Timestamp;

/// The open log of a run.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: BufWriter<File>,
    next: u64,
}

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct EventLogError {
    path: PathBuf,
    source: io::Error,
}

impl EventLog {
    /// Makes the file, which must not be there yet.
    pub fn create(path: &Path) -> Result<Self, EventLogError> {
        let file = File::create_new(path).map_err(|source| EventLogError { path: path.into(), source })?;
        Ok(Self { path: path.into(), file: BufWriter::with_capacity(64 << 10, file), next: 0 })
    }

    /// Numbers an event of the harness's own and keeps it.
    pub fn own(&mut self, event: impl Into<Event>) -> Result<Record, EventLogError> {
        self.keep(Record { seq: 0, at: Timestamp::now(), from: None, event: event.into() })
    }

    /// Renumbers a node's record, remembering its origin, and keeps it.
    pub fn from_node(&mut self, node: &NodeName, record: Record) -> Result<Record, EventLogError> {
        let from = Some(Origin { node: node.clone(), seq: record.seq });
        self.keep(Record { from, ..record })
    }

    fn keep(&mut self, mut record: Record) -> Result<Record, EventLogError> {
        record.seq = self.next;
        let line = record.to_line();
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| EventLogError { path: self.path.clone(), source })?;
        self.next += 1;
        Ok(record)
    }

    /// Hands what was kept to the operating system, so that a killed harness leaves it behind.
    pub fn flush(&mut self) -> Result<(), EventLogError> {
        self.file.flush().map_err(|source| EventLogError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpu_suites::event::{Interrupted, Warning};

    #[test]
    fn records_of_two_writers_get_one_gapless_numbering_and_keep_their_origin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        let mut log = EventLog::create(&path).unwrap();
        log.own(Interrupted { by: "SIGTERM".into() }).unwrap();
        let theirs = Warning { case: None, message: "low on disk".into() };
        let theirs = Record { seq: 41, at: Timestamp::UNIX_EPOCH, from: None, event: theirs.into() };
        log.from_node(&"lab".into(), theirs).unwrap();
        log.flush().unwrap();
        let kept = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<Record> = kept.lines().map(|line| Record::parse(line).unwrap()).collect();
        assert_eq!(kept.iter().map(|record| record.seq).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(kept[1].from, Some(Origin { node: "lab".into(), seq: 41 }));
        assert_eq!(kept[1].at, Timestamp::UNIX_EPOCH);
    }
}
