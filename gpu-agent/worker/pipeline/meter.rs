//! What a stage has done, and how much of its time it was busy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One stage's counters.
#[derive(Default)]
pub(super) struct Meter {
    busy: AtomicU64,
    items: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// Counts the time that `work` takes as busy.
    pub(super) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let made = work();
        let nanoseconds = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(nanoseconds, Ordering::Relaxed);
        made
    }

    pub(super) fn count(&self, items: usize, bytes: usize) {
        self.items.fetch_add(items as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn busy_time(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    /// Busy time as a share of what `threads` had.
    pub(super) fn utilisation(&self, threads: usize, wall: Duration) -> f64 {
        let had = wall.as_secs_f64() * threads as f64;
        if had > 0.0 { self.busy_time().as_secs_f64() / had } else { 0.0 }
    }
}
