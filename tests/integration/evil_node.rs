//! A node that means harm: whatever it sends, for whichever message of the protocol, the run ends by itself, within bounds
//! of memory and disk, and says of it what is true.

use gpu_harness_tests::evil::{check, met};
use gpu_suites::event::{Event, NodeState};

/// A slice of `cargo xtask soak evil`: another one each day. What goes wrong is named by its trick.
#[test]
fn whatever_a_node_sends_the_run_ends_as_that_has_to_end_it() {
    let day = jiff::Timestamp::now().as_second() / (24 * 3600);
    check(6, day.unsigned_abs());
}

#[test]
fn a_node_that_never_stops_speaking_of_itself_is_given_up() {
    for mode in ["selfcheck.endless", "selfcheck.deep", "hello.endless-line", "hello.endless-empty-lines"] {
        let (_project, asked) = met(mode, &["selfcheck", "--json"]);
        assert_ne!(asked.code(), 0, "{mode}: {asked:?}");
    }
    let (_project, asked) = met("selfcheck.harmful", &["selfcheck"]);
    assert!(!asked.stdout.contains('\u{1b}') && !asked.stderr.contains('\u{1b}'), "{asked:?}");
}

#[test]
fn what_a_node_says_of_another_case_reaches_no_report() {
    let (_project, run) = met("record.of-another-case", &["run", "-v"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(!run.stdout.contains("of another case") && !run.junit().contains("unknown"), "{run:?}");
    let warnings =
        run.events().into_iter().filter(|record| matches!(record.event, Event::Warning(_))).count();
    assert_eq!(warnings, 2, "told once, and counted at the end: {}", run.stdout);
    let (_project, run) = met("record.of-the-harness", &["run", "-v"]);
    let gone = |record: &gpu_suites::event::Record| matches!(&record.event, Event::ResourceGone(_));
    assert!(!run.events().iter().any(gone) && !run.stdout.contains("forged"), "{run:?}");
    assert!(
        run.events()
            .iter()
            .any(|record| matches!(&record.event, Event::Node(node) if node.state == NodeState::Gone))
    );
}
