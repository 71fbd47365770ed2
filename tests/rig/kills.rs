//! The promise that a killed harness leaves a report, and a node that cleans itself up, at as many random moments as
//! one likes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::process::processes;
use crate::project::{Project, events_in};
use crate::xml;

/// The lease of the node in these runs.
const LEASE: Duration = Duration::from_secs(1);
/// How long after the lease's end the node may still be busy cleaning up: a case has 5 s of grace.
const CLEANING: Duration = Duration::from_secs(15);

const SUITE: &str = r#"
suite: s
cases:
  - { name: quick, command: { run: [sh, -c, "echo quick"] } }
  - { name: slow, command: { run: [sh, -c, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done"] } }
  - { name: last, command: { run: ["true"] } }
"#;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub killed: u64,
    /// Of these, before there was a run's folder.
    pub before_the_folder: u64,
    /// Of these, after the run had ended.
    pub after_the_end: u64,
    /// Of these, with a case on the node that had started and not ended.
    pub in_a_case: u64,
}

/// Kills the harness `rounds` times at random moments and checks what it leaves.
pub fn check(rounds: u64, seed: u64) -> Tally {
    let lease = format!("{}ms", LEASE.as_millis());
    let project = Project::with_suite(SUITE).file(
        "gpu-harness.yaml",
        format!("default: here\nnodes: {{ here: {{ provider: local, lease: {lease} }} }}\n"),
    );
    let mut random = StdRng::seed_from_u64(seed);
    let mut seen = Tally::default();
    for round in 0..rounds {
        let before = project.latest();
        let mut harness = project.start(&["-q"]);
        std::thread::sleep(Duration::from_millis(random.random_range(0..1_500)));
        harness.kill().expect("a child can be killed");
        harness.wait().expect("a child can be waited for");
        seen.killed += 1;
        let how = format!("seed {seed}, round {round}");
        match project.latest().filter(|folder| Some(folder) != before.as_ref()) {
            None => seen.before_the_folder += 1,
            Some(folder) => check_report(&project, &folder, &how, &mut seen),
        }
        check_node(&project.cache(), &how);
    }
    seen
}

fn check_report(project: &Project, folder: &Path, how: &str, seen: &mut Tally) {
    let events = events_in(folder);
    let kinds: Vec<&str> = events.iter().map(|record| kind(&record.event)).collect();
    let ended = kinds.contains(&"run-closed");
    let report = project.gpu_harness(&["report", &folder.display().to_string()]);
    if !kinds.contains(&"run-created") {
        // Killed before the first event: there is nothing to report, and that is said.
        assert_eq!(report.code(), 2, "{how}: {report:?}");
        return;
    }
    let junit = fs::read_to_string(folder.join("junit.xml")).unwrap_or_default();
    let cases = xml::cases(&junit);
    assert_eq!(cases.len(), 3, "{how}: {cases:?}");
    let page = fs::read_to_string(folder.join("report.html")).unwrap_or_default();
    assert!(page.trim_end().ends_with("</html>"), "{how}: the page is whole");
    assert_eq!(page.contains("Cut off"), !ended, "{how}: it says that the run was cut off");
    let passed = cases.values().filter(|outcome| *outcome == "passed").count();
    let finished = kinds.iter().filter(|kind| **kind == "case-finished").count();
    assert_eq!(passed, finished, "{how}: a case that did not finish is never a pass");
    assert_eq!(report.code(), if finished == 3 { 0 } else { 3 }, "{how}: {report:?}");
    seen.after_the_end += u64::from(ended);
    seen.in_a_case += u64::from(kinds.iter().filter(|kind| **kind == "case-started").count() > finished);
}

fn kind(event: &gpu_suites::event::Event) -> &'static str {
    use gpu_suites::event::Event;
    match event {
        Event::RunCreated(_) => "run-created",
        Event::RunClosed(_) => "run-closed",
        Event::CaseStarted(_) => "case-started",
        Event::CaseFinished(_) => "case-finished",
        _ => "",
    }
}

/// After the lease nothing runs and no run's folder is left.
fn check_node(cache: &Path, how: &str) {
    let begun = Instant::now();
    let left = || fs::read_dir(cache.join("runs")).map_or(0, Iterator::count);
    while left() > 0 || agents(cache) > 0 {
        assert!(
            begun.elapsed() < LEASE + CLEANING,
            "{how}: {} run folders and {} processes are left",
            left(),
            agents(cache)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes of the agent, or of a case, that have this cache folder in their environment.
fn agents(cache: &Path) -> usize {
    let cache = cache.display().to_string();
    processes().filter(|process| process.knows(&cache)).count()
}
