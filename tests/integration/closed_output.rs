//! Output that nobody reads, that is closed or that does not fit is no reason to panic; and what could not be said is no success.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use gpu_harness_tests::project::{Project, program};

/// gpu-harness in a project, its standard output redirected by a shell.
fn redirected(project: &Project, line: &str) -> Output {
    let own = program("gpu-harness").display().to_string();
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &line.replace("gpu-harness", &own)]).current_dir(project.path());
    shell
        .env("GPU_HARNESS_CACHE", project.cache())
        .env_remove("GPU_HARNESS_NODE")
        .env_remove("GITHUB_ACTIONS");
    shell.stdin(Stdio::null()).output().expect("bash starts")
}

fn project() -> Project {
    let cases = (0..2000).map(|n| format!("  - {{ name: c{n}, command: {{ run: [\"true\"] }} }}\n"));
    Project::new()
        .file("suites/many.yaml", format!("suite: many\ncases:\n{}", cases.collect::<String>()))
        .file("one.yaml", "suite: one\ncases:\n  - { name: c, command: { run: [echo, x] } }\n")
}

#[test]
fn a_reader_that_goes_or_was_never_there_is_no_trouble() {
    let project = project();
    for (line, code) in [
        ("gpu-harness list | head -n 1 > /dev/null", 0),
        ("gpu-harness schema | head -c 1 > /dev/null", 0),
        ("gpu-harness --help | head -c 1 > /dev/null", 0),
        ("gpu-harness completions bash | head -c 1 > /dev/null", 0),
        ("gpu-harness list >&-", 0),
        ("gpu-harness list --no-such-flag 2>&-", 2),
        ("gpu-harness run one.yaml --node local >&-", 0),
        ("gpu-harness run one.yaml --node local 2>&- >/dev/null", 0),
        ("gpu-harness run one.yaml --node local | true", 0),
        ("gpu-harness run no-such.yaml 2>/dev/full", 2),
    ] {
        let done = redirected(&project, line);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn what_does_not_fit_is_no_success() {
    let project = project();
    for arguments in [
        &["list"][..],
        &["schema"],
        &["--help"],
        &["--version"],
        &["completions", "bash"],
        &["run", "one.yaml", "--node", "local"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let done = project.command(arguments).stdout(full).output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("standard output: No space left"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_folder_that_is_no_more_is_an_error_and_no_panic() {
    let project = project();
    for (arguments, code) in [("list", 3), ("run --node local", 3), ("exec -- true", 125)] {
        let line = format!("mkdir gone; cd gone; rmdir ../gone; gpu-harness {arguments}");
        let done = redirected(&project, &line);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.starts_with("error: failed to find the working folder: "), "{arguments}: {said}");
    }
}
