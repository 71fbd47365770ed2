//! Processes of this machine, found, watched and ended. The agent's own tests have this file too.

use std::fs;
use std::time::{Duration, Instant};

use gpu_suites::process::Stat;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything that is waited for may take on a machine that is busy: it ends a hang, and judges nothing.
pub const HANG: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub words: Vec<String>,
    /// Its variables, as `NAME=VALUE`, where it is ours.
    pub environment: Vec<String>,
}

impl Process {
    /// Whether its command line, as a shell would have it, holds `text`.
    pub fn says(&self, text: &str) -> bool {
        self.words.join(" ").contains(text)
    }

    /// Whether a variable's value holds `text`.
    pub fn knows(&self, text: &str) -> bool {
        self.environment.iter().any(|variable| variable.contains(text))
    }
}

/// Every process that has a command line: zombies and the kernel's own have none.
pub fn processes() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc").expect("Linux has it").flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let texts = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            Vec::from_iter(String::from_utf8_lossy(&bytes).split_terminator('\0').map(str::to_owned))
        };
        let words = texts("cmdline");
        (!words.is_empty()).then(|| Process { pid, words, environment: texts("environ") })
    })
}

/// Whether the process is there and is not a zombie that its parent has not asked about yet.
pub fn lives(pid: &str) -> bool {
    Stat::of(pid.trim()).is_ok_and(|stat| stat.lives())
}

/// Ends a process, if it is there. By the system call: the `kill` of procps 4.0.2 reads only the first digit of a group's
/// number, and group 1 is everybody.
pub fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).expect("a process's id"), Signal::KILL);
}

/// Waits until `holds`; the limit, [`HANG`] where nothing speaks against it, only ends a hang.
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
