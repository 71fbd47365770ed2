//! The cases of suite files as tests: listed offline, run on one node, and the node given back whatever ends them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gpu_harness_tests::fixture::{Fixture, ended, said};
use gpu_harness_tests::process::{Process, kill, lives, processes, within};
use gpu_harness_tests::project::{Project, events_in};
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

const SUITE: &str = r#"
suite: s
cases:
  - { name: good, command: { run: [sh, -c, "echo finished"] } }
  - { name: bad, command: { run: [sh, -c, "echo its-last-word >&2; exit 3"] } }
  - { name: gpu, device: cuda, command: { run: ["true"] } }
  - { name: left-out, skip: "not today", command: { run: ["true"] } }
"#;

/// Says its process id in `pid` and goes on until it is ended; `quick` does not.
const LASTING: &str = r#"
suite: s
cases:
  - { name: lasting, command: { run: [sh, -c, "echo $$ > $PIDFILE; exec sleep 600"] } }
  - { name: quick, command: { run: ["true"] } }
"#;

fn many(count: usize) -> String {
    let cases = (0..count).map(|n| format!("  - {{ name: c{n}, command: {{ run: [\"true\"] }} }}\n"));
    format!("suite: s\ncases:\n{}", Vec::from_iter(cases).concat())
}

fn lasting() -> Project {
    let project = Project::with_suite(LASTING);
    let pid = project.path().join("pid").display().to_string();
    project.env("PIDFILE", pid)
}

/// The case's process, once it runs.
fn running(project: &Project) -> String {
    let file = project.path().join("pid");
    within(Duration::from_secs(60), "the case runs", || {
        fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n'))
    });
    fs::read_to_string(file).unwrap().trim().to_owned()
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn given_back(fixture: &Fixture<'_>) {
    within(Duration::from_secs(60), "the holder ends", || fixture.holders().is_empty());
}

#[test]
fn two_thousand_cases_are_listed_without_a_node_and_nothing_is_made() {
    let project = Project::with_suite(&many(2_000));
    let fixture = Fixture { project: &project };
    let mut list = fixture.program(&["--list", "--format", "terse"]);
    let listed = list.env("GPU_HARNESS_NODE", "ssh://nobody.invalid").output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(names.lines().count(), 2_000);
    assert_eq!(names.lines().next(), Some("s::c0: test"));
    assert!(!project.cache().exists() && fixture.runs().is_empty());
}

#[test]
fn what_cannot_be_run_here_is_ignored_for_a_reason_and_a_name_that_matches_nothing_fails() {
    let project = Project::with_suite(SUITE);
    let fixture = Fixture { project: &project };
    let list = fixture.program(&["--list", "--format", "terse", "--ignored"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&list.stdout), "s::gpu: test\ns::left-out: test\n");
    let told = said(&list);
    assert!(told.contains("s::gpu: needs a GPU") && told.contains("s::left-out: not today"), "{told}");

    let run = ended(fixture.cargo_test(&["--skip", "bad"]));
    let told = said(&run);
    assert!(told.contains("[not today]") && told.contains("2 ignored"), "{told}");

    let mut forced = fixture.program(&["--exact", "s::left-out", "--nocapture", "--ignored"]);
    let forced = forced.env("NEXTEST", "1").env("GPU_HARNESS_IDLE", "1s").output().unwrap();
    assert!(!forced.status.success(), "a case that is left out never passes: {}", said(&forced));

    let mut none = fixture.program(&["--exact", "s::nothing", "--nocapture"]);
    let none = none.env("NEXTEST", "1").output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
    assert!(said(&none).contains("0 tests have this name"), "{}", said(&none));
}

#[test]
fn a_failure_is_in_nextests_own_junit_in_the_cases_words() {
    let project = Project::with_suite(SUITE);
    let fixture = Fixture { project: &project };
    let run = ended(fixture.nextest(&[]));
    assert_eq!(run.status.code(), Some(100), "{}", said(&run));
    let told = said(&run);
    assert!(told.contains("2 tests run: 1 passed, 1 failed, 2 skipped"), "{told}");
    assert!(told.contains("its-last-word") && !told.contains("LEAK"), "{told}");
    assert!(told.contains("Error: exit-status: exit code 3, wanted exit code 0"), "{told}");
    let junit = fixture.junit();
    assert_eq!(xml::cases(&junit)["s::bad"], "failure");
    let message = "exit-status: exit code 3, wanted exit code 0";
    let failure = junit.split("<failure").nth(1).and_then(|text| text.split("</failure>").next()).unwrap();
    assert!(failure.contains("message=") && failure.contains(message), "{junit}");
    let folder = fixture.the_run();
    let cases = xml::cases(&fs::read_to_string(folder.join("junit.xml")).unwrap());
    assert_eq!((cases["good"].as_str(), cases["bad"].as_str(), cases.len()), ("passed", "failure", 2));
    given_back(&fixture);
}

#[test]
fn a_killed_test_ends_its_case_and_leaves_the_node_to_the_others() {
    let project = lasting();
    let fixture = Fixture { project: &project };
    let owner = start(fixture.nextest(&[]));
    let case = running(&project);
    let folder = project.path().display().to_string();
    let is_test = |process: &Process| process.knows(&folder) && process.says("--exact s::lasting");
    let tests = Vec::from_iter(processes().filter(is_test));
    assert_eq!(tests.len(), 1);
    kill(tests[0].pid);
    let run = owner.wait_with_output().unwrap();
    assert!(said(&run).contains("2 tests run: 1 passed, 1 failed"), "{}", said(&run));
    within(Duration::from_secs(20), "the case is ended", || !lives(&case));
    let folder = fixture.the_run();
    let cases = xml::cases(&fs::read_to_string(folder.join("junit.xml")).unwrap());
    assert_eq!((cases["quick"].as_str(), cases["lasting"].as_str()), ("passed", "error"));
}

#[test]
fn a_killed_holder_is_told_as_infrastructure_and_what_it_left_is_no_obstacle() {
    let project = lasting().file("gpu-harness.yaml", "nodes: { here: { provider: local, lease: 2s } }\n");
    let fixture = Fixture { project: &project };
    let mut run = fixture.nextest(&["--retries", "1", "-j1"]);
    run.env("GPU_HARNESS_NODE", "here");
    let run = start(run);
    let first = running(&project);
    let holders = fixture.holders();
    assert_eq!(holders.len(), 1);
    fs::remove_file(project.path().join("pid")).unwrap();
    kill(holders[0].parse().unwrap());
    // The second try has another holder at the same address, where the socket and the lock still lie.
    let second = running(&project);
    assert_ne!((fixture.holders(), &first), (holders, &second));
    kill_process_group(Pid::from_child(&run), Signal::INT).unwrap();
    let told = said(&run.wait_with_output().unwrap());
    assert!(
        told.contains("Error: infrastructure, not the code under test: the node holder (process "),
        "{told}"
    );
    given_back(&fixture);
    within(Duration::from_secs(20), "both are ended", || !lives(&first) && !lives(&second));
    assert_eq!(fixture.runs().len(), 2);
}

#[test]
fn a_nextest_that_is_told_to_stop_ends_its_case_and_its_holder() {
    for signal in [Signal::INT, Signal::TERM] {
        let project = lasting();
        let fixture = Fixture { project: &project };
        let run = start(fixture.nextest(&[]));
        let case = running(&project);
        kill_process_group(Pid::from_child(&run), signal).unwrap();
        let run = run.wait_with_output().unwrap();
        // What has not ended in 10 s, nextest kills.
        assert!(!run.status.success() && !said(&run).contains("SIGKILL"), "{}", said(&run));
        within(Duration::from_secs(20), "the case ends", || !lives(&case));
        given_back(&fixture);
    }
}

#[test]
fn two_runs_at_once_have_a_node_each() {
    let project = Project::with_suite(&many(3));
    let fixture = Fixture { project: &project };
    let runs = [start(fixture.cargo_test(&[])), start(fixture.cargo_test(&[]))];
    for run in runs {
        let run = run.wait_with_output().unwrap();
        assert!(said(&run).contains("3 passed"), "{}", said(&run));
    }
    assert_eq!(fixture.runs().len(), 2);
    given_back(&fixture);
}

#[test]
fn a_user_without_a_home_has_a_holder_too() {
    let project = Project::with_suite(&many(1));
    let cache = project.path().join("agent");
    let yaml = format!("nodes: {{ here: {{ provider: local, cache: {} }} }}\n", cache.display());
    let project = project.file("gpu-harness.yaml", yaml);
    let fixture = Fixture { project: &project };
    let mut run = fixture.program(&["--gpu-remote", "--node", "here"]);
    run.env_remove("HOME").env_remove("GPU_HARNESS_CACHE").env_remove("XDG_CACHE_HOME");
    run.env("GPU_HARNESS_IDLE", "500ms");
    let run = ended(run);
    assert!(said(&run).contains("1 passed"), "{}", said(&run));
    fixture.the_run();
}

/// nextest says which of a group's places a test has; this machine has no GPU, so the agent is told of two.
#[test]
fn tests_of_one_group_see_a_gpu_each() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: a, command: { run: [sh, -c, \"echo sees=$CUDA_VISIBLE_DEVICES\"] } }\n",
    );
    let gpus = json!({ "gpus": { "present": { "driver": null, "cuda": null, "devices": [{}, {}] } } });
    let project = project.file("facts.json", gpus.to_string());
    let facts = project.path().join("facts.json").display().to_string();
    let project = project.env("GPU_AGENT_STAND_IN", facts);
    let fixture = Fixture { project: &project };
    for (slot, sees) in [("0", "sees=0"), ("1", "sees=1"), ("2", "sees=0"), ("none", "sees=\n")] {
        let mut run = fixture.program(&["--exact", "s::a", "--nocapture"]);
        run.env("NEXTEST_TEST_GROUP_SLOT", slot).env("GPU_HARNESS_IDLE", "300ms");
        run.env_remove("CUDA_VISIBLE_DEVICES");
        let run = ended(run);
        assert!(said(&run).contains(sees), "slot {slot}: {}", said(&run));
    }
}

#[test]
fn a_command_has_a_node_to_itself_and_its_exit_status_is_passed_on() {
    let project = Project::with_suite(&many(4));
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143)] {
        let run = project.run(&["--node", "local", "--", "sh", "-c", script]);
        assert_eq!(run.code(), code, "{run:?}");
    }
    let fixture = Fixture { project: &project };
    let run = ended(fixture.nextest_with_a_node("local", &[]));
    assert!(run.status.success(), "{}", said(&run));
    assert!(said(&run).contains("what came of it is in"), "{}", said(&run));
    // The command waits until its node is given back.
    let events = events_in(&fixture.runs()[0]);
    assert!(matches!(events.last().unwrap().event, Event::RunClosed(_)));
    assert_eq!(fixture.runs().len(), 1);
    given_back(&fixture);
}
