//! How long a conversation's parts may take. Each follows from what is to be done, and from the lease: it says how long
//! harness and node may be out of touch.

use std::time::Duration;

use gpu_suites::plan::{Lease, Plan};

/// What an agent may need around a case: to make its folder, to end it, to read its files.
const AROUND: Duration = Duration::from_secs(10);
/// Bytes a second that a way to a node has at least.
const SLOWEST_FETCH: u64 = 1 << 20;
/// The same for what is sent: a way out of an office or a home is narrower.
const SLOWEST_SEND: u64 = 100 << 10;

/// The start of a run by an agent that has all that it needs.
pub(super) fn starting(lease: Lease) -> Duration {
    lease.ttl.0.saturating_add(AROUND)
}

/// All that the cases of a plan may take, from the moment that they have begun.
pub(super) fn cases(plan: &Plan) -> Duration {
    let attempts = plan.retries.saturating_add(1);
    let each = plan.cases.iter().map(|case| case.spec.timeout.0.saturating_add(AROUND));
    let once = each.fold(Duration::ZERO, Duration::saturating_add);
    let ready = if plan.may_need_libtorch() { plan.environment.timeout.0 } else { Duration::ZERO };
    once.saturating_mul(attempts)
        .saturating_add(ready)
        .saturating_add(AROUND)
        .saturating_add(plan.lease.ttl.0)
}

/// So many bytes from a node.
pub(super) fn fetching(bytes: u64, lease: Lease) -> Duration {
    Duration::from_secs(bytes / SLOWEST_FETCH).saturating_add(lease.ttl.0 / 2).saturating_add(AROUND / 2)
}

/// So many bytes to a node.
pub(super) fn sending(bytes: u64, lease: Lease) -> Duration {
    Duration::from_secs(bytes / SLOWEST_SEND).saturating_add(lease.ttl.0 / 2).saturating_add(AROUND / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_takes_as_long_as_its_cases_may_each_time_that_they_are_tried() {
        let case =
            r#"{"id":"s::c","inputs":{},"spec":{"name":"c","timeout":"1m","command":{"run":["true"]}}}"#;
        let plan = |cases: usize, retries: u32| {
            let cases = vec![case; cases].join(",");
            let text = format!(
                r#"{{"protocol":2,"run":"r","cases":[{cases}],"lease":{{"ttl":"2m","on_expiry":"exit"}},
                "fail_fast":false,"retries":{retries},"timeout":null,"worker":null,"libtorch":null}}"#
            );
            serde_json::from_str::<Plan>(&text).unwrap()
        };
        for (count, retries, seconds) in [(0, 0, 130), (1, 0, 200), (3, 2, 760)] {
            assert_eq!(cases(&plan(count, retries)).as_secs(), seconds, "{count} {retries}");
        }
        let lease = plan(0, 0).lease;
        assert_eq!(fetching(0, lease).as_secs(), 65);
        assert_eq!(fetching(1 << 30, lease).as_secs(), 65 + 1024);
        assert!(sending(1 << 30, lease) > fetching(1 << 30, lease));
    }
}
