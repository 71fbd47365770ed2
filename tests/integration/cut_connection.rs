//! A connection that is cut, at any byte and several times in a run, loses no event and changes no verdict.

use gpu_harness_tests::cuts;

/// A slice of `cargo xtask soak cuts`.
#[test]
fn a_cut_connection_loses_no_event() {
    let seen = cuts::check(12, 20_261_122);
    assert!(seen.several > 0, "some runs are cut more than once: {seen:?}");
}
