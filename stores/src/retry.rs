//! Another try, as long as one is worth it.

use std::time::{Duration, Instant};

use backon::{BlockingRetryable as _, ExponentialBuilder};

use crate::error::{Fault, Result, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a caller puts up with a store that does not answer as it should.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first failure of a call.
    pub at_most: Duration,
    /// Tries of one object that comes too slowly or in the wrong length, while the store itself answers.
    pub of_object: u32,
}

impl Patience {
    /// Makes the call until it succeeds, cannot succeed, or patience ends; `stop` ends it early.
    pub fn exercise<T>(self, stop: &dyn Fn() -> bool, call: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let mut tries = 0;
        let once_more = |error: &StoreError| {
            tries += 1;
            let object = matches!(error.fault, Fault::Slow(_) | Fault::Length { .. });
            let over = if object { tries >= self.of_object } else { begun.elapsed() >= self.at_most };
            error.fault.may_pass() && !over && !stop()
        };
        call.retry(pauses().without_max_times()).when(once_more).call()
    }
}

/// Pauses that grow, and are up to twice as long by chance, so that many that failed at once do not come back at once.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).with_jitter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
        let patience = Patience { at_most: Duration::from_secs(5), of_object: 2 };
        let failing = |fault: Fault, times: u32| {
            let mut calls = 0;
            let ended = patience.exercise(&|| false, || {
                calls += 1;
                if calls > times {
                    return Ok(());
                }
                Err(StoreError { verb: "read", what: "x".into(), fault: fault.clone() })
            });
            (ended.is_ok(), calls)
        };
        assert_eq!(failing(Fault::Unavailable("503".into()), 2), (true, 3));
        assert_eq!(failing(Fault::Missing, 2), (false, 1));
        assert_eq!(failing(Fault::Slow("1 byte".into()), 9), (false, 2));
    }
}
