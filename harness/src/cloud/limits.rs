//! How long a node may live: its hard end, which it arms at its boot and which the fleet keeps besides.
//!
//! A node that nobody gives back lives until then, so it is no longer than the work can take. The suites say how long
//! that is: each case has a timeout.

use std::fmt;
use std::time::Duration;

use gpu_suites::unit::Span;

use super::{CloudSettings, Usd};

/// What is added for all that is neither booting nor a case: bringing the agent, fetching results, giving back.
const MARGIN: Duration = Duration::from_secs(15 * 60);
/// Whoever wants a node for longer says so with `ttl:`.
const MOST: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    pub cases: Duration,
    pub retries: u32,
    /// How long making the node ready for them may take.
    pub ready: Duration,
    /// How long the whole run may take, where that was said.
    pub run: Option<Duration>,
}

impl Work {
    /// So much work as this, so many times.
    #[must_use]
    pub fn times(self, runs: u32) -> Self {
        let run = self.run.map(|run| run.saturating_mul(runs));
        Self { cases: self.cases.saturating_mul(runs), run, ..self }
    }

    /// The longest that it can take.
    pub fn longest(self) -> Duration {
        let cases = self.cases.saturating_mul(self.retries.saturating_add(1)).saturating_add(self.ready);
        self.run.map_or(cases, |run| run.min(cases))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostCap {
    pub left: f64,
    /// What an hour costs at most.
    pub per_hour: Usd,
}

impl CostCap {
    /// How long that lasts, in whole seconds, down.
    fn lasts(self) -> Duration {
        let seconds = (self.left / self.per_hour.0 * 3600.0).floor();
        // Neither nothing, less than nothing nor what is no number buys any time.
        if seconds >= 1.0 {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlReason {
    /// The timeouts of the suites' cases.
    Suites,
    /// `ttl:` of the node.
    Setting,
    /// `max-cost:` of the node: longer would cost more.
    MaxCost,
}

/// How long a node may live from its launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    pub duration: Duration,
    pub why: TtlReason,
}

impl Ttl {
    /// Whether the money does not even last until a node has booted.
    pub fn is_too_short(&self, settings: &CloudSettings) -> bool {
        self.why == TtlReason::MaxCost && self.duration <= settings.boot_timeout
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            TtlReason::Suites => "the cases' timeouts",
            TtlReason::Setting => "`ttl:`",
            TtlReason::MaxCost => "`max-cost:`",
        };
        write!(f, "{} by {why}", Span(self.duration))
    }
}

/// The time to live of a node. `cost_cap`: the money, where there is a limit and the price is known.
pub fn ttl(settings: &CloudSettings, work: Work, cost_cap: Option<CostCap>) -> Ttl {
    let by_suites = || work.longest().saturating_add(settings.boot_timeout).saturating_add(MARGIN).min(MOST);
    let wanted = match settings.ttl {
        Some(duration) => Ttl { duration, why: TtlReason::Setting },
        None => Ttl { duration: by_suites(), why: TtlReason::Suites },
    };
    match cost_cap.map(CostCap::lasts) {
        Some(lasts) if lasts < wanted.duration => Ttl { duration: lasts, why: TtlReason::MaxCost },
        _ => wanted,
    }
}

/// How much longer a node that runs already has to live for this work. The time that booting may take is more than the
/// agent and the results need on their way.
pub fn still_needed(settings: &CloudSettings, work: Work) -> Duration {
    work.longest().saturating_add(settings.boot_timeout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn settings(more: &str) -> CloudSettings {
        crate::config::ec2::settings(&format!("boot-timeout: 5m\n{more}")).unwrap().cloud
    }

    fn work(cases: u32, retries: u32, run: Option<u32>) -> Work {
        let run = run.map(|minutes| MINUTE * minutes);
        Work { cases: MINUTE * cases, retries, ready: Duration::ZERO, run }
    }

    /// At a dollar an hour.
    fn cost_cap(left: f64) -> CostCap {
        CostCap { left, per_hour: Usd(1.0) }
    }

    #[test]
    fn a_node_lives_as_long_as_its_work_can_take_and_no_longer_than_it_may_cost() {
        for (text, work, cost_cap, expected) in [
            ("", work(30, 0, None), None, "50m by the cases' timeouts"),
            ("", work(30, 2, None), None, "1h 50m by the cases' timeouts"),
            ("", work(30, 2, Some(40)), None, "1h by the cases' timeouts"),
            ("", work(30, 0, Some(40)), None, "50m by the cases' timeouts"),
            ("", work(u32::MAX, u32::MAX, None), None, "168h by the cases' timeouts"),
            ("ttl: 2h", work(30, 0, None), None, "2h by `ttl:`"),
            ("ttl: 10m", work(30, 0, None), None, "10m by `ttl:`"),
            ("ttl: 2h", work(30, 0, None), Some(cost_cap(1.0)), "1h by `max-cost:`"),
            ("ttl: 2h", work(30, 0, None), Some(cost_cap(9.0)), "2h by `ttl:`"),
            ("", work(30, 0, None), Some(cost_cap(0.5)), "30m by `max-cost:`"),
            ("", work(30, 0, None), Some(cost_cap(-0.5)), "0s by `max-cost:`"),
        ] {
            assert_eq!(
                ttl(&settings(text), work, cost_cap).to_string(),
                expected,
                "{text} {work:?} {cost_cap:?}"
            );
        }
    }

    #[test]
    fn what_a_node_needs_to_be_ready_is_time_that_it_lives_longer_once() {
        let twice = Work { ready: MINUTE * 20, ..work(30, 1, None) };
        assert_eq!(ttl(&settings(""), twice, None).to_string(), "1h 40m by the cases' timeouts");
        assert_eq!(twice.times(3).longest(), MINUTE * 200);
    }

    #[test]
    fn money_that_ends_before_the_node_has_booted_is_too_little() {
        let settings = settings("");
        for (left, too_short) in [(0.01, true), (0.08, true), (0.2, false)] {
            assert_eq!(
                ttl(&settings, work(30, 0, None), Some(cost_cap(left))).is_too_short(&settings),
                too_short,
                "{left}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_node_may_live_for_more_money_than_there_is(
            cases in 0u64..1_000_000, retries in 0u32..10, left in -10.0..1e6f64, per_hour in 0.01..200.0f64,
        ) {
            let work = Work { cases: Duration::from_secs(cases), retries, ready: MINUTE, run: None };
            let cost_cap = CostCap { left, per_hour: Usd(per_hour) };
            let ttl = ttl(&settings(""), work, Some(cost_cap));
            prop_assert!(ttl.duration.as_secs_f64() / 3600.0 * per_hour <= left.max(0.0) + 1e-6);
        }
    }
}
