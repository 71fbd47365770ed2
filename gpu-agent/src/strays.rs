//! Ends what is left of a run whose supervisor was killed: its processes carry the run's folder in their environment.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::folder::RunDir;

/// The environment variable that every process of a case carries: a path below the run's folder.
pub(crate) const MARK: &str = "GPU_HARNESS_METRICS";

/// Kills every process that carries the run's mark. The kernel has already ended the case's own process together
/// with its supervisor; this is for what that process had started.
pub(crate) fn end(dir: &RunDir) {
    let mark = [MARK.as_bytes(), b"=", dir.cases().as_os_str().as_bytes(), b"/"].concat();
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
            && fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark))
            })
    })
    .collect()
}
