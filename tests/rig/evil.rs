//! The promise that a node which means harm ends the run as what it is, with as many of its tricks as one likes.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::process::kill;
use crate::project::{Finished, Project, events_in};
use crate::xml;

/// Little log, so that a flood is soon one.
const SUITE: &str = "
suite: s
cases:
  - { name: c, command: { run: [\"true\"] }, timeout: 10s, limits: { log: 64 KiB } }
  - { name: d, command: { run: [\"true\"] }, timeout: 10s, limits: { log: 64 KiB } }
";
/// What gpu-harness may take of memory (its address space), and of disk for one file and for the run's folder.
const MEMORY: u64 = 3 << 30;
const FILE: u64 = 512 << 20;
const FOLDER: u64 = 600 << 20;
/// What it may print.
const PRINTED: usize = 1 << 20;
/// Far more than any trick needs: a bound, not a measurement.
const TIME: Duration = Duration::from_secs(150);
/// Runs at a time: most of one is waiting.
const AT_ONCE: usize = 3;

fn agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/hostile/evil_agent.py")
}

/// The tricks, with how a run has to end that meets each.
fn modes() -> Vec<(String, String)> {
    let listed = Command::new(agent()).arg("modes").output().expect("python3 runs");
    let text = String::from_utf8(listed.stdout).expect("text");
    let modes = text.lines().map(|line| line.split_once('\t').expect("a name and an end"));
    modes.map(|(name, ends)| (name.to_owned(), ends.to_owned())).collect()
}

fn confined(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
            setrlimit(Resource::As, limit(MEMORY))?;
            setrlimit(Resource::Fsize, limit(FILE))?;
            Ok(())
        });
    }
}

/// What came of `gpu-harness ARGUMENTS` on such a node.
pub fn met(mode: &str, arguments: &[&str]) -> (Project, Finished) {
    let project = Project::with_suite(SUITE).env("EVIL", mode);
    let project = project.env("GPU_HARNESS_AGENT", agent().display().to_string());
    let mut command = project.command(arguments);
    confined(&mut command);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gpu-harness starts");
    let pid = child.id().cast_signed();
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let hangs = is_over.recv_timeout(TIME).is_err();
        if hangs {
            kill(pid);
        }
        hangs
    });
    let finished = project.collect(child);
    let _ = over.send(());
    let hangs = guard.join().expect("it only waits");
    assert!(!hangs, "{mode}: it does not end by itself: {}", finished.stderr);
    (project, finished)
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        data => data.map_or(0, |data| data.len()),
    };
    entries.map(size).sum()
}

/// What holds of every run, however its node behaves.
fn is_sound(mode: &str, run: &Finished) {
    for printed in [&run.stdout, &run.stderr] {
        let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!printed.contains(harmful), "{mode}: {:?}", printed.chars().find(|c| harmful(*c)));
        assert!(printed.len() < PRINTED, "{mode}: {} bytes were printed", printed.len());
        for line in printed.lines().map(str::trim_start) {
            assert!(
                !line.starts_with("::") && !line.contains("##["),
                "{mode}: a CI system's command: {line:?}"
            );
        }
    }
    assert!(size_of(run.folder()) < FOLDER, "{mode}: {} bytes on disk", size_of(run.folder()));
    assert!(!run.folder().join("../../escaped").exists(), "{mode}");
    let junit = run.junit();
    xml::check(&junit);
    assert_eq!(xml::cases(&junit).len(), 2, "{mode}: {junit}");
    for made in ["summary.txt", "report.html"] {
        assert!(run.folder().join(made).is_file(), "{mode}: no {made}");
    }
    let events = events_in(run.folder());
    assert!(matches!(events.last().map(|record| &record.event), Some(Event::RunClosed(_))), "{mode}");
    assert!(events.iter().enumerate().all(|(at, record)| record.seq == at as u64), "{mode}");
}

fn ends_well(mode: &str, ends: &str) -> Result<(), String> {
    let (_project, run) = met(mode, &["run"]);
    let tail =
        |text: &str| text.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    let shown = || format!("{mode}: {:?}\n{}\n{}", run.status, tail(&run.stdout), tail(&run.stderr));
    let code = run.status.code().ok_or_else(shown)?;
    let wanted = if ends == "passed" { 0 } else { 3 };
    if code != wanted {
        return Err(format!("exit {code} where {wanted} was due: {}", shown()));
    }
    is_sound(mode, &run);
    for case in ["c", "d"] {
        let (outcome, reason) = run.outcome(case);
        // A case that had passed before the node was found out has passed.
        let is_due = if ends == "passed" { outcome == Outcome::Passed } else { outcome != Outcome::Failed };
        if !is_due {
            return Err(format!("{case} is {outcome}: {reason}; {}", shown()));
        }
    }
    Ok(())
}

#[derive(Debug)]
pub struct Tally {
    /// Tricks that were met.
    pub tricks: usize,
}

/// Meets every `every`th trick, beginning at the `seed`th, some at a time.
pub fn check(every: u64, seed: u64) -> Tally {
    let every = usize::try_from(every.max(1)).expect("a number of tricks");
    let first = usize::try_from(seed % every as u64).expect("less than a usize");
    let due = Vec::from_iter(modes().into_iter().skip(first).step_by(every));
    let tricks = due.len();
    assert!(tricks > 0, "{} has no trick", agent().display());
    let (left, wrong) = (Mutex::new(due), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((mode, ends)) = { left.lock().expect("nobody panics with it").pop() } {
                    let checked = std::panic::catch_unwind(|| ends_well(&mode, &ends));
                    let told = checked.unwrap_or_else(|_| Err(format!("{mode}: see above")));
                    wrong.lock().expect("nobody panics with it").extend(told.err());
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{} went wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
    Tally { tricks }
}
