//! What a run costs, over all nodes that it has one after another, against the most that it may cost.
//!
//! Times are the cloud's own. What is counted is what the instances cost; volumes and traffic cost little beside a GPU
//! and are not in it.

use std::time::Duration;

use jiff::Timestamp;

use super::Usd;

/// How long an instance is still paid for after the decision to end it.
pub const TEARDOWN: Duration = Duration::from_secs(120);
/// EC2 bills by the second, but no instance for less than this.
const LEAST: f64 = 60.0;

/// What an instance costs for so long; EC2 bills a minute at least.
pub fn bill(lasted: Duration, per_hour: Usd) -> f64 {
    lasted.as_secs_f64().max(LEAST) * per_hour.0 / 3600.0
}

#[derive(Debug, Clone, Copy)]
struct Running {
    since: Timestamp,
    per_hour: Usd,
}

impl Running {
    fn bill(&self, now: Timestamp, more: Duration) -> f64 {
        // A clock that was set back makes nothing cheaper than its first minute.
        let lasted = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        bill(lasted.saturating_add(more), self.per_hour)
    }
}

#[derive(Debug, Clone)]
pub struct Meter {
    limit: Option<Usd>,
    ended: f64,
    running: Vec<(String, Running)>,
}

impl Meter {
    pub fn new(limit: Option<Usd>) -> Self {
        Self { limit, ended: 0.0, running: Vec::new() }
    }

    pub fn limit(&self) -> Option<Usd> {
        self.limit
    }

    /// An instance is paid for since then. Where nobody knows its price, it is not counted.
    pub fn begin(&mut self, instance: &str, since: Timestamp, per_hour: Option<Usd>) {
        if let Some(per_hour) = per_hour {
            self.end(instance, since);
            self.running.push((instance.to_owned(), Running { since, per_hour }));
        }
    }

    /// An instance is no longer paid for since then; what it cost in all, where that is known.
    pub fn end(&mut self, instance: &str, at: Timestamp) -> Option<f64> {
        let place = self.running.iter().position(|(name, _)| name == instance)?;
        let (_, running) = self.running.remove(place);
        let cost = running.bill(at, Duration::ZERO);
        self.ended += cost;
        Some(cost)
    }

    /// US dollars that are left for another node; `None` where there is no limit.
    pub fn left(&self, now: Timestamp) -> Option<f64> {
        self.limit.map(|limit| limit.0 - self.after(now, TEARDOWN))
    }

    fn after(&self, now: Timestamp, more: Duration) -> f64 {
        self.running.iter().fold(self.ended, |all, (_, running)| all + running.bill(now, more))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn near(money: f64, expected: f64) -> bool {
        (money - expected).abs() < 1e-9
    }

    fn spent(meter: &Meter, now: Timestamp) -> f64 {
        meter.after(now, Duration::ZERO)
    }

    /// A dollar a minute keeps the sums in the head.
    const PRICE: Option<Usd> = Some(Usd(60.0));

    #[test]
    fn what_is_left_has_paid_for_the_teardown_already() {
        let mut meter = Meter::new(Some(Usd(20.0)));
        meter.begin("i-1", at(0), PRICE);
        for (minute, left) in [(0, 18.0), (13, 5.0), (18, 0.0), (20, -2.0)] {
            assert!(near(meter.left(at(minute * 60)).unwrap(), left), "{minute}");
        }
        assert_eq!(meter.end("i-1", at(18 * 60)), Some(18.0));
        assert_eq!((spent(&meter, at(9999)), meter.left(at(9999))), (18.0, Some(2.0)));
    }

    #[test]
    fn nodes_that_follow_one_another_are_counted_together_and_each_for_a_minute_at_least() {
        let mut meter = Meter::new(Some(Usd(10.0)));
        meter.begin("i-1", at(0), PRICE);
        meter.end("i-1", at(5));
        meter.begin("i-2", at(10), PRICE);
        assert!(near(spent(&meter, at(130)), 3.0));
        assert_eq!(meter.end("i-2", at(130)), Some(2.0));
        assert_eq!(meter.end("i-2", at(500)), None);
        assert!(near(spent(&meter, at(500)), 3.0));
    }

    #[test]
    fn without_a_limit_there_is_no_end_of_the_money() {
        let mut meter = Meter::new(None);
        meter.begin("i-1", at(0), PRICE);
        assert_eq!(meter.left(at(1_000_000)), None);
    }

    proptest! {
        #[test]
        fn what_is_spent_only_ever_grows_and_what_is_left_never_does(
            limit in 0.01..100.0f64, price in 0.01..100.0f64, mut times in prop::collection::vec(0i64..100_000, 2..20),
        ) {
            let mut meter = Meter::new(Some(Usd(limit)));
            meter.begin("i-1", at(0), Some(Usd(price)));
            times.sort_unstable();
            for pair in times.windows(2) {
                let (before, after) = (at(pair[0]), at(pair[1]));
                prop_assert!(spent(&meter, before) <= spent(&meter, after));
                prop_assert!(meter.left(before) >= meter.left(after));
            }
        }
    }
}
