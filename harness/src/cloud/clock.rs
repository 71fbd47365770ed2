//! What time it is for the cloud: every expiry is reckoned by its clock, never by this machine's.
//!
//! A machine whose clock is an hour off would give its nodes an hour more or less, and a reaper on it would end what
//! lives. Each answer of the API carries its time in whole seconds; in between, the time that has passed here is added.
//! Every answer sets the clock anew, so it also follows a cloud whose time runs faster than ours, as in tests.
//!
//! A proxy answers with a time of its own, and a node's end must not hang on that: what does not carry AWS's request id
//! is not heard ([`super::ec2::cloud`]), and of AWS itself a time that is far from the one reckoned is believed when a second
//! answer says the same. An API that is not AWS's, at an endpoint of the user's own, may have any clock.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// What one answer may move the clock by. AWS itself refuses requests that were signed further off.
const BOUND: SignedDuration = SignedDuration::from_mins(5);

/// The cloud's clock as far as it is known.
#[derive(Debug)]
pub struct ApiClock(Mutex<Clock>);

#[derive(Debug)]
struct Clock {
    anchor: Anchor,
    /// What the last answer said, where it was too far off to be believed alone.
    unheard: Option<Anchor>,
    /// Whether any answer is believed alone.
    is_theirs: bool,
}

impl Clock {
    /// Takes in that it is `date` there when it is `here` here.
    fn hear(&mut self, here: Instant, date: Timestamp) {
        let is_near = |anchor: &Anchor| anchor.read(here).duration_until(date).abs() <= BOUND;
        let said = Anchor { here, there: date };
        if self.is_theirs || is_near(&self.anchor) {
            self.anchor = Anchor { here, there: within(self.anchor.read(here), date) };
            self.unheard = None;
        } else if self.unheard.as_ref().is_some_and(is_near) {
            (self.anchor, self.unheard) = (said, None);
        } else {
            self.unheard = Some(said);
        }
    }
}

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
    /// AWS's clock, which shows this machine's time until the first answer.
    pub fn new() -> Self {
        Self::of(false)
    }

    /// The clock of an API that is not AWS's.
    pub fn of_another_api() -> Self {
        Self::of(true)
    }

    fn of(is_theirs: bool) -> Self {
        let anchor = Anchor { here: Instant::now(), there: Timestamp::now() };
        Self(Mutex::new(Clock { anchor, unheard: None, is_theirs }))
    }

    pub fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).anchor.read(Instant::now())
    }

    /// Takes in the `Date` header of an answer; one that is no date is passed over.
    pub fn hear(&self, date: &str) {
        let parser = DateTimeParser::new().relaxed_weekday(true);
        let Ok(date) = parser.parse_timestamp(date) else { return };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hear(Instant::now(), date);
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

    fn header(text: &str) -> String {
        jiff::fmt::rfc2822::to_string(&at(text).to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
    }

    fn is_at(clock: &ApiClock, text: &str) -> bool {
        let off = at(text).duration_until(clock.now());
        off >= SignedDuration::ZERO && off < SignedDuration::from_secs(2)
    }

    #[test]
    fn the_clock_of_another_api_is_its_own_from_its_first_answer_and_followed_when_it_runs_faster() {
        let clock = ApiClock::of_another_api();
        for date in ["2031-01-01T00:00:00Z", "2031-01-01T00:10:00Z", "2031-01-01T00:10:01Z"] {
            clock.hear(&header(date));
            assert!(is_at(&clock, date), "{date}: {}", clock.now());
        }
        clock.hear("Wed, 01 Jan 2025 00:00:00 GMT");
        assert!(is_at(&clock, "2025-01-01T00:00:00Z"));
    }

    #[test]
    fn one_answer_that_is_far_off_moves_nothing_and_two_that_agree_do() {
        let clock = ApiClock::new();
        let far = |text: &str| clock.hear(&header(text));
        let near = || Timestamp::now().duration_until(clock.now()).abs() < SignedDuration::from_secs(9);
        far("2031-01-01T00:00:00Z");
        far("2029-01-01T00:00:00Z");
        clock.hear(&jiff::fmt::rfc2822::to_string(&jiff::Zoned::now()).unwrap());
        far("2031-01-01T00:00:00Z");
        assert!(near(), "{}", clock.now());
        far("2031-01-01T00:00:02Z");
        assert!(is_at(&clock, "2031-01-01T00:00:02Z"), "{}", clock.now());
    }

    #[test]
    fn what_is_no_date_leaves_the_clock_alone() {
        let clock = ApiClock::new();
        for _ in 0..2 {
            clock.hear("Wed, 01 Jan 2031 00:00:00 GMT");
        }
        for date in ["", "tomorrow", "Wed, 32 Jan 2031 00:00:00 GMT", "9999999999"] {
            clock.hear(date);
            assert!(is_at(&clock, "2031-01-01T00:00:00Z"), "{date}");
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
