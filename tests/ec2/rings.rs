//! The four rings, each with the other three switched off: any one of them is enough.
//!
//! | ring | how it is switched off |
//! | --- | --- |
//! | owner | the harness is killed with SIGKILL |
//! | node | its `shutdown` fails (and with it both the armed end and the lease's) |
//! | cloud | the fleet's `ValidUntil` does nothing |
//! | reaper | nobody runs it (the run's own background reap finds nothing that is past its time) |

use std::time::Duration;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::Project;
use gpu_suites::event::Event;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SUITE: &str = r#"
suite: s
cases:
  - { name: long, timeout: 5m, command: { run: [sh, -c, "echo begun; sleep 600"] } }
  - { name: quick, command: { run: ["true"] } }
"#;

const SETTINGS: &str = "types: [g4dn.xlarge]\nttl: 20m\nlease: 1h";
const TTL: Duration = Duration::from_secs(20 * 60);
/// What the promise allows beyond the TTL.
const MINUTE: Duration = Duration::from_secs(60);

fn cloud() -> (Ec2, Project) {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), SETTINGS);
    (ec2, project)
}

fn without_node_and_cloud(ec2: &Ec2) {
    ec2.fault(&json!({ "fault": "no-shutdown" }));
    ec2.fault(&json!({ "fault": "no-expiry" }));
}

/// Starts a run, kills it when its case has begun, and says which instance it had.
fn killed_in_its_case(project: &Project) -> String {
    let mut harness = project.start(&["--node", "cloud", "--case", "long"]);
    project.await_event(|event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    harness.kill().unwrap();
    harness.wait().unwrap();
    let events = gpu_harness_tests::project::events_in(&project.latest().unwrap());
    let had = events.iter().find_map(|record| match &record.event {
        Event::Had(had) => Some(had.instance.clone()),
        _ => None,
    });
    had.expect("an instance was had")
}

fn instances(ec2: &Ec2) -> usize {
    ec2.left()["instances"].as_array().unwrap().len()
}

/// Waits until no instance, volume, spot request or host is left: all that costs money. (A fleet that has launched what
/// it was asked for launches nothing more; it goes with its own expiry, which is the cloud's ring.)
fn await_nothing_that_costs(ec2: &Ec2, within: Duration) {
    let begun = std::time::Instant::now();
    let costs = |left: &Value| {
        ["instances", "volumes", "spot_requests", "hosts"]
            .iter()
            .any(|kind| !left[*kind].as_array().unwrap().is_empty())
    };
    loop {
        let left = ec2.left();
        if !costs(&left) {
            return;
        }
        assert!(
            begun.elapsed() < ec2.real(within),
            "after {within:?} there is left: {left:#}\n{}",
            ec2.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_owner_alone_is_enough_on_success_failure_and_each_signal() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    let run = project.run(&["--node", "cloud", "--case", "quick"]);
    assert_eq!(run.code(), 0, "{run:?}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        // A folder of its own, so that the events are those of this run.
        let project = ec2.in_project(Project::with_suite(SUITE), SETTINGS);
        let harness = project.start(&["--node", "cloud", "--case", "long"]);
        project.await_event(|event| matches!(event, Event::Log(log) if log.text.contains("begun")));
        kill_process(Pid::from_child(&harness), signal).unwrap();
        let run = project.collect(harness);
        assert_eq!(run.code(), 130, "{signal:?}: {run:?}");
        ec2.wait_until_nothing_is_left(Duration::from_secs(1));
    }
}

#[test]
fn an_owner_that_is_interrupted_in_the_launch_gives_back_what_it_does_not_know_yet() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    ec2.fault(&json!({ "fault": "slow-api", "operation": "CreateFleet", "seconds": 60 }));
    let harness = project.start(&["--node", "cloud", "--case", "quick"]);
    let begun = std::time::Instant::now();
    let asked = || {
        let calls = ec2.calls();
        calls.as_array().unwrap().iter().any(|call| call["operation"] == "CreateFleet")
    };
    while !asked() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", ec2.calls());
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    let run = project.collect(harness);
    assert_eq!(run.code(), 130, "{run:?}");
    ec2.wait_until_nothing_is_left(Duration::from_secs(1));
}

#[test]
fn the_end_that_the_node_armed_is_enough() {
    let (ec2, project) = cloud();
    ec2.fault(&json!({ "fault": "no-expiry" }));
    killed_in_its_case(&project);
    assert_eq!(instances(&ec2), 1, "the owner was killed, and there it is");
    await_nothing_that_costs(&ec2, TTL + MINUTE);
}

#[test]
fn the_lease_that_nobody_renews_is_enough() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nttl: 20m\nlease: 20s");
    ec2.fault(&json!({ "fault": "no-expiry" }));
    killed_in_its_case(&project);
    // Twenty seconds of lease, five of grace for the case, and the cloud's own time.
    await_nothing_that_costs(&ec2, Duration::from_secs(60));
}

#[test]
fn the_clouds_own_end_is_enough_also_where_the_agent_is_dead_and_the_network_cut() {
    let (ec2, project) = cloud();
    ec2.fault(&json!({ "fault": "no-shutdown" }));
    let instance = killed_in_its_case(&project);
    ec2.network(&instance, false);
    assert_eq!(instances(&ec2), 1);
    await_nothing_that_costs(&ec2, TTL + MINUTE);
}

#[test]
fn the_reaper_is_enough_by_the_tags_alone() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    killed_in_its_case(&project);
    let early = project.gpu_harness(&["reap"]);
    assert_eq!(early.code(), 0, "{early:?}");
    assert_eq!(instances(&ec2), 1, "what is not past its time is left alone: {early:?}");
    std::thread::sleep(ec2.real(TTL + 2 * MINUTE));
    assert_eq!(instances(&ec2), 1, "no other ring is on");
    // Somebody else's machine: nothing of the run's folder is known there.
    let elsewhere = ec2.in_project(Project::new(), "types: [g4dn.xlarge]");
    let reaped = elsewhere.gpu_harness(&["reap"]);
    assert_eq!(reaped.code(), 0, "{reaped:?}");
    ec2.wait_until_nothing_is_left(MINUTE);
}

#[test]
fn a_killed_run_leaves_a_receipt_that_names_what_nobody_confirmed_gone() {
    let (ec2, project) = cloud();
    let instance = killed_in_its_case(&project);
    let folder = project.latest().unwrap();
    let report = project.gpu_harness(&["report", folder.to_str().unwrap()]);
    assert!(report.stdout.contains("NOT confirmed gone") && report.stdout.contains(&instance), "{report:?}");
    let id = folder.file_name().unwrap().to_string_lossy().into_owned();
    assert!(report.stdout.contains(&format!("gpu-harness reap --run {id}")), "{report:?}");
    let reaped = project.gpu_harness(&["reap", "--run", &id]);
    assert_eq!(reaped.code(), 0, "{reaped:?}");
    ec2.wait_until_nothing_is_left(MINUTE);
}
