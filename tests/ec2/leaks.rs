//! A killed harness leaves no node in EC2 that outlives its lease, and nothing else that outlives its time to live.

use gpu_harness_tests::ec2::Weather;
use gpu_harness_tests::leaks;

/// A slice of `cargo xtask soak leaks`: each named step once, and some random moments.
#[test]
fn a_harness_killed_at_any_step_leaves_no_node_that_outlives_its_lease_and_nothing_at_all_after_a_reap() {
    let seen = leaks::check(20, 20_261_123, 4, Weather::of_this_test());
    assert_eq!(seen.killed + seen.ended, 20, "{seen:?}");
    assert!(seen.killed >= 12 && seen.by_themselves >= 3, "{seen:?}");
}
