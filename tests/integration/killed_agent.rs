//! An agent that is killed is trouble of the infrastructure: what came is kept, and nothing is left running.

use std::fs;
use std::path::Path;

use gpu_harness_tests::process::lives;
use gpu_harness_tests::project::Project;
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;
use rustix::process::{Pid, Signal, kill_process};

const SUITE: &str = r#"
suite: s
cases:
  - { name: done, command: { run: [sh, -c, "echo finished"] } }
  - { name: running, command: { run: [sh, -c, "echo $$ > $PIDFILE; echo begun; sleep 600"] } }
  - { name: never, command: { run: ["true"] } }
"#;

/// The supervisor of the project's only run: the process whose arguments are `supervise` and a folder of its cache.
fn supervisor(cache: &Path) -> Pid {
    let cache = cache.display().to_string();
    let ours = |entry: &fs::DirEntry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split('\0').skip(1);
        words.next() == Some("supervise") && words.next().is_some_and(|folder| folder.starts_with(&cache))
    };
    let found = fs::read_dir("/proc").unwrap().flatten().find(ours).expect("a supervisor runs");
    Pid::from_raw(found.file_name().to_str().unwrap().parse().unwrap()).unwrap()
}

#[test]
fn a_killed_agent_is_told_apart_from_a_failed_check_and_leaves_nothing_running() {
    let project = Project::with_suite(SUITE);
    let pid_file = project.path().join("pid");
    let project = project.env("PIDFILE", pid_file.display().to_string());
    let harness = project.start(&[]);
    project.await_event(|event| matches!(event, Event::Log(log) if log.text.contains("begun")));
    kill_process(supervisor(&project.cache()), Signal::KILL).unwrap();
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
