//! Memory that threads take from one another: who wants more than is left waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::halt::{Halt, LOOK_AGAIN};

pub(super) struct Budget {
    whole: u64,
    left: Mutex<u64>,
    freed: Condvar,
}

/// Bytes that are in use until this is dropped.
pub(super) struct Held<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(whole: u64) -> Self {
        Self { whole, left: Mutex::new(whole), freed: Condvar::new() }
    }

    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Waits until `bytes` are left and takes them; what is larger than the whole budget takes all of it. `None` where
    /// the pipeline is to stop.
    pub(super) fn take(&self, bytes: u64, halt: &Halt) -> Option<Held<'_>> {
        let bytes = bytes.min(self.whole);
        let mut left = self.left();
        while *left < bytes {
            if halt.is_set() {
                return None;
            }
            (left, _) = self.freed.wait_timeout(left, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        Some(Held { budget: self, bytes })
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.budget.left() += self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_there_is_and_the_largest_waits_for_all() {
        let (budget, halt) = (Budget::new(10), Halt::default());
        let first = budget.take(6, &halt).unwrap();
        std::thread::scope(|scope| {
            let large = scope.spawn(|| budget.take(1000, &halt).map(|held| held.bytes));
            std::thread::sleep(LOOK_AGAIN);
            assert!(!large.is_finished());
            drop(first);
            assert_eq!(large.join().unwrap(), Some(10));
        });
        assert_eq!(*budget.left(), 10);
    }

    #[test]
    fn who_waits_for_memory_stops_with_the_pipeline() {
        let (budget, halt) = (Budget::new(1), Halt::default());
        let _held = budget.take(1, &halt).unwrap();
        halt.stop(crate::error::WorkerError::Libtorch("x".into()));
        assert!(budget.take(1, &halt).is_none());
    }
}
