//! `events.ndjson`: the harness's own events and the node's, under one gapless numbering.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use gpu_suites::event::{Event, Origin, Record};
use gpu_suites::id::NodeName;
use jiff::Timestamp;

/// Gives every record its number.
#[derive(Debug, Default)]
pub(super) struct Numbering(u64);

impl Numbering {
    /// An event of the harness's own.
    pub(super) fn own(&mut self, event: Event) -> Record {
        self.next(Record { seq: 0, at: Timestamp::now(), from: None, event })
    }

    /// A node's record, with its origin.
    pub(super) fn of_node(&mut self, node: &NodeName, record: Record) -> Record {
        let from = Some(Origin { node: node.clone(), seq: record.seq });
        self.next(Record { from, ..record })
    }

    fn next(&mut self, mut record: Record) -> Record {
        record.seq = self.0;
        self.0 += 1;
        record
    }
}

pub(super) struct EventLog {
    path: PathBuf,
    file: BufWriter<Box<dyn Write + Send>>,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct EventLogError {
    path: PathBuf,
    source: io::Error,
}

impl EventLog {
    /// Makes the file, which must not be there yet.
    pub(super) fn create(path: &Path) -> Result<Self, EventLogError> {
        let file = File::create_new(path).map_err(|source| EventLogError { path: path.into(), source })?;
        Ok(Self::into(path, Box::new(file)))
    }

    /// Writes into this, which messages call `path`.
    pub(super) fn into(path: &Path, file: Box<dyn Write + Send>) -> Self {
        Self { path: path.into(), file: BufWriter::with_capacity(64 << 10, file) }
    }

    /// Keeps a record's line.
    pub(super) fn append(&mut self, line: &str) -> Result<(), EventLogError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| EventLogError { path: self.path.clone(), source })
    }

    /// Hands what was kept to the operating system, so that a killed harness leaves it behind.
    pub(super) fn flush(&mut self) -> Result<(), EventLogError> {
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
        let mut numbering = Numbering::default();
        let own = numbering.own(Interrupted { by: "SIGTERM".into() }.into());
        let theirs = Warning { case: None, message: "low on disk".into() };
        let theirs = Record { seq: 41, at: Timestamp::UNIX_EPOCH, from: None, event: theirs.into() };
        let theirs = numbering.of_node(&"lab".into(), theirs);
        for record in [own, theirs] {
            log.append(&record.to_line()).unwrap();
        }
        log.flush().unwrap();
        let kept = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<Record> = kept.lines().map(|line| Record::parse(line).unwrap()).collect();
        assert_eq!(kept.iter().map(|record| record.seq).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(kept[1].from, Some(Origin { node: "lab".into(), seq: 41 }));
        assert_eq!(kept[1].at, Timestamp::UNIX_EPOCH);
    }
}
