//! What a run may cost is a limit like any other: warned of, kept, and told by the exit code.

use std::time::Duration;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::Project;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;

const SUITE: &str = r#"
suite: s
cases:
  - { name: endless, timeout: 1h, command: { run: [sh, -c, "echo begun; sleep 3600"] } }
  - { name: after, command: { run: ["true"] } }
"#;

#[test]
fn a_run_warns_at_80_percent_of_its_money_and_ends_at_its_limit_with_exit_code_4() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    // At 3.60 dollars an hour a second costs 0.001; the teardown's reserve is part of the limit.
    let settings = "types: [g4dn.xlarge]\nmarket: on-demand\nprices: { g4dn.xlarge: 3.6 }\nboot-timeout: 30s";
    let project = ec2.in_project(Project::with_suite(SUITE), settings);
    let run = project.run(&["--node", "cloud", "--max-cost", "0.15"]);
    assert_eq!(run.code(), 4, "{run:?}\n{}", ec2.log());
    assert_eq!(run.outcome("endless").0, Outcome::TimedOut);
    assert_eq!(run.outcome("after").0, Outcome::Skipped);
    let events = run.events();
    let warned =
        events.iter().any(|record| matches!(&record.event, Event::Warning(w) if w.message.contains("80")));
    assert!(warned, "{run:?}");
    let cost = events.iter().rev().find_map(|record| match &record.event {
        Event::Cost(cost) => cost.usd,
        _ => None,
    });
    assert!(cost.is_some_and(|usd| usd > 0.0 && usd <= 0.15), "{cost:?}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}

#[test]
fn money_that_does_not_even_pay_for_booting_buys_no_node() {
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nmarket: on-demand");
    let run = project.run(&["--node", "cloud", "--max-cost", "0.001"]);
    assert_eq!(run.code(), 4, "{run:?}");
    let calls = ec2.calls();
    assert!(calls.as_array().unwrap().iter().all(|call| call["operation"] != "CreateFleet"), "{calls:#}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}

#[test]
fn money_that_is_spent_while_a_node_boots_ends_the_node_and_the_run_says_so() {
    // A record, which runs and which nobody reaches.
    let ec2 = Ec2::without_hosts(Options { clock_factor: 1.0 });
    // At 3.60 dollars an hour a second costs 0.001: of 130 seconds 120 are the teardown's.
    let settings =
        "types: [g4dn.xlarge]\nmarket: on-demand\nprices: { g4dn.xlarge: 3.6 }\nboot-timeout: 100s";
    let project = ec2.in_project(Project::with_suite(SUITE), settings);
    let run = project.run(&["--node", "cloud", "--max-cost", "0.13"]);
    assert_eq!(run.code(), 4, "{run:?}\n{}", ec2.log());
    let events = run.events();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|record| wanted(&record.event)).count();
    assert_eq!(
        (
            count(|event| matches!(event, Event::NodeProvisioned(_))),
            count(|event| matches!(event, Event::CaseStarted(_)))
        ),
        (1, 0)
    );
    for case in ["endless", "after"] {
        let (outcome, why) = run.outcome(case);
        assert_eq!(outcome, Outcome::TimedOut, "{case}: {why}");
        assert!(why.contains("the run has spent its max-cost of $0.13"), "{case}: {why}");
    }
    assert!(run.stdout.contains("each confirmed gone"), "{}", run.stdout);
    let cost = events.iter().rev().find_map(|record| match &record.event {
        Event::Cost(cost) => cost.usd,
        _ => None,
    });
    assert!(cost.is_some_and(|usd| usd > 0.0 && usd <= 0.13), "{cost:?}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}

#[test]
fn under_a_limit_a_type_without_a_price_in_that_region_is_not_asked_for_and_said_by_name() {
    let ec2 = Ec2::start(Options::default());
    let settings = "region: eu-west-1\nmarket: on-demand\ntypes: [g5.xlarge, g4dn.xlarge]";
    let priced = format!("{settings}\nprices: {{ eu-west-1/g4dn.xlarge: 0.587 }}");
    let quick = "suite: s\ncases: [{ name: quick, command: { run: ['true'] } }]";
    let project = ec2.in_project(Project::with_suite(quick), &priced);
    let run = project.run(&["--node", "cloud", "--max-cost", "1"]);
    assert_eq!(run.code(), 0, "{run:?}\n{}", ec2.log());
    let had = run.events().iter().find_map(|record| match &record.event {
        Event::NodeProvisioned(had) => Some((had.instance_type.clone(), had.usd_per_hour)),
        _ => None,
    });
    assert_eq!(had, Some(("g4dn.xlarge".to_owned(), Some(0.587))));
    let said = "g5.xlarge: its on-demand price in eu-west-1 is not known: give it in `prices:`";
    assert!(run.stdout.contains(said), "{said} in {}", run.stdout);

    let before = ec2.state()["fleets"].as_array().unwrap().len();
    let project = ec2.in_project(project, settings);
    let run = project.run(&["--node", "cloud", "--max-cost", "1"]);
    assert_eq!(run.code(), 4, "{run:?}");
    assert!(run.stdout.contains("give it in `prices:`"), "{}", run.stdout);
    assert_eq!(ec2.state()["fleets"].as_array().unwrap().len(), before);
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}
