//! What time it is for the cloud: every expiry is reckoned by its clock, never by this machine's.
//!
//! A machine whose clock is an hour off would give its nodes an hour more or less, and a reaper on it would end what
//! lives. Each answer of the API carries its time in whole seconds; in between, the time that has passed here is added.
//! Every answer sets the clock anew, so it also follows a cloud whose time runs faster than ours, as in tests.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// The cloud's clock as far as it is known.
#[derive(Debug)]
pub struct ApiClock(Mutex<Anchor>);

/// A moment that is known on both clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    here: Instant,
    there: Timestamp,
}

impl Anchor {
    fn read(self, here: Instant) -> Timestamp {
        let since = SignedDuration::try_from(here.saturating_duration_since(self.here))
            .unwrap_or(SignedDuration::MAX);
        self.there.checked_add(since).unwrap_or(Timestamp::MAX)
    }
}

impl ApiClock {
    /// A clock that shows this machine's time until the first answer.
    pub fn new() -> Self {
        Self(Mutex::new(Anchor { here: Instant::now(), there: Timestamp::now() }))
    }

    /// The cloud's time now.
    pub fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now())
    }

    /// Takes in the `Date` header of an answer; one that is no date is passed over.
    pub fn hear(&self, date: &str) {
        let parser = DateTimeParser::new().relaxed_weekday(true);
        let Ok(date) = parser.parse_timestamp(date) else { return };
        let here = Instant::now();
        let mut anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = Anchor { here, there: within(anchor.read(here), date) };
    }
}

impl Default for ApiClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A header tells the second in which the answer was given. A time within it is as good as any other, and keeps the
/// clock from jumping to and fro with every answer.
fn within(reckoned: Timestamp, date: Timestamp) -> Timestamp {
    let end = date.checked_add(SignedDuration::from_millis(999)).unwrap_or(date);
    reckoned.clamp(date, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_clock_is_the_clouds_from_its_first_answer_and_follows_it_when_it_runs_faster() {
        let clock = ApiClock::new();
        for date in ["2031-01-01T00:00:00Z", "2031-01-01T00:10:00Z", "2031-01-01T00:10:01Z"] {
            clock.hear(&jiff::fmt::rfc2822::to_string(&at(date).to_zoned(jiff::tz::TimeZone::UTC)).unwrap());
            let off = at(date).duration_until(clock.now());
            assert!(off >= SignedDuration::ZERO && off < SignedDuration::from_secs(2), "{date}: {off}");
        }
        clock.hear("Wed, 01 Jan 2025 00:00:00 GMT");
        assert!(clock.now() < at("2025-01-01T00:00:02Z"));
    }

    #[test]
    fn what_is_no_date_leaves_the_clock_alone() {
        let clock = ApiClock::new();
        clock.hear("Wed, 01 Jan 2031 00:00:00 GMT");
        for date in ["", "tomorrow", "Wed, 32 Jan 2031 00:00:00 GMT", "9999999999"] {
            clock.hear(date);
            assert!(
                clock.now() >= at("2031-01-01T00:00:00Z") && clock.now() < at("2031-01-01T00:00:09Z"),
                "{date}"
            );
        }
    }

    #[test]
    fn a_time_within_the_second_that_was_told_is_kept() {
        let date = at("2031-01-01T00:00:05Z");
        for (reckoned, wanted) in [
            ("2031-01-01T00:00:05.4Z", "2031-01-01T00:00:05.4Z"),
            ("2031-01-01T00:00:04.9Z", "2031-01-01T00:00:05Z"),
            ("2031-01-01T00:00:07Z", "2031-01-01T00:00:05.999Z"),
        ] {
            assert_eq!(within(at(reckoned), date), at(wanted));
        }
    }
}
