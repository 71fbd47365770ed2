//! A harness that is killed leaves a report behind, and a node that cleans itself up.

use std::fs;
use std::time::Duration;

use gpu_harness_tests::kills;
use gpu_harness_tests::process::{lives, within};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::xml;
use gpu_suites::event::Event;

const SUITE: &str = r#"
suite: s
cases:
  - { name: done, command: { run: [sh, -c, "echo finished"] } }
  - { name: running, command: { run: [sh, -c, "echo $$ > $PIDFILE; echo begun; sleep 600"] } }
"#;

#[test]
fn a_killed_harness_leaves_its_report_and_the_node_cleans_up_when_the_lease_ends() {
    let project = Project::with_suite(SUITE);
    let pid_file = project.path().join("pid");
    let project = project
        .file("gpu-harness.yaml", "default: here\nnodes: { here: { provider: local, lease: 2s } }\n")
        .env("PIDFILE", pid_file.display().to_string());
    let mut harness = project.start(&[]);
    project.await_event(&mut harness, |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert!(lives(&pid));
    harness.kill().unwrap();
    harness.wait().unwrap();

    // What was written while it lived is a whole report already.
    let folder = project.latest().unwrap();
    let alive = fs::read_to_string(folder.join("junit.xml")).unwrap();
    xml::check(&alive);

    let report = project.gpu_harness(&["report", folder.to_str().unwrap()]);
    let junit = fs::read_to_string(folder.join("junit.xml")).unwrap();
    let cases = xml::cases(&junit);
    assert_eq!(cases["done"], "passed");
    assert_eq!(cases["running"], "error", "a case that did not finish is never a pass");
    assert_eq!(report.code(), 3, "{report:?}");

    within(Duration::from_secs(20), "the case is ended when the lease ends", || !lives(&pid));
    let runs = project.cache().join("runs");
    within(Duration::from_secs(10), "the run's folder is gone", || {
        fs::read_dir(&runs).unwrap().next().is_none()
    });
}

#[test]
fn an_interrupted_run_ends_in_good_order() {
    let project = Project::with_suite(SUITE);
    let pid_file = project.path().join("pid");
    let project = project.env("PIDFILE", pid_file.display().to_string());
    let mut harness = project.start(&[]);
    project.await_event(&mut harness, |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    let pid = fs::read_to_string(&pid_file).unwrap();
    let id = rustix::process::Pid::from_child(&harness);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let run = project.collect(harness);
    assert_eq!(run.code(), 130, "{run:?}");
    assert!(!lives(&pid), "the case was ended before the harness was");
    let cases = xml::cases(&run.junit());
    assert_eq!((cases["done"].as_str(), cases["running"].as_str()), ("passed", "error"));
    assert!(fs::read_dir(project.cache().join("runs")).unwrap().next().is_none(), "the node is as it was");
}

/// A slice of `cargo xtask soak kills`.
#[test]
fn a_harness_killed_at_any_moment_leaves_a_report_and_a_clean_node() {
    let seen = kills::check(4, 20_261_122);
    assert_eq!(seen.killed, 4);
}
