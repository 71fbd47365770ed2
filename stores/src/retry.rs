//! Another try, as long as one is worth it.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::error::{Fault, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
    pub fn exercise<T>(self, stop: &dyn Fn() -> bool, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let error = match call() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let object = matches!(error.fault, Fault::Slow(_) | Fault::Length { .. });
            let over = if object { tries + 1 >= self.of_object } else { begun.elapsed() >= self.at_most };
            if !error.fault.may_pass() || over || stop() {
                return Err(error);
            }
            std::thread::sleep(pause(tries));
            tries += 1;
        }
    }
}

/// The pause after the try of this number: twice as long each time, and anything below that by chance, so that many
/// that failed at once do not come back at once.
pub(crate) fn pause(tries: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    longest.mul_f64(rand::rng().random_range(0.1..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;

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

    #[test]
    fn pauses_grow_and_end_somewhere() {
        for tries in 0..40 {
            assert!(pause(tries) <= LONGEST_PAUSE);
        }
        assert!(pause(0) <= FIRST_PAUSE);
    }
}
