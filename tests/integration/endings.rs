//! A run ends, whatever its node does or leaves undone, and what did not come back from there is no pass.

use std::path::Path;
use std::time::Duration;

use gpu_harness_tests::process::{processes, within};
use gpu_harness_tests::project::{Project, program};
use gpu_suites::event::{Event, NodeState};
use gpu_suites::outcome::Outcome;
use rustix::process::{Pid, Signal, kill_process};

const SUITE: &str = r#"
suite: s
cases:
  - { name: c, timeout: 1s, command: { run: [sh, -c, "echo x > out.bin"], bring: [out.bin] } }
"#;
const NODE: &str = "default: here\nnodes: { here: { provider: local, lease: 2s } }\n";

/// On a node whose agent plays this trick.
fn with_trick(trick: &str) -> Project {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures/hostile/evil_agent.py");
    let project = Project::with_suite(SUITE).file("gpu-harness.yaml", NODE);
    project.env("GPU_HARNESS_AGENT", agent.display().to_string()).env("EVIL", trick)
}

/// On a node whose agent does this before it fetches anything.
fn before_it_fetches(act: &str) -> Project {
    use std::os::unix::fs::PermissionsExt as _;

    let agent = program("gpu-agent").display().to_string();
    let script = format!("#!/bin/sh\nif [ \"$1\" = fetch ]; then {act}; fi\nexec {agent} \"$@\"\n");
    let project = Project::with_suite(SUITE).file("gpu-harness.yaml", NODE).file("agent.sh", script);
    let path = project.path().join("agent.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.env("GPU_HARNESS_AGENT", path.display().to_string())
}

fn fetches(event: &Event) -> bool {
    matches!(event, Event::Node(node) if node.state == NodeState::Draining)
}

#[test]
fn a_signal_is_heard_while_artifacts_are_fetched() {
    for signal in [Signal::INT, Signal::TERM] {
        let project = with_trick("fetch.hang");
        // The bound of the fetch is minutes; that it was not what ended it, the reason and the output say.
        let project = project.file("gpu-harness.yaml", NODE.replace("2s", "10m"));
        let mut harness = project.start(&[]);
        project.await_event(&mut harness, fetches);
        kill_process(Pid::from_child(&harness), signal).unwrap();
        let run = project.collect(harness);
        assert_eq!(run.code(), 130, "{run:?}");
        let (outcome, reason) = run.outcome("c");
        assert_eq!(outcome, Outcome::Cancelled, "{reason}");
        assert!(reason.contains("a.bin") && reason.contains("interrupted by"), "{reason}");
        assert!(!run.stdout.contains("did not send its artifacts within"), "{run:?}");
    }
}

#[test]
fn a_node_that_never_sends_its_artifacts_is_waited_for_no_longer_than_they_may_take() {
    let project = with_trick("fetch.hang");
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    let (outcome, reason) = run.outcome("c");
    assert_eq!(outcome, Outcome::Errored, "{reason}");
    assert!(reason.contains("a.bin") && run.stdout.contains("did not send its artifacts within"), "{run:?}");
}

#[test]
fn an_agent_that_lives_and_never_ends_its_cases_is_not_waited_for_for_ever() {
    let project = with_trick("started.for-ever");
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    assert!(run.outcome("c").1.contains("has not ended its cases in the"), "{run:?}");
}

#[test]
fn an_agent_that_never_starts_the_run_is_not_waited_for_for_ever() {
    let project = with_trick("started.never");
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    assert!(run.outcome("c").1.contains("has not started the run in the"), "{run:?}");
}

#[test]
fn a_lease_lasts_for_as_long_as_artifacts_are_fetched() {
    let project = before_it_fetches("sleep 5");
    let run = project.run(&[]);
    assert_eq!(run.code(), 0, "{run:?}");
    let here = run.folder().join("cases/s.c/artifacts/out.bin");
    assert_eq!(std::fs::read_to_string(here).unwrap(), "x\n");
}

#[test]
fn a_file_that_was_announced_and_did_not_come_is_no_pass() {
    for act in [
        "exit 1",
        "rm -r $GPU_HARNESS_CACHE/runs",
        "echo y > $(find $GPU_HARNESS_CACHE/runs -name out.bin | grep artifacts)",
    ] {
        let project = before_it_fetches(act);
        let run = project.run(&[]);
        assert_eq!(run.code(), 3, "{act}: {run:?}");
        let (outcome, reason) = run.outcome("c");
        assert_eq!(outcome, Outcome::Errored, "{act}: {reason}");
        assert!(reason.contains("out.bin"), "{act}: {reason}");
    }
    // As in a shell, a command's own success is not told where gpu-harness has not done its part.
    let project = before_it_fetches("exit 1");
    let run = project.gpu_harness(&["exec", "--bring", "out.bin", "--", "sh", "-c", "echo x > out.bin"]);
    assert_eq!(run.code(), 125, "{run:?}");
    assert!(!project.path().join("out.bin").exists());
}

#[test]
fn a_harness_that_is_killed_leaves_no_process_of_its_own() {
    let project = with_trick("fetch.hang");
    let mut harness = project.start(&[]);
    project.await_event(&mut harness, fetches);
    let run = project.latest().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let fetching = || processes().any(|process| process.says("evil_agent.py") && process.says(&run));
    within(Duration::from_secs(10), "the fetch begins", fetching);
    harness.kill().unwrap();
    harness.wait().unwrap();
    within(Duration::from_secs(10), "the fetch ends", || !fetching());
}

#[test]
fn a_report_that_cannot_be_written_is_no_mistake_on_the_command_line() {
    let project = Project::with_suite("suite: s\ncases:\n  - { name: c, command: { run: [\"true\"] } }\n");
    let run = project.run(&[]);
    let junit = run.folder().join("junit.xml");
    std::fs::remove_file(&junit).unwrap();
    std::fs::create_dir(&junit).unwrap();
    let report = project.gpu_harness(&["report", &run.folder().display().to_string()]);
    assert_eq!(report.code(), 3, "{report:?}");
    assert!(
        report.stderr.contains("failed to write") && report.stderr.contains("junit.xml"),
        "{}",
        report.stderr
    );
    let nowhere = project.gpu_harness(&["report", "no-such-run"]);
    assert_eq!(nowhere.code(), 2, "{nowhere:?}");
}
