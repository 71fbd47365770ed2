//! The four rings, each with the other three switched off: any one of them is enough.
//!
//! | ring | how it is switched off |
//! | --- | --- |
//! | owner | the harness is killed with SIGKILL |
//! | node | its `shutdown` fails (and with it both the armed end and the lease's, whoever watches it) |
//! | cloud | the fleet's `ValidUntil` does nothing |
//! | reaper | nobody runs it (the run's own background reap finds nothing that is past its time) |

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gpu_harness::cloud::ec2::kinds;
use gpu_harness_tests::ec2::{BY_ITSELF, Ec2, Options};
use gpu_harness_tests::process::{HANG, within};
use gpu_harness_tests::project::Project;
use gpu_suites::event::{Event, NodeState};
use gpu_suites::outcome::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const SUITE: &str = r#"
suite: s
cases:
  - { name: long, timeout: 5m, command: { run: [sh, -c, "echo begun; sleep 600"] } }
  - { name: quick, command: { run: ["true"] } }
  - { name: short, command: { run: [sh, -c, "echo begun; sleep 3"] } }
"#;

/// The node counts its lease in this machine's time: it ends none of these.
const SETTINGS: &str = "types: [g4dn.xlarge]\nttl: 20m\nlease: 1h";
const TTL: Duration = Duration::from_secs(20 * 60);
const MINUTE: Duration = Duration::from_secs(60);
/// Twenty minutes that pass as on this machine's clock: it is a short lease that ends these.
const SHORT_LEASE: &str = "types: [g4dn.xlarge]\nttl: 20m\nlease: 20s";

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
    project.await_event(&mut harness, |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    harness.kill().unwrap();
    harness.wait().unwrap();
    had(project)
}

/// The instance that the newest run has had.
fn had(project: &Project) -> String {
    let events = gpu_harness_tests::project::events_in(&project.latest().unwrap());
    let had = events.iter().find_map(|record| match &record.event {
        Event::NodeProvisioned(had) => Some(had.instance.clone()),
        _ => None,
    });
    had.expect("an instance was had")
}

fn instances(ec2: &Ec2) -> usize {
    ec2.left()["instances"].as_array().unwrap().len()
}

/// Waits for the end of a node that its own system ends, and nobody else.
fn ends_by_itself(ec2: &Ec2, instance: &str) {
    ec2.await_nothing_that_costs();
    assert_eq!(ec2.why_ended(instance), BY_ITSELF);
}

#[test]
fn the_owner_alone_is_enough_on_success_failure_and_each_signal() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    let run = project.run(&["--node", "cloud", "--case", "quick"]);
    assert_eq!(run.code(), 0, "{run:?}");
    ec2.nothing_is_left();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        // A folder of its own, so that the events are those of this run.
        let project = ec2.in_project(Project::with_suite(SUITE), SETTINGS);
        let mut harness = project.start(&["--node", "cloud", "--case", "long"]);
        project.await_event(
            &mut harness,
            |event| matches!(event, Event::Log(log) if log.text.contains("begun")),
        );
        kill_process(Pid::from_child(&harness), signal).unwrap();
        let run = project.collect(harness);
        assert_eq!(run.code(), 130, "{signal:?}: {run:?}");
        ec2.nothing_is_left();
    }
}

#[test]
fn an_owner_that_is_interrupted_in_the_launch_gives_back_what_it_does_not_know_yet() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    ec2.fault(&json!({ "fault": "slow-api", "operation": "CreateFleet", "seconds": 60 }));
    let harness = project.start(&["--node", "cloud", "--case", "quick"]);
    within(HANG, "a fleet is asked for", || ec2.count("CreateFleet") > 0);
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    let run = project.collect(harness);
    assert_eq!(run.code(), 130, "{run:?}");
    ec2.nothing_is_left();
}

/// Stops a run right after its launch, of which EC2 shows it nothing yet: all of these kinds are unknown to every call for
/// four minutes.
fn gives_back_what_ec2_does_not_show_yet(kinds: &[&str]) {
    let ec2 = Ec2::without_hosts(Options { clock_factor: 60.0 });
    for kind in kinds {
        ec2.fault(&json!({ "fault": "late", "kind": kind, "seconds": 240 }));
    }
    let project = ec2.in_project(Project::with_suite(SUITE), SETTINGS);
    let mut harness = project.start(&["--node", "cloud", "--case", "quick"]);
    let is_fleet =
        |event: &Event| matches!(event, Event::ResourceMade(made) if made.resource == kinds::FLEET);
    project.await_event(&mut harness, is_fleet);
    within(HANG, "an instance", || instances(&ec2) == 1);
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    let run = project.collect(harness);
    assert_eq!(run.code(), 130, "{run:?}\n{}", ec2.log());
    assert!(
        !run.events().iter().any(|record| matches!(record.event, Event::NodeProvisioned(_))),
        "it was shown: {run:?}"
    );
    assert!(run.stdout.contains("each confirmed gone"), "{}", run.stdout);
    ec2.nothing_is_left();
}

#[test]
fn an_owner_that_is_stopped_right_after_its_launch_gives_back_instances_that_ec2_does_not_show_yet() {
    gives_back_what_ec2_does_not_show_yet(&["instances"]);
}

#[test]
fn an_owner_that_is_stopped_right_after_its_launch_gives_back_a_fleet_that_ec2_does_not_show_yet() {
    gives_back_what_ec2_does_not_show_yet(&["instances", "fleets", "groups"]);
}

#[test]
fn the_end_that_the_node_armed_is_enough() {
    let (ec2, project) = cloud();
    ec2.fault(&json!({ "fault": "no-expiry" }));
    let instance = killed_in_its_case(&project);
    assert_eq!(instances(&ec2), 1, "the owner was killed, and there it is");
    ends_by_itself(&ec2, &instance);
}

#[test]
fn the_lease_that_nobody_renews_is_enough() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), SHORT_LEASE);
    ec2.fault(&json!({ "fault": "no-expiry" }));
    let instance = killed_in_its_case(&project);
    ends_by_itself(&ec2, &instance);
}

/// Waits for the harness's event, kills it, and says which instance it had.
fn killed_when(project: &Project, mut harness: Child, seen: impl Fn(&Event) -> bool) -> String {
    project.await_event(&mut harness, seen);
    harness.kill().unwrap();
    harness.wait().unwrap();
    had(project)
}

#[test]
fn a_node_whose_owner_is_killed_while_it_boots_ends_by_its_lease_too() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), &format!("{SHORT_LEASE}\nboot-timeout: 5m"));
    ec2.fault(&json!({ "fault": "no-expiry" }));
    let harness = project.start(&["--node", "cloud", "--case", "quick"]);
    let instance = killed_when(&project, harness, |event| matches!(event, Event::NodeProvisioned(_)));
    assert_eq!(instances(&ec2), 1, "the owner was killed, and there it is");
    ends_by_itself(&ec2, &instance);
}

#[test]
fn a_node_whose_boot_never_ends_ends_by_the_time_that_booting_may_take() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), &format!("{SHORT_LEASE}\nboot-timeout: 20s"));
    ec2.fault(&json!({ "fault": "no-expiry" }));
    // Its port is open, and nobody gets in.
    ec2.fault(&json!({ "fault": "ssh-silent" }));
    let harness = project.start(&["--node", "cloud", "--case", "quick"]);
    let instance = killed_when(&project, harness, |event| matches!(event, Event::NodeProvisioned(_)));
    ends_by_itself(&ec2, &instance);
}

#[test]
fn a_node_ends_by_its_lease_also_after_its_last_case() {
    let ec2 = Ec2::start(Options { clock_factor: 1.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), SHORT_LEASE);
    ec2.fault(&json!({ "fault": "no-expiry" }));
    // Nothing that the owner asks for comes about.
    for operation in ["TerminateInstances", "DeleteFleets"] {
        ec2.fault(&json!({ "fault": "error-5xx", "operation": operation }));
    }
    let harness = project.start(&["--node", "cloud", "--case", "quick"]);
    let terminating =
        |event: &Event| matches!(event, Event::Node(node) if node.state == NodeState::Terminating);
    let instance = killed_when(&project, harness, terminating);
    ends_by_itself(&ec2, &instance);
}

#[test]
fn a_node_whose_cloud_refuses_to_end_it_is_told_over_ssh_and_the_receipt_says_so() {
    let (ec2, project) = cloud();
    ec2.fault(&json!({ "fault": "no-expiry" }));
    for operation in ["TerminateInstances", "DeleteFleets"] {
        ec2.fault(&json!({ "fault": "unauthorized", "operation": operation }));
    }
    let run = project.run(&["--node", "cloud", "--case", "quick"]);
    // Its case has passed, and what it had may cost money yet.
    assert_eq!(run.outcome("quick").0, Outcome::Passed, "{run:?}");
    assert_eq!(run.code(), 3, "{run:?}");
    let instance = had(&project);
    let told = format!("instance {instance} was told over ssh to shut down");
    assert!(run.stdout.contains("NOT confirmed gone") && run.stdout.contains(&told), "{run:?}");
    let receipt = std::fs::read_to_string(run.folder().join("receipt.json")).unwrap();
    assert!(receipt.contains("told_to_end_at"), "{receipt}");
    ec2.await_nothing_that_costs();
}

#[test]
fn an_owner_whose_credentials_expire_while_its_case_runs_tells_the_node_over_ssh_and_the_receipt_says_so() {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    ec2.fault(&json!({ "fault": "no-expiry" }));
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]\nttl: 2h\nlease: 1h");
    let project = project.env("AWS_ACCESS_KEY_ID", "theirs");
    let mut harness = project.start(&["--node", "cloud", "--case", "short"]);
    project.await_event(&mut harness, |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    ec2.fault(&json!({ "fault": "expired", "caller": "theirs" }));
    let run = project.collect(harness);
    assert_eq!(run.outcome("short").0, Outcome::Passed, "{run:?}");
    assert_eq!(run.code(), 3, "{run:?}");
    let told = format!("instance {} was told over ssh to shut down", had(&project));
    for said in ["NOT confirmed gone", "RequestExpired", &told] {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
    let receipt = std::fs::read_to_string(run.folder().join("receipt.json")).unwrap();
    assert!(receipt.contains("told_to_end_at"), "{receipt}");
    ec2.await_nothing_that_costs();
}

/// `gpu-harness run ARGUMENTS`, which can write no file that is longer than this, nor a standard output at all where it is
/// `/dev/full`.
fn with_a_disk_of(project: &Project, bytes: u64, stdout: &str, arguments: &[&str]) -> Command {
    let wanted = project.command(&[&["run", "--node", "cloud"], arguments].concat());
    let mut command = Command::new("sh");
    // In blocks of 512 bytes, as POSIX has it.
    command.args(["-c", "ulimit -f $1; out=$2; shift 2; exec \"$@\" >\"$out\"", "sh"]);
    command.arg((bytes / 512).to_string()).arg(stdout).arg(wanted.get_program()).args(wanted.get_args());
    for (name, value) in wanted.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(project.path()).stdin(Stdio::null());
    command
}

#[test]
fn whatever_cannot_be_written_from_any_moment_on_nothing_is_left_in_the_cloud() {
    let ec2 = Ec2::without_hosts(Options { clock_factor: 60.0 });
    let settings = "types: [g4dn.xlarge]\nmarket: on-demand\nboot-timeout: 30s";
    let fleets = || ec2.count("CreateFleet");
    let mut filled = 0;
    for blocks in (2..=10).step_by(2) {
        let project = ec2.in_project(Project::with_suite(SUITE), settings);
        let out = project.path().join("out").display().to_string();
        let before = fleets();
        let run = with_a_disk_of(&project, blocks * 512, &out, &["--case", "quick"]).output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(3), "{blocks} blocks: {told}");
        ec2.nothing_is_left();
        if fleets() > before {
            // What was provisioned can be read up, or is said.
            let kept = project.latest().is_some_and(|folder| folder.join("receipt.json").exists());
            assert!(kept || told.contains("each confirmed gone"), "{blocks} blocks: {told}");
            filled += usize::from(told.contains("events.ndjson"));
        }
    }
    assert!(filled >= 2, "some of them filled the disk while they had a node: {filled}");
}

#[test]
fn a_disk_that_fills_up_while_a_case_runs_and_a_terminal_that_takes_nothing_leave_nothing_in_the_cloud() {
    let (ec2, project) = cloud();
    let suite = SUITE.replace("echo begun", "seq 40000; echo begun");
    let project = project.file("suites/s.yaml", suite);
    let out = project.path().join("out").display().to_string();
    let run = with_a_disk_of(&project, 64 << 10, &out, &["--case", "long"]).output().unwrap();
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(3), "{told}");
    assert!(told.contains("failed to write") && told.contains("each confirmed gone"), "{told}");
    ec2.nothing_is_left();

    let run = with_a_disk_of(&project, 1 << 30, "/dev/full", &["--case", "quick"]).output().unwrap();
    assert!(run.status.code().is_some(), "{run:?}");
    ec2.nothing_is_left();
}

#[test]
fn an_owner_that_is_stopped_while_its_node_boots_gives_it_back() {
    let ec2 = Ec2::without_hosts(Options { clock_factor: 60.0 });
    for signal in [Signal::INT, Signal::TERM] {
        let project = ec2.in_project(Project::with_suite(SUITE), SETTINGS);
        let mut harness = project.start(&["--node", "cloud", "--case", "quick"]);
        project.await_event(&mut harness, |event| matches!(event, Event::NodeProvisioned(_)));
        kill_process(Pid::from_child(&harness), signal).unwrap();
        let run = project.collect(harness);
        assert_eq!(run.code(), 130, "{run:?}");
        assert!(run.stdout.contains("each confirmed gone"), "{run:?}");
        ec2.nothing_is_left();
    }
}

#[test]
fn the_clouds_own_end_is_enough_also_where_the_agent_is_dead_and_the_network_cut() {
    let (ec2, project) = cloud();
    ec2.fault(&json!({ "fault": "no-shutdown" }));
    let instance = killed_in_its_case(&project);
    ec2.network(&instance, false);
    assert_eq!(instances(&ec2), 1);
    ec2.forward(TTL);
    ec2.await_nothing_that_costs();
}

#[test]
fn the_reaper_is_enough_by_the_tags_alone() {
    let (ec2, project) = cloud();
    without_node_and_cloud(&ec2);
    killed_in_its_case(&project);
    let early = project.gpu_harness(&["reap"]);
    assert_eq!(early.code(), 0, "{early:?}");
    assert_eq!(instances(&ec2), 1, "what is not past its time is left alone: {early:?}");
    // What was made a moment ago was not shown to everybody then; what costs nothing lives three minutes longer.
    ec2.forward(TTL + 5 * MINUTE);
    ec2.settle();
    assert_eq!(instances(&ec2), 1, "no other ring is on");
    // Somebody else's machine: nothing of the run's folder is known there.
    let elsewhere = ec2.in_project(Project::new(), "types: [g4dn.xlarge]");
    let reaped = elsewhere.gpu_harness(&["reap"]);
    assert_eq!(reaped.code(), 0, "{reaped:?}");
    ec2.nothing_is_left();
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
    ec2.nothing_is_left();
}
