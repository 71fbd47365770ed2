//! The first thing that ends the whole pipeline, known to every thread of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::WorkerError;

/// How often who waits for something looks whether all is over.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whether the pipeline is to stop, and why.
#[derive(Default)]
pub(super) struct Halt {
    set: AtomicBool,
    why: Mutex<Option<WorkerError>>,
}

impl Halt {
    pub(super) fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Stops the pipeline; the first reason is kept.
    pub(super) fn stop(&self, why: WorkerError) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.set.store(true, Ordering::Relaxed);
    }

    pub(super) fn into_result(self) -> Result<(), WorkerError> {
        match self.why.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }
}
