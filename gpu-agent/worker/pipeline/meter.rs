//! What a stage has done, and how much of its time it was busy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::occupancy::Occupancy;

/// What the stages count.
pub(super) struct Meters {
    pub(super) fetch: Meter,
    pub(super) decode: Meter,
    pub(super) copy: Meter,
    pub(super) model: Meter,
    pub(super) write: Meter,
    /// Of each device.
    pub(super) occupancy: Occupancy,
    /// How many batches there were of each size.
    sizes: Mutex<BTreeMap<usize, u64>>,
}

/// The stages that are measured, in their order.
pub(super) const STAGES: [&str; 5] = ["fetch", "decode", "copy", "model", "write"];

impl Meters {
    pub(super) fn new(occupancy: Occupancy) -> Self {
        let [fetch, decode, copy, model, write] = std::array::from_fn(|_| Meter::default());
        Self { fetch, decode, copy, model, write, occupancy, sizes: Mutex::default() }
    }

    /// As [`STAGES`] has them.
    pub(super) fn stages(&self) -> [&Meter; STAGES.len()] {
        [&self.fetch, &self.decode, &self.copy, &self.model, &self.write]
    }

    /// A batch of this size goes to a replica.
    pub(super) fn batch(&self, size: usize) {
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner).entry(size).or_default() += 1;
    }

    /// How many batches there were of each size.
    pub(super) fn batch_sizes(&self) -> BTreeMap<usize, u64> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

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
