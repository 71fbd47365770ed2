//! Any command runs on a node as if it ran here: its output, its exit status and its files come back.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use gpu_harness_tests::project::{Finished, Project, program};
use gpu_harness_tests::sshd::Sshd;
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use rustix::process::{Pid, Signal, kill_process};

fn git(project: &Project, arguments: &[&str]) {
    let done = Command::new("git").args(arguments).current_dir(project.path()).output().expect("git runs");
    assert!(done.status.success(), "{done:?}");
}

fn exec(project: &Project, flags: &[&str], script: &str) -> Finished {
    project.gpu_harness(&[&["exec"], flags, &["--", "sh", "-c", script]].concat())
}

/// A git working tree with a node that is reached by ssh.
fn tree() -> (Sshd, Project) {
    let sshd = Sshd::start();
    let address = sshd.address();
    let project = Project::new()
        .file(".gitignore", "*.log\ngpu-harness-runs/\ncache/\n")
        .file("src/data.txt", "forty-two\n")
        .file("noise.log", "not for the node")
        .file("run.sh", "#!/bin/sh\ncat src/data.txt\nls\n")
        .env("HOME", sshd.client_home().display().to_string())
        .env("GPU_HARNESS_NODE", address);
    let script = project.path().join("run.sh");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    git(&project, &["init", "-q"]);
    git(&project, &["add", ".gitignore", "src"]);
    (sshd, project)
}

#[test]
fn output_and_exit_status_come_back_as_they_were() {
    let project = Project::new();
    let run = exec(&project, &["-q"], "echo out; echo err >&2; echo half | tr -d '\\n'; exit 7");
    assert_eq!(run.status.code(), Some(7), "{run:?}");
    assert_eq!(run.stdout, "out\nhalf");
    assert_eq!(run.stderr, "err\n");
    assert_eq!(exec(&project, &["-q"], "true").status.code(), Some(0));
    let killed = exec(&project, &["-q"], "kill -TERM $$");
    assert_eq!(killed.status.code(), Some(128 + 15), "{killed:?}");
    let late = exec(&project, &["-q", "--timeout", "1s"], "sleep 30");
    assert_eq!(late.status.code(), Some(124), "{late:?}");
    let gone = project.gpu_harness(&["exec", "--node", "ssh://127.0.0.1:1", "--", "true"]);
    assert_eq!(gone.status.code(), Some(125), "{gone:?}");
    assert!(gone.stderr.contains("127.0.0.1 port 1"), "{}", gone.stderr);
    let absent = project.gpu_harness(&["exec", "--", "no-such-program"]);
    assert_eq!(absent.status.code(), Some(127), "{absent:?}");
    assert!(absent.stderr.contains("no-such-program cannot be started"), "{}", absent.stderr);
}

#[test]
fn where_this_machine_lets_nothing_be_run_the_exit_status_is_none_of_the_commands() {
    let project = Project::new();
    for verb in [&["exec"][..], &["exec", "--sync"], &["cargo"], &["target-runner"]] {
        // Its own folder is gone.
        let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\" true";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(program("gpu-harness")).args(verb);
        if verb[0] == "exec" {
            command.arg("--");
        }
        let ended = command.current_dir(project.path()).output().unwrap();
        assert_eq!(ended.status.code(), Some(125), "{verb:?}: {ended:?}");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(told.contains("failed to find the working folder"), "{verb:?}: {told}");
    }
}

#[test]
fn the_working_tree_goes_along_and_only_what_changed_goes_again() {
    let (_sshd, project) = tree();
    let first = project.gpu_harness(&["exec", "--sync", "--", "./run.sh"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert!(first.stdout.contains("forty-two") && !first.stdout.contains("noise.log"), "{}", first.stdout);
    let sent = |run: &Finished| {
        run.events().iter().find_map(|record| match &record.event {
            Event::Upload(upload) => Some((upload.sent, upload.present)),
            _ => None,
        })
    };
    let first_sent = sent(&first).expect("an upload").0;
    std::fs::write(project.path().join("src/data.txt"), "changed\n").expect("ours");
    let second = project.gpu_harness(&["exec", "--sync", "--", "./run.sh"]);
    assert!(second.stdout.contains("changed"), "what is not committed counts: {}", second.stdout);
    let (again, present) = sent(&second).expect("an upload");
    assert!(first_sent >= 4 && again == 1 && present >= 3, "{first_sent}, then {again} beside {present}");
}

#[test]
fn a_file_of_elsewhere_goes_along_and_takes_the_place_of_the_tree_s_own() {
    let (_sshd, project) = tree();
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let file = elsewhere.path().join("a=b");
    std::fs::write(&file, "from elsewhere\n").expect("ours");
    let send = |path: &str| format!("{}={path}", file.display());
    let (beside, instead) = (send(".own/job.txt"), send("src/data.txt"));
    let run = exec(
        &project,
        &["-q", "--sync", "--send", &beside, "--send", &instead],
        "cat .own/job.txt src/data.txt",
    );
    assert_eq!(run.stdout, "from elsewhere\nfrom elsewhere\n", "{run:?}");
    let alone = exec(&project, &["-q", "--send", &beside], "ls -A; cat .own/job.txt");
    assert_eq!(alone.stdout, ".own\nfrom elsewhere\n", "{alone:?}");
    let out = exec(&project, &["--send", &send("../job.txt")], "true");
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(out.stderr.contains("write FILE=PATH"), "{}", out.stderr);
}

#[test]
fn named_files_come_back_to_their_place_and_nothing_else_does() {
    let (_sshd, project) = tree();
    let script =
        "mkdir -p out/deep; echo model > out/deep/model.pt; echo other > other.txt; echo new > src/data.txt";
    let run = exec(&project, &["--sync", "--bring", "out/", "--bring", "none.txt"], script);
    assert_eq!(run.status.code(), Some(125), "none.txt should have come back: {run:?}");
    let read = |name: &str| std::fs::read_to_string(project.path().join(name));
    assert_eq!(read("out/deep/model.pt").expect("brought"), "model\n");
    assert!(read("other.txt").is_err());
    assert_eq!(read("src/data.txt").expect("ours"), "forty-two\n", "what was not named stays as it is");
    assert!(run.stderr.contains("none.txt is to be brought back"), "{}", run.stderr);
}

#[test]
fn the_tests_of_its_junit_are_tests_of_the_run() {
    let report = r#"<testsuites><testsuite name="pytest"><testcase classname="t.gpu" name="learns" time="1.5"/><testcase classname="t.gpu" name="is fast"><failure message="3 &lt; 4 #x1B[31m">E  assert ]]&gt; &lt;/testsuite&gt;</failure></testcase><testcase name="fp8"><skipped message="no fp8 here"/></testcase></testsuite></testsuites>"#;
    let (_sshd, project) = tree();
    let project = project.file("report.in", report);
    let run = exec(
        &project,
        &["--sync", "--junit-from", "out/report.xml"],
        "mkdir out; cp report.in out/report.xml; exit 1",
    );
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let cases = xml::cases(&run.junit());
    for (name, kind) in [("learns", "passed"), ("is fast", "failure"), ("fp8", "skipped"), ("sh", "failure")]
    {
        assert_eq!(cases[name], kind, "{cases:?}");
    }
    let broken = exec(&project, &["--junit-from", "report.xml"], "echo '<html>' > report.xml");
    xml::check(&broken.junit());
    assert!(broken.junit().contains("is not taken in"), "{}", broken.junit());
}

#[test]
fn a_variable_goes_along_only_where_it_is_named() {
    let (_sshd, project) = tree();
    let project = project.env("WANTED", "from here").env("OTHER", "stays");
    let run = exec(
        &project,
        &["-q", "--env", "WANTED", "--env", "GIVEN=in words"],
        "echo \"$WANTED/$GIVEN/$OTHER\"",
    );
    assert_eq!(run.stdout, "from here/in words/\n", "{run:?}");
    let unset = exec(&project, &["--env", "SURELY_NOT_SET"], "true");
    assert_eq!(unset.status.code(), Some(2));
    assert!(unset.stderr.contains("it is not set here"), "{}", unset.stderr);
}

#[test]
fn output_comes_while_the_command_runs_and_an_interrupt_ends_it_there_too() {
    let (_sshd, project) = tree();
    let mark = project.path().join("ended-there");
    let script =
        format!("trap 'echo yes > {}; exit 0' TERM; echo begun; while :; do sleep 0.1; done", mark.display());
    let mut child = project
        .command(&["exec", "-q", "--", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    // It stays open: a reader that goes ends the command too, by another status.
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "begun\n");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    assert!(mark.exists(), "the command was asked to end");
}

#[test]
fn a_folder_that_is_no_working_tree_is_told_before_anything_runs() {
    let run = exec(&Project::new(), &["--sync"], "true");
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    assert!(run.stderr.contains("--sync sends a git working tree"), "{}", run.stderr);
}
