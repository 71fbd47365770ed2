//! What a stage has done, and how much of its time it was busy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::occupancy::Occupancy;

/// What the stages count.
pub(super) struct Meters {
    pub(super) fetch: Meter,
    pub(super) decode: Meter,
    pub(super) copy: Meter,
    pub(super) model: Meter,
    pub(super) write: Meter,
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

pub(super) struct Meter {
    begun: Instant,
    work: Mutex<Work>,
    items: AtomicU64,
    bytes: AtomicU64,
}

/// Pieces of work: those that have ended took `ended − begun` in all, whatever their order.
#[derive(Debug, Default)]
struct Work {
    /// Sums of times since the meter began.
    begun: Duration,
    ended: Duration,
    /// How many have begun and not ended.
    going_on: u32,
}

impl Default for Meter {
    fn default() -> Self {
        let (items, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { begun: Instant::now(), work: Mutex::default(), items, bytes }
    }
}

impl Work {
    fn begin(&mut self, now: Duration) {
        self.begun += now;
        self.going_on += 1;
    }

    fn end(&mut self, now: Duration) {
        self.ended += now;
        self.going_on -= 1;
    }

    /// Time of all work so far, of what goes on as well.
    fn busy(&self, now: Duration) -> Duration {
        (self.ended + now * self.going_on).saturating_sub(self.begun)
    }
}

impl Meter {
    /// Counts the time that `work` takes as busy.
    pub(super) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut counted = self.work();
        counted.begin(self.begun.elapsed());
        drop(counted);
        let made = work();
        let mut counted = self.work();
        counted.end(self.begun.elapsed());
        made
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
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
        // The lock first: what begins meanwhile must not be later than now.
        let work = self.work();
        work.busy(self.begun.elapsed())
    }

    /// Busy time as a share of what `threads` had.
    pub(super) fn utilisation(&self, threads: usize, wall: Duration) -> f64 {
        let had = wall.as_secs_f64() * threads as f64;
        if had > 0.0 { self.busy_time().as_secs_f64() / had } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_goes_on_counts_as_far_as_it_is() {
        let at = Duration::from_secs;
        let mut work = Work::default();
        work.begin(at(1));
        work.begin(at(2));
        assert_eq!(work.busy(at(4)), at(3 + 2));
        work.end(at(5));
        assert_eq!(work.busy(at(5)), at(4 + 3));
        work.end(at(5));
        assert_eq!(work.busy(at(100)), at(4 + 3));
    }
}
