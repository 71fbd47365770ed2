//! A report takes the same memory whatever the run's length.
//!
//! The only test of its file: it looks at the peak memory of its whole process.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};

/// A run of two cases whose events take `size` bytes: metrics and logs in turn, with some very long lines.
fn write_events(path: &std::path::Path, size: u64) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut written = 0;
    let mut seq = 0_u64;
    let mut line = String::new();
    let at = |seq: u64| {
        jiff::Timestamp::from_microsecond(1_790_000_000_000_000 + i64::try_from(seq).unwrap() * 10).unwrap()
    };
    let long = "x".repeat(4 << 20);
    while written < size {
        line.clear();
        write!(line, r#"{{"seq":{seq},"at":"{}","#, at(seq)).unwrap();
        let case = if seq.is_multiple_of(3) { "s::a" } else { "s::b" };
        match seq {
            0 => line.push_str(r#""kind":"run-created","run":"r","harness":"0","node":"n","cases":[{"id":"s::a","at":"s.yaml:1"},{"id":"s::b","at":"s.yaml:9"}]}"#),
            1 | 2 => write!(line, r#""kind":"case-started","case":"{case}","attempt":1}}"#).unwrap(),
            _ if seq.is_multiple_of(100_000) => {
                write!(line, r#""kind":"log","case":"{case}","stream":"stdout","text":"{long}"}}"#).unwrap();
            }
            _ if seq.is_multiple_of(2) => {
                let loss = 1.0 / seq as f64;
                write!(line, r#""kind":"metrics","case":"{case}","step":{seq},"values":{{"loss":{loss},"m{}":"NaN","memory_bytes":{seq}}}}}"#, seq % 1_000).unwrap();
            }
            _ => write!(line, r#""kind":"log","case":"{case}","stream":"stderr","text":"line {seq} of a chatty program\n"}}"#).unwrap(),
        }
        line.push('\n');
        file.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        seq += 1;
    }
    file.flush().unwrap();
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn reading_and_folding_a_long_run_stays_below_64_mib() {
    let mib = std::env::var("GPU_HARNESS_TEST_EVENTS_MIB").map_or(72, |mib| mib.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    write_events(&folder.path().join("events.ndjson"), mib << 20);
    let state = gpu_harness::report::render(folder.path(), None).unwrap();
    assert!(peak_memory() < 64 << 20, "{} MiB", peak_memory() >> 20);
    let case = state.case(&"s::b".into()).unwrap();
    assert!(case.stderr.total() > 3 << 20, "the run is long: {}", case.stderr.total());
    let log = folder.path().join("cases/s.b/stderr.log");
    assert_eq!(std::fs::metadata(log).unwrap().len(), case.stderr.total(), "every byte is in the log's file");
    assert!(std::fs::metadata(folder.path().join("junit.xml")).unwrap().len() < 2 << 20);
}
