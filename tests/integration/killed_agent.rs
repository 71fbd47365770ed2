//! An agent that is killed is trouble of the infrastructure: what came is kept, and nothing is left running.

use std::fs;
use std::path::Path;

use gpu_harness_tests::process::{kill, lives, processes};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;

const SUITE: &str = r#"
suite: s
cases:
  - { name: done, command: { run: [sh, -c, "echo finished"] } }
  - { name: running, command: { run: [sh, -c, "echo $$ > $PIDFILE; echo begun; sleep 600"] } }
  - { name: never, command: { run: ["true"] } }
"#;

/// The supervisor of the project's only run: the process whose arguments are `supervise` and a folder of its cache.
fn supervisor(cache: &Path) -> i32 {
    let arguments = format!(" supervise {}", cache.display());
    processes().find(|process| process.says(&arguments)).expect("a supervisor runs").pid
}

#[test]
fn a_killed_agent_is_told_apart_from_a_failed_check_and_leaves_nothing_running() {
    let project = Project::with_suite(SUITE);
    let pid_file = project.path().join("pid");
    let project = project.env("PIDFILE", pid_file.display().to_string());
    let mut harness = project.start(&[]);
    project.await_event(&mut harness, |event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    kill(supervisor(&project.cache()));
    let run = project.collect(harness);
    assert_eq!(run.code(), 3, "{run:?}");
    assert_eq!(run.outcome("done").0, Outcome::Passed);
    for case in ["running", "never"] {
        let (outcome, reason) = run.outcome(case);
        assert_eq!(outcome, Outcome::Errored);
        assert!(reason.contains("agent"), "{case}: {reason}");
    }
    let cases = xml::cases(&run.junit());
    assert_eq!((cases["done"].as_str(), cases["running"].as_str()), ("passed", "error"));
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert!(!lives(&pid), "the case died with its supervisor");
}
