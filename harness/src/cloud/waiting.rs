//! What happens where there is nothing to be had: when to ask again, and what to tell the person who waits.

use std::time::Duration;

/// The first pause; capacity comes back within minutes, not seconds.
const FIRST: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(120);
/// Each pause is so much longer than the one before.
const GROWTH: f64 = 1.5;
/// Pauses differ by so much to either side, so that jobs that were refused together do not ask together.
const JITTER: f64 = 0.2;

/// How long to wait before asking once more; `None` where the time is up. `attempt` counts from 0, `chance` is any
/// number from 0 to 1, `left` is the time until giving up: the last try is made right then.
pub fn pause(attempt: u32, chance: f64, left: Duration) -> Option<Duration> {
    if left.is_zero() {
        return None;
    }
    let grown = FIRST.as_secs_f64() * GROWTH.powi(i32::try_from(attempt.min(64)).unwrap_or(64));
    let spread = 1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
    let seconds = (grown * spread).min(LONGEST.as_secs_f64());
    Some(Duration::from_secs_f64(seconds).min(left))
}

/// Why there is nothing, of all that was tried: `no spot capacity for g6.xlarge, g5.xlarge in 3 zones of us-east-1`.
pub fn reason(clauses: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for clause in clauses {
        if !parts.contains(&clause) {
            parts.push(clause);
        }
    }
    if parts.is_empty() { "nothing was asked for yet".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_grow_from_twenty_seconds_to_two_minutes() {
        let hour = Duration::from_secs(3600);
        let middle = |attempt| pause(attempt, 0.5, hour).unwrap().as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 1000].map(middle), [20, 30, 45, 67, 101, 120, 120, 120]);
        assert_eq!(pause(0, 0.0, hour), Some(Duration::from_secs(16)));
        assert_eq!(pause(0, 1.0, hour), Some(Duration::from_secs(24)));
    }

    #[test]
    fn the_last_try_is_made_when_the_time_is_up_and_none_after_it() {
        assert_eq!(pause(3, 0.5, Duration::from_secs(7)), Some(Duration::from_secs(7)));
        assert_eq!(pause(3, 0.5, Duration::ZERO), None);
    }

    proptest! {
        #[test]
        fn no_pause_passes_the_deadline_or_is_too_short_to_help(
            attempt in any::<u32>(), chance in any::<f64>(), left in 1u64..10_000,
        ) {
            let left = Duration::from_secs(left);
            let pause = pause(attempt, chance, left).unwrap();
            prop_assert!(pause <= left && pause <= LONGEST && pause >= left.min(Duration::from_secs(16)));
        }
    }
}
