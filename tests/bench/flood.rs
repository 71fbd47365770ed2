//! 100,000 log lines and 100,000 metrics a second from one case: does all arrive, and does memory stay flat?

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gpu_harness_tests::process::processes;
use gpu_harness_tests::project::Project;
use gpu_suites::event::Event;

use crate::table::Table;

/// Writes both kinds at a steady rate, and says when it could not keep up.
const SCRIPT: &str = r#"
import os, sys, time
seconds, rate = int(sys.argv[1]), int(sys.argv[2])
log = os.fdopen(1, "w", buffering=1 << 16)
metrics = open(os.environ["GPU_HARNESS_METRICS"], "w", buffering=1 << 16)
begun, step = time.monotonic(), 0
for tick in range(seconds * 50):
    for _ in range(rate // 50):
        log.write(f"line {step}\n")
        metrics.write('{"step": %d, "loss": %.6f}\n' % (step, 1 / (step + 1)))
        step += 1
    log.flush()
    metrics.flush()
    time.sleep(max(0, begun + (tick + 1) / 50 - time.monotonic()))
sys.stderr.write(f"took {time.monotonic() - begun:.3f}\n")
"#;

/// Runs it for `seconds` and prints the figures.
pub(crate) fn run(seconds: u64) {
    const RATE: u64 = 100_000;
    let project = Project::with_suite(&format!(
        "suite: s\ncases:\n  - name: flood\n    timeout: 1h\n    limits: {{ log: 100 GiB }}\n    command: {{ run: [python3, flood.py, \"{seconds}\", \"{RATE}\"], files: [flood.py] }}\n    checks: {{ loss-drop: {{}} }}\n"
    ))
    .file("flood.py", SCRIPT);
    let mut harness = project.command(&["run", "-q"]).spawn().expect("gpu-harness starts");
    let begun = Instant::now();
    let mut peaks: BTreeMap<(String, bool), u64> = BTreeMap::new();
    while harness.try_wait().expect("gpu-harness can be waited for").is_none() {
        let late = begun.elapsed() > Duration::from_secs(seconds / 2);
        for (name, pid) in programs(harness.id(), &project.cache()) {
            let peak = peaks.entry((name, late)).or_default();
            *peak = (*peak).max(resident(pid));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let folder = project.latest().expect("a run's folder");
    let (mut lines, mut metrics, mut next, mut took) = (0_u64, 0_u64, 0_u64, 0.0_f64);
    let events = std::io::BufReader::new(fs::File::open(folder.join("events.ndjson")).expect("the events"));
    for line in std::io::BufRead::lines(events) {
        let record = gpu_suites::event::Record::parse(&line.expect("UTF-8")).expect("a record");
        assert_eq!(record.seq, next, "the numbering has a gap");
        next += 1;
        match record.event {
            Event::Log(log) if log.stream == gpu_suites::event::Stream::Stdout => {
                lines += log.text.matches('\n').count() as u64;
            }
            Event::Log(log) => took = log.text.trim().trim_start_matches("took ").parse().unwrap_or(took),
            Event::Metrics(_) => metrics += 1,
            _ => {}
        }
    }
    let wanted = seconds * RATE;
    let mut table = Table::new(["figure", "measured", "wanted"]);
    table.row(["log lines that arrived", &lines.to_string(), &wanted.to_string()]);
    table.row(["metrics that arrived", &metrics.to_string(), &wanted.to_string()]);
    let rate = format!("{:.0} of each a second", wanted as f64 / took);
    table.row(["rate of the case", &rate, "100000 (1.00 of the time planned)"]);
    let behind = format!("{:.1} s", begun.elapsed().as_secs_f64() - took);
    table.row(["run's wall time beyond the case's", &behind, ""]);
    for ((name, late), bytes) in &peaks {
        let half = if *late { "second half" } else { "first half" };
        let mib = format!("{:.1} MiB", *bytes as f64 / 1_048_576.0);
        table.row([&format!("peak memory of {name}, {half}"), &mib, "< 64 MiB"]);
    }
    table.print();
}

/// The harness, and the agent's processes whose environment names this cache folder.
fn programs(harness: u32, cache: &Path) -> Vec<(String, u32)> {
    let cache = cache.display().to_string();
    let agents = processes().filter(|process| process.knows(&cache)).filter_map(|process| {
        let verb = process.words.get(1).filter(|verb| ["serve", "supervise"].contains(&verb.as_str()))?;
        Some((format!("gpu-agent {verb}"), process.pid.cast_unsigned()))
    });
    std::iter::once(("gpu-harness".to_owned(), harness)).chain(agents).collect()
}

/// Resident memory in bytes; 0 for a process that has ended.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
