//! Reads `events.ndjson` record by record, in the same memory whatever its length.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use gpu_suites::event::Record;
use gpu_suites::lines::{End, Reader};

use super::ReportError;

/// The longest line that is read as a record: a node's may have half of it, and gets its origin here.
const LONGEST: usize = 16 << 20;

/// What was found besides records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Whether the last line breaks off: the harness was killed while it wrote.
    pub torn: bool,
    /// Other lines that are no records.
    pub lines: u64,
}

/// Gives every record of the file to `take`, in order.
pub fn read(
    path: &Path,
    mut take: impl FnMut(Record) -> Result<(), ReportError>,
) -> Result<Damage, ReportError> {
    let failed = |source| ReportError::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let mut lines = Reader::new(BufReader::with_capacity(256 << 10, file), LONGEST);
    let mut damage = Damage::default();
    while let Some((line, end)) = lines.next_line().map_err(failed)? {
        match std::str::from_utf8(line).ok().map(Record::parse) {
            Some(Ok(record)) => take(record)?,
            _ if end == End::TooLong => damage.lines += 1,
            _ if line.trim_ascii().is_empty() => {}
            _ if end == End::Stream => damage.torn = true,
            _ => damage.lines += 1,
        }
    }
    Ok(damage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpu_suites::event::{Event, Interrupted};

    fn seqs(content: &[u8]) -> (Vec<u64>, Damage) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, content).unwrap();
        let mut seqs = Vec::new();
        let damage = read(&path, |record| {
            seqs.push(record.seq);
            Ok(())
        });
        (seqs, damage.unwrap())
    }

    fn line(seq: u64) -> Vec<u8> {
        let event = Event::from(Interrupted { by: "SIGTERM".into() });
        let record = Record { seq, at: jiff::Timestamp::UNIX_EPOCH, from: None, event };
        (record.to_line() + "\n").into_bytes()
    }

    #[test]
    fn a_file_cut_off_anywhere_gives_every_whole_record() {
        let whole = [line(0), line(1), line(2)].concat();
        for length in 0..whole.len() {
            let (seqs, damage) = seqs(&whole[..length]);
            // A record without its newline is whole too.
            let records = (length + 1) / line(0).len();
            assert_eq!(seqs.len(), records, "cut at {length}");
            assert_eq!(
                damage,
                Damage { torn: length % line(0).len() != 0 && (length + 1) % line(0).len() != 0, lines: 0 }
            );
        }
    }

    #[test]
    fn lines_that_are_no_records_are_counted_and_the_rest_is_read() {
        let content = [line(0), b"\xff\xfe\n".to_vec(), b"{}\n\n".to_vec(), line(1)].concat();
        assert_eq!(seqs(&content), (vec![0, 1], Damage { torn: false, lines: 2 }));
    }

    #[test]
    fn a_line_longer_than_any_record_is_left_out() {
        let content = [line(0), vec![b'x'; 20 << 20], b"\n".to_vec(), line(1)].concat();
        assert_eq!(seqs(&content), (vec![0, 1], Damage { torn: false, lines: 1 }));
    }
}
