//! How many shards are begun and not written yet: one slow image must not let all others pile up behind it.

use std::sync::{Condvar, Mutex, PoisonError};

use super::halt::{Halt, LOOK_AGAIN};

/// Lets so many shards be open at a time.
pub(super) struct Gate {
    most: usize,
    open: Mutex<usize>,
    closed: Condvar,
}

impl Gate {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Mutex::new(0), closed: Condvar::new() }
    }

    /// Waits for room for one more shard; `false` where the pipeline is to stop.
    pub(super) fn open(&self, halt: &Halt) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while *open >= self.most {
            if halt.is_set() {
                return false;
            }
            (open, _) = self.closed.wait_timeout(open, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
        }
        *open += 1;
        true
    }

    /// A shard is written.
    pub(super) fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.closed.notify_all();
    }
}
