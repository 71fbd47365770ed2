//! What cargo and nextest must withstand with a node behind them: being told to stop while they list, a checkout that nobody
//! writes to, names of every kind, and tests that leave processes behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gpu_harness_tests::fixture::{Fixture, ended, said};
use gpu_harness_tests::process::{lives, processes, within};
use gpu_harness_tests::project::{Project, program};
use gpu_harness_tests::sshd::Sshd;
use gpu_harness_tests::xml;
use rustix::process::{Pid, Signal, kill_process_group};

const GOOD: &str = "suite: s\ncases:\n  - { name: good, command: { run: [\"true\"] } }\n";

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether a process that says `line` has this project's folder in its environment.
fn runs(project: &Project, line: &str) -> bool {
    let folder = project.path().display().to_string();
    processes().any(|process| process.knows(&folder) && process.says(line))
}

#[test]
fn whoever_is_told_to_stop_while_tests_are_listed_leaves_nothing_and_makes_nothing() {
    let project = Project::with_suite(GOOD);
    // A pipe that nobody writes to: whoever reads it waits.
    let pipe = project.path().join("endless");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let project = project.env("FIXTURE_PIPE", pipe.display().to_string());
    let fixture = Fixture { project: &project };
    for signal in [Signal::INT, Signal::TERM] {
        for command in [fixture.nextest(&[]), fixture.nextest_with_a_node("local", &[])] {
            let shown = format!("{signal:?} {:?}", command.get_program());
            let run = start(command);
            let pid = run.id().to_string();
            within(Duration::from_secs(60), "it lists", || runs(&project, "--list"));
            kill_process_group(Pid::from_child(&run), signal).unwrap();
            within(Duration::from_secs(20), &shown, || !lives(&pid));
            assert!(!run.wait_with_output().unwrap().status.success(), "{shown}");
            within(Duration::from_secs(20), "no process is left", || {
                !runs(&project, "") && fixture.holders().is_empty()
            });
            assert_eq!(fixture.runs().len(), 0, "{shown}");
        }
    }
}

/// The command, as it is where nobody writes to the project's folder, not even root; its folders `cache` and `nextest` stay
/// as they are.
fn read_only(project: &Project, command: &Command) -> std::process::Output {
    let folder = project.path();
    for open in ["cache", "nextest"] {
        fs::create_dir_all(folder.join(open)).unwrap();
    }
    let mut locked = if rustix::process::geteuid().is_root() {
        let script = "mount --bind \"$0\" \"$0\" && mount --bind \"$0/cache\" \"$0/cache\" && \
                      mount --bind \"$0/nextest\" \"$0/nextest\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
        let mut locked = Command::new("unshare");
        locked.args(["--mount", "sh", "-c", script]).arg(folder);
        locked
    } else {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
        Command::new("env")
    };
    locked.arg(command.get_program()).args(command.get_args());
    if let Some(cwd) = command.get_current_dir() {
        locked.current_dir(cwd);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => locked.env(name, value),
            None => locked.env_remove(name),
        };
    }
    let done = ended(locked);
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    done
}

#[test]
fn a_checkout_that_nobody_writes_to_is_tested_and_its_results_are_kept_elsewhere() {
    let suite = format!("{GOOD}  - {{ name: bad, command: {{ run: [\"false\"] }} }}\n");
    let project = Project::with_suite(&suite);
    let fixture = Fixture { project: &project };
    let run = read_only(&project, &fixture.nextest(&[]));
    let told = said(&run);
    assert!(told.contains("2 tests run: 1 passed, 1 failed"), "{told}");
    within(Duration::from_secs(60), "the holder ends", || fixture.holders().is_empty());
    assert!(!project.path().join("gpu-harness-runs").exists(), "the folder is read-only");
    let runs = fs::read_dir(project.cache().join("holders/runs")).unwrap().flatten();
    let runs = Vec::from_iter(runs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())));
    let [run] = &runs[..] else { panic!("not one run: {runs:?}") };
    assert!(told.contains(&format!("what came of it is in {}", run.path().display())), "{told}");
    let cases = xml::cases(&fs::read_to_string(run.path().join("junit.xml")).unwrap());
    assert_eq!((cases["good"].as_str(), cases["bad"].as_str()), ("passed", "failure"));
}

#[test]
fn a_holder_that_can_write_nothing_is_no_fault_of_the_user_or_of_the_code() {
    let full = "trap '' XFSZ; ulimit -f 0; exec \"$REAL\" \"$@\"";
    for (there, cannot) in [
        // Its run's folder is made, and no event can be kept.
        ("gpu-harness-runs/.gitignore", "/events.ndjson: File too large"),
        // Nor can its run's folder be made whole.
        ("notes", "failed to make the run's folder"),
    ] {
        let project =
            Project::with_suite(GOOD).file(there, "*\n").file("holder", format!("#!/bin/sh\n{full}\n"));
        let holder = project.path().join("holder");
        fs::set_permissions(&holder, fs::Permissions::from_mode(0o755)).unwrap();
        let fixture = Fixture { project: &project };
        let mut test = fixture.program(&["--exact", "s::good", "--nocapture"]);
        test.env("GPU_HARNESS_BIN", holder).env("REAL", program("gpu-harness")).env("GPU_HARNESS_IDLE", "1s");
        let told = said(&ended(test));
        let last = told.lines().find(|line| line.starts_with("Error: ")).unwrap_or(&told);
        assert!(last.starts_with("Error: infrastructure, not the code under test: failed to "), "{told}");
        assert!(last.contains(cannot), "{told}");
    }
}

#[test]
fn names_of_every_allowed_character_are_tests_and_others_are_refused_before_anything_is_run() {
    let name = "AZaz09_.-";
    let project = Project::with_suite(&GOOD.replace("good", name).replace("suite: s", "suite: S_u.i-te9"));
    let fixture = Fixture { project: &project };
    let run = ended(fixture.nextest(&["-E", &format!("test(=S_u.i-te9::{name})")]));
    assert!(said(&run).contains("1 test run: 1 passed"), "{}", said(&run));
    fixture.the_run();
    for wrong in ["a b", "ä", "a/b", "a:b", "a\\tb"] {
        let project = Project::with_suite(&GOOD.replace("name: good", &format!("name: \"{wrong}\"")));
        let list = Fixture { project: &project }.program(&["--list", "--format", "terse"]).output().unwrap();
        let told = said(&list);
        assert!(list.status.code() == Some(2) && told.contains("s.yaml:3"), "{wrong:?}: {told}");
        assert!(list.stdout.is_empty(), "{wrong:?}: nothing is listed");
    }
}

#[test]
fn what_a_case_leaves_running_is_ended_and_no_leak_of_its_test() {
    let project = Project::new();
    let left = project.path().join("left");
    let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}", left.display());
    let suite = format!("suite: s\ncases:\n  - {{ name: a, command: {{ run: [sh, -c, \"{script}\"] }} }}\n");
    let project = project.file("suites/s.yaml", suite);
    let fixture = Fixture { project: &project };
    let run = ended(fixture.nextest(&[]));
    let told = said(&run);
    assert!(
        told.contains("1 test run: 1 passed") && !told.contains("LEAK") && !told.contains("leaky"),
        "{told}"
    );
    assert!(!lives(&fs::read_to_string(left).unwrap()), "its child is left");
    fixture.the_run();
}

#[test]
fn a_machine_behind_ssh_runs_the_cases_of_cargo_and_of_nextest() {
    let sshd = Sshd::start();
    let home = std::env::var("HOME").unwrap_or_default();
    let set = |name: &str, folder: &str| {
        std::env::var(name).unwrap_or_else(|_| Path::new(&home).join(folder).display().to_string())
    };
    // The toolchain is found by the real home; the node is reached by the client's.
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: where, command: { run: [sh, -c, \"echo from=$SSH_CONNECTION in=$PWD\"] } }\n  \
         - { name: bad, command: { run: [\"false\"] } }\n",
    )
    .env("RUSTUP_HOME", set("RUSTUP_HOME", ".rustup"))
    .env("CARGO_HOME", set("CARGO_HOME", ".cargo"))
    .env("HOME", sshd.client_home().display().to_string());
    let fixture = Fixture { project: &project };
    let node = sshd.address();
    let flags = ["--gpu-remote", "--node", &node, "--nocapture"];
    let with_cargo = ended(fixture.cargo_test(&flags));
    let mut nextest = fixture.nextest(&["--success-output", "final"]);
    nextest.env("GPU_HARNESS_NODE", &node);
    let with_nextest = ended(nextest);
    for run in [&with_cargo, &with_nextest] {
        let told = said(run);
        assert!(told.contains("1 passed") && told.contains("1 failed"), "{told}");
        let there = sshd.node_cache().display().to_string();
        assert!(told.contains(&format!("in={there}")), "it ran on the node: {told}");
    }
    let codes = (with_cargo.status.code(), with_nextest.status.code());
    assert_eq!(codes, (Some(101), Some(100)));
    within(Duration::from_secs(60), "the holders end", || fixture.holders().is_empty());
    let runs = fixture.runs();
    assert_eq!(runs.len(), 2, "a node for each of the two runs");
    for run in runs {
        let cases = xml::cases(&fs::read_to_string(run.join("junit.xml")).unwrap());
        assert_eq!((cases["where"].as_str(), cases["bad"].as_str(), cases.len()), ("passed", "failure", 2));
    }
}
