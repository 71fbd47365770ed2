//! A node of EC2 that tests share: had once, and gone afterwards whatever became of the tests, the holder or the node.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::fixture::{Fixture, ended, said};
use gpu_harness_tests::process::{HANG, within};
use gpu_harness_tests::project::{Project, events_in};
use gpu_harness_tests::xml;
use gpu_suites::event::{Event, NodeState, ResourceKind};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

/// Says that it has begun, and goes on until it is ended.
const LASTING: &str = r#"
suite: s
cases:
  - { name: lasting, timeout: 1h, command: { run: [sh, -c, "echo begun; exec sleep 600"] } }
  - { name: quick, command: { run: ["true"] } }
"#;

fn many(count: usize) -> String {
    let cases = (0..count).map(|n| format!("  - {{ name: c{n}, command: {{ run: [\"true\"] }} }}\n"));
    format!("suite: s\ncases:\n{}", Vec::from_iter(cases).concat())
}

/// The time to live of nodes that are to last for as long as a slow machine takes: a clock that runs 60 times as fast has four
/// minutes for it.
const TTL: Duration = Duration::from_secs(4 * 3600);

/// Lets that time pass at once, and waits until no instance is left.
fn at_its_time_to_live_no_instance_is_left(ec2: &Ec2) {
    ec2.forward(TTL);
    within(HANG, "no instance is left", || ec2.left()["instances"].as_array().unwrap().is_empty());
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn begun(event: &Event) -> bool {
    matches!(event, Event::Log(log) if log.text.contains("begun"))
}

/// nextest on the node `cloud`, started.
fn on_the_cloud(fixture: &Fixture<'_>, arguments: &[&str]) -> Child {
    let mut run = fixture.nextest(arguments);
    run.env("GPU_HARNESS_NODE", "cloud");
    start(run)
}

fn instances(folder: &std::path::Path) -> Vec<String> {
    let events = events_in(folder);
    let made = events.iter().filter_map(|record| match &record.event {
        Event::ResourceMade(made) if made.resource == ResourceKind::INSTANCE => Some(made.id.clone()),
        _ => None,
    });
    made.collect()
}

/// The run's receipt: everything that was made, and when it was gone.
fn all_is_gone_by_the_receipt(folder: &std::path::Path) {
    let receipt: Value = serde_json::from_slice(&fs::read(folder.join("receipt.json")).unwrap()).unwrap();
    let things = receipt["resources"].as_array().expect("a list");
    assert!(things.iter().any(|thing| thing["resource"] == "instance"), "{receipt:#}");
    for thing in things {
        assert!(thing["gone_at"].is_string(), "{receipt:#}");
    }
}

#[test]
fn ten_nextest_processes_have_one_ec2_node_which_is_given_back() {
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(&many(10)), "types: [g6.xlarge]");
    let fixture = Fixture { project: &project };
    let mut run = fixture.nextest(&[]);
    run.env("GPU_HARNESS_NODE", "cloud");
    let run = ended(run);
    assert!(run.status.success(), "{}", said(&run));
    assert!(said(&run).contains("10 tests run: 10 passed"), "{}", said(&run));
    let folder = fixture.the_run();
    let made = events_in(&folder);
    let made = made.iter().filter(|record| {
        matches!(&record.event, Event::ResourceMade(made) if made.resource == ResourceKind::INSTANCE)
    });
    assert_eq!(made.count(), 1);
    ec2.nothing_is_left();
    assert!(fs::read_to_string(folder.join("receipt.json")).unwrap().contains("gone_at"));
}

#[test]
fn a_node_that_waits_between_two_tests_is_kept_alive_by_its_holder() {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    let settings = "types: [g4dn.xlarge]\nttl: 4h\nlease: 20s";
    let project = ec2.in_project(Project::with_suite(&many(2)), settings);
    let fixture = Fixture { project: &project };
    let test = fixture.program(&[]);
    let path = test.get_program().to_str().unwrap();
    // Half as long again as the lease, and nothing runs.
    let script = format!("{path} c0 && sleep 30 && {path} c1");
    let mut run = project.command(&["run", "--node", "cloud", "--", "sh", "-c", &script]);
    for (name, value) in test.get_envs() {
        match value {
            Some(value) => run.env(name, value),
            None => run.env_remove(name),
        };
    }
    let run = ended(run);
    assert!(run.status.success(), "{}", said(&run));
    let folder = fixture.the_run();
    assert_eq!(instances(&folder).len(), 1);
    ec2.nothing_is_left();
}

#[test]
fn a_killed_nextest_leaves_no_node() {
    let ec2 = Ec2::start(Options::default());
    let project = ec2.in_project(Project::with_suite(LASTING), "types: [g6.xlarge]");
    let fixture = Fixture { project: &project };
    let mut run = fixture.nextest(&[]);
    run.env("GPU_HARNESS_NODE", "cloud");
    let mut run = start(run);
    project.await_event(&mut run, begun);
    run.kill().unwrap();
    run.wait().unwrap();
    within(HANG, "the holder ends", || fixture.holders().is_empty());
    ec2.nothing_is_left();
}

#[test]
fn a_killed_holder_fails_no_test_as_code_and_its_node_ends_by_itself() {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    let project = ec2.in_project(Project::with_suite(LASTING), "types: [g4dn.xlarge]\nttl: 4h\nlease: 20s");
    let fixture = Fixture { project: &project };
    let mut run = on_the_cloud(&fixture, &["-E", "test(lasting)"]);
    project.await_event(&mut run, begun);
    let holders = fixture.holders();
    assert_eq!(holders.len(), 1);
    kill_process(Pid::from_raw(holders[0].parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    let told = said(&run.wait_with_output().unwrap());
    assert!(
        told.contains("Error: infrastructure, not the code under test: the node holder (process "),
        "{told}"
    );
    let folder = fixture.runs().pop().unwrap();
    let [instance] = &instances(&folder)[..] else { panic!("not one instance") };
    let report = project.gpu_harness(&["report", folder.to_str().unwrap()]);
    assert!(report.stdout.contains("NOT confirmed gone") && report.stdout.contains(instance), "{report:?}");
    assert_eq!(xml::cases(&report.junit())["lasting"], "error", "{report:?}");
    ec2.await_nothing_that_costs();
    // Nobody has asked for it.
    assert_eq!((ec2.count("TerminateInstances"), ec2.count("DeleteFleets")), (0, 0));
    // What costs nothing is left for the reaper, which finds it by the run's name.
    let id = folder.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(project.gpu_harness(&["reap", "--run", &id]).code(), 0);
    ec2.nothing_is_left();
}

#[test]
fn a_spot_node_that_is_taken_back_fails_no_test_as_code_and_the_next_try_has_another() {
    let ec2 = Ec2::start(Options { clock_factor: 4.0 });
    let suite = LASTING.replace("exec sleep 600", "sleep 6; echo ended");
    let project = ec2.in_project(Project::with_suite(&suite), "types: [g4dn.xlarge]");
    let fixture = Fixture { project: &project };
    let mut run =
        on_the_cloud(&fixture, &["-E", "test(lasting)", "--retries", "1", "--failure-output", "immediate"]);
    project.await_event(&mut run, begun);
    let first = instances(&fixture.runs()[0]).pop().unwrap();
    ec2.reclaim(&first, Duration::from_secs(120));
    let run = run.wait_with_output().unwrap();
    let told = said(&run);
    assert!(run.status.success() && told.contains("1 passed (1 flaky)"), "{told}\n{}", ec2.log());
    assert!(told.contains("Error: infrastructure, not the code under test: "), "{told}");
    within(HANG, "the holders end", || fixture.holders().is_empty());
    ec2.nothing_is_left();
    let runs = fixture.runs();
    assert_eq!(runs.len(), 2, "{runs:?}");
    for (folder, outcome) in runs.iter().zip(["error", "passed"]) {
        let cases = xml::cases(&fs::read_to_string(folder.join("junit.xml")).unwrap());
        assert_eq!(cases["lasting"], outcome, "{}", folder.display());
        assert_eq!(instances(folder).len(), 1);
        all_is_gone_by_the_receipt(folder);
    }
}

#[test]
fn money_that_is_spent_ends_the_node_under_its_tests_and_buys_no_other() {
    let ec2 = Ec2::start(Options { clock_factor: 2.0 });
    // At 3.60 dollars an hour a second costs 0.001; the teardown's two minutes are part of the limit.
    let settings = "types: [g4dn.xlarge]\nmarket: on-demand\nprices: { g4dn.xlarge: 3.6 }\nboot-timeout: 40s\nmax-cost: 0.165";
    let project = ec2.in_project(Project::with_suite(LASTING), settings);
    let fixture = Fixture { project: &project };
    let run = on_the_cloud(&fixture, &["-j1", "--failure-output", "final"]).wait_with_output().unwrap();
    let told = said(&run);
    assert!(told.contains("2 tests run: 0 passed, 2 failed"), "{told}\n{}", ec2.log());
    assert_eq!(told.matches("Error: timed out: ").count(), 2, "{told}");
    let folder = fixture.the_run();
    let cases = xml::cases(&fs::read_to_string(folder.join("junit.xml")).unwrap());
    assert_eq!((cases["lasting"].as_str(), cases["quick"].as_str()), ("error", "error"));
    assert_eq!(instances(&folder).len(), 1);
    all_is_gone_by_the_receipt(&folder);
    let events = events_in(&folder);
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        events.iter().position(|record| wanted(&record.event)).expect("it happened")
    };
    // It is given back when its money is spent, not when the tests have ended.
    let given_back =
        place(&|event| matches!(event, Event::Node(node) if node.state == NodeState::Terminating));
    let closed = place(&|event| matches!(event, Event::RunClosed(_)));
    let last = place(&|event| matches!(event, Event::CaseFinished(end) if end.case.case() == "quick"));
    assert!(given_back < last && last < closed, "{given_back} {last} {closed}");
    let cost = events.iter().rev().find_map(|record| match &record.event {
        Event::Cost(cost) => cost.usd,
        _ => None,
    });
    assert!(cost.is_some_and(|usd| usd > 0.0 && usd <= 0.165), "{cost:?}");
    ec2.nothing_is_left();
}

/// When a run is told to stop.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Starting,
    Running,
    /// Its node is being given back.
    GivingBack,
}

impl Phase {
    fn is(self, event: &Event) -> bool {
        match self {
            Self::Starting => matches!(event, Event::Node(node) if node.state == NodeState::Booting),
            Self::Running => begun(event),
            Self::GivingBack => matches!(event, Event::Node(node) if node.state == NodeState::Terminating),
        }
    }
}

/// Stops a job as GitHub does: SIGINT, SIGTERM after 7.5 s, and an end to everything after 2.5 s more, the holder's too.
fn stop(run: &mut Child, fixture: &Fixture<'_>, to_its_group: bool) {
    let is_over = |run: &mut Child| run.try_wait().unwrap().is_some() && fixture.holders().is_empty();
    for (signal, patience) in [(Signal::INT, 7_500), (Signal::TERM, 2_500)] {
        let pid = Pid::from_child(run);
        let _ = if to_its_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(patience) {
            if is_over(run) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = kill_process_group(Pid::from_child(run), Signal::KILL);
    for holder in fixture.holders() {
        let _ = kill_process(Pid::from_raw(holder.parse().unwrap()).unwrap(), Signal::KILL);
    }
}

#[test]
fn a_job_that_is_stopped_in_any_phase_leaves_no_node() {
    let ec2 = Ec2::start(Options { clock_factor: 60.0 });
    std::thread::scope(|scope| {
        for (phase, with_a_command) in [
            (Phase::Starting, false),
            (Phase::Running, false),
            (Phase::Starting, true),
            (Phase::Running, true),
            (Phase::GivingBack, true),
        ] {
            let ec2 = &ec2;
            scope.spawn(move || {
                let settings = "types: [g4dn.xlarge, g6.xlarge]\nttl: 4h";
                let project = ec2.in_project(Project::with_suite(LASTING), settings);
                let fixture = Fixture { project: &project };
                let only = if matches!(phase, Phase::GivingBack) { "test(quick)" } else { "test(lasting)" };
                let mut run = if with_a_command {
                    start(fixture.nextest_with_a_node("cloud", &["-E", only]))
                } else {
                    on_the_cloud(&fixture, &["-E", only])
                };
                project.await_event(&mut run, |event| phase.is(event));
                // A terminal's Ctrl-C and nextest's own are for the group; a job is stopped by a signal to its process.
                stop(&mut run, &fixture, !with_a_command);
                let run = run.wait_with_output().unwrap();
                assert!(!said(&run).contains("1 passed") || matches!(phase, Phase::GivingBack), "{phase:?}");
            });
        }
    });
    // What was stopped in time is gone already; what was killed at the last second ends by itself.
    at_its_time_to_live_no_instance_is_left(&ec2);
}
