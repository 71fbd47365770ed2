//! Ends what is left of a run whose supervisor was killed: its processes carry the run's name in their environment.

use std::fs;

use gpu_suites::id::RunId;
use rustix::process::{Pid, Signal, kill_process};

/// The environment variable that every process of a case carries.
pub(crate) const MARK: &str = "GPU_HARNESS_RUN";

/// Kills every process that carries the run's mark. The kernel has already ended the case's own process together
/// with its supervisor; this is for what that process had started.
pub(crate) fn end(run: &RunId) {
    let mark = format!("{MARK}={run}").into_bytes();
    // A process can fork while the list is read: look again until none is found.
    for _ in 0..100 {
        let found = marked(&mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = rustix::process::getpid();
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| {
        *pid != own
            && fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
    })
    .collect()
}
