//! Whether a process lives.

use std::fs;
use std::time::{Duration, Instant};

/// Whether the process is there and is not a zombie that its parent has not asked about yet.
pub fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // The program's name stands in parentheses and may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until `holds`.
///
/// # Panics
/// Where it does not within `limit`.
pub fn within(limit: Duration, what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
