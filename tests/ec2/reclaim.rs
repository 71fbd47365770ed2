//! A spot instance that is taken back interrupts a case and fails none: another node runs what is left.

use std::time::Duration;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Project, events_in};
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;

const SUITE: &str = r#"
suite: s
cases:
  - { name: first, command: { run: [sh, -c, "echo ran first"] } }
  - { name: second, command: { run: [sh, -c, "echo begun; sleep 8; echo ran second"] } }
  - { name: third, command: { run: [sh, -c, "echo ran third"] } }
"#;

fn instance(project: &Project) -> String {
    let events = events_in(&project.latest().unwrap());
    let had = events.iter().rev().find_map(|record| match &record.event {
        Event::NodeProvisioned(had) => Some(had.instance.clone()),
        _ => None,
    });
    had.expect("an instance was had")
}

fn check(within: Duration, factor: f64) {
    let ec2 = Ec2::start(Options { clock_factor: factor });
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]");
    let harness = project.start(&["--node", "cloud"]);
    project.await_event(|event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    ec2.reclaim(&instance(&project), within);
    let run = project.collect(harness);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    let events = run.events();
    let ended = |name: &str| {
        let outcomes = events.iter().filter_map(|record| match &record.event {
            Event::CaseFinished(end) if end.case.case() == name => Some((end.attempt, end.outcome)),
            _ => None,
        });
        Vec::from_iter(outcomes)
    };
    assert_eq!(ended("first"), [(1, Outcome::Passed)], "what had finished does not run again");
    assert_eq!(ended("second"), [(1, Outcome::Interrupted), (2, Outcome::Passed)]);
    assert_eq!(ended("third"), [(1, Outcome::Passed)]);
    assert_eq!(events.iter().filter(|record| matches!(record.event, Event::NodeProvisioned(_))).count(), 2);
    assert!(!run.stdout.contains("flaky"), "{}", run.stdout);
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}

#[test]
fn a_notice_interrupts_the_case_and_only_what_is_left_runs_on_another_node() {
    check(Duration::from_secs(120), 4.0);
}

#[test]
fn a_node_that_is_taken_without_a_notice_that_could_be_heard_is_replaced_too() {
    check(Duration::from_secs(1), 4.0);
}
