//! What NVIDIA's driver has complained of to the kernel: a GPU that fell off its bus says so nowhere else.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gpu_suites::facts::{KernelLog, Xid};
use rustix::fs::OFlags;

/// The kernel's log; each read gives one record.
const LOG: &str = "/dev/kmsg";
/// The longest record that the kernel writes.
const RECORD: usize = 8 << 10;
/// The most records that are looked at: more than the kernel keeps.
const MOST_RECORDS: usize = 1 << 20;
/// The most complaints that are passed on, and how much of each.
const MOST: usize = 64;
const MESSAGE: usize = 500;

pub(super) fn look() -> KernelLog {
    read(Path::new(LOG)).unwrap_or_else(|error| KernelLog::Unreadable(format!("{LOG}: {error}")))
}

fn read(path: &Path) -> io::Result<KernelLog> {
    // Without waiting for what is yet to come.
    let mut log =
        File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let (mut xids, mut more) = (Vec::new(), 0);
    let mut record = vec![0; RECORD];
    for _ in 0..MOST_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => match xid(&String::from_utf8_lossy(&record[..length])) {
                Some(xid) if xids.len() < MOST => xids.push(xid),
                Some(_) => more += 1,
                None => {}
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The record was overwritten before it was read; the next read gives the oldest that there is.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(KernelLog::Read { xids, more })
}

/// Understands `PRIORITY,NUMBER,MICROSECONDS,FLAGS;NVRM: Xid (GPU): CODE, MESSAGE`.
fn xid(record: &str) -> Option<Xid> {
    let (head, text) = record.split_once(';')?;
    let text = text.lines().next()?;
    let (gpu, rest) = text.strip_prefix("NVRM: Xid (")?.split_once("): ")?;
    let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (code, message) = rest.split_at(digits);
    let microseconds = head.split(',').nth(2).and_then(|number| number.parse::<u64>().ok());
    Some(Xid {
        code: code.parse().ok()?,
        gpu: gpu.chars().take(MESSAGE).collect(),
        message: message.trim_start_matches([',', ' ']).chars().take(MESSAGE).collect(),
        seconds: microseconds.map(|microseconds| microseconds as f64 / 1e6),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drivers_own_error_reports_are_taken() {
        let fell = "3,912,81250000,-;NVRM: Xid (PCI:0000:00:1e): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n SUBSYSTEM=pci\n";
        let seen = xid(fell).unwrap();
        assert_eq!((seen.code, seen.gpu.as_str(), seen.seconds), (79, "PCI:0000:00:1e", Some(81.25)));
        assert!(seen.message.ends_with("GPU has fallen off the bus."), "{}", seen.message);
        for other in [
            "6,1,0,-;Linux version 6.8",
            "6,2,0,-;NVRM: loading NVIDIA UNIX Open Kernel Module",
            // What a process writes into the log begins otherwise.
            "12,3,0,-;somebody: NVRM: Xid (PCI:0000:00:1e): 79, GPU has fallen off the bus.",
            "3,4,0,-;NVRM: Xid (PCI:0000:00:1e): many",
            "",
        ] {
            assert_eq!(xid(other), None, "{other}");
        }
    }

    #[test]
    fn a_log_that_cannot_be_read_is_a_fact() {
        assert!(read(Path::new("/nonexistent/kmsg")).is_err());
        assert!(matches!(look(), KernelLog::Read { .. } | KernelLog::Unreadable(_)));
    }
}
