//! Tests of any Rust crate run on a node, unchanged, by cargo and by nextest: with their files, their exit status, their signals.

use std::path::Path;
use std::process::Command;

use gpu_harness_tests::big_binary;
use gpu_harness_tests::process::lives;
use gpu_harness_tests::project::program;
use gpu_harness_tests::theirs::{COUNT, Crate, said};

#[test]
fn cargo_test_runs_on_a_node_and_ends_as_the_tests_did() {
    let theirs = Crate::new();
    let passed = theirs.cargo(
        &[("WANTED", "from here"), ("EXPECTED", "from here")],
        &["test", "--test", "remote", "--", "--nocapture"],
    );
    let told = said(&passed);
    assert!(passed.status.success(), "{told}");
    assert!(told.contains("test result: ok. 6 passed") && told.contains("of theirs"), "{told}");
    let failed = theirs.cargo(&[("FAIL", "1")], &["test", "--test", "remote"]);
    let told = said(&failed);
    assert_eq!(failed.status.code(), Some(101), "{told}");
    assert!(told.contains("told to fail") && told.contains("5 passed; 1 failed"), "{told}");
    let crashed = theirs.cargo(&[("CRASH", "1")], &["test", "--test", "remote"]);
    let told = said(&crashed);
    assert!(told.contains("SIGABRT"), "cargo tells a crash from a failure: {told}");
}

#[test]
fn cargo_finds_it_as_a_subcommand_under_the_name_of_a_link() {
    let theirs = Crate::new();
    let bin = theirs.path().join("target/bin");
    std::fs::create_dir_all(&bin).expect("writable");
    std::os::unix::fs::symlink(program("gpu-harness"), bin.join("cargo-gpu-remote")).expect("writable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let address = theirs.sshd.address();
    let like_ours = theirs.command(&[]);
    let mut command = Command::new("cargo");
    command.args(["gpu-remote", "--node", &address, "test", "--test", "remote"]).current_dir(theirs.path());
    command.env_clear().envs(like_ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = command.env("PATH", path).output().expect("cargo starts");
    assert!(run.status.success() && said(&run).contains("6 passed"), "{}", said(&run));
}

#[test]
fn a_listing_needs_no_node_and_running_without_one_says_what_to_do() {
    let theirs = Crate::new();
    let built = theirs.cargo(&[], &["test", "--no-run"]);
    assert!(built.status.success(), "{}", said(&built));
    let binary = theirs.binary().display().to_string();
    let listed = theirs
        .command(&["target-runner", &binary, "--list", "--format", "terse"])
        .output()
        .expect("it starts");
    assert!(listed.status.success(), "{}", said(&listed));
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.ends_with(": test")).count(),
        COUNT
    );
    let alone = theirs.command(&["target-runner", &binary]).output().expect("it starts");
    assert_eq!(alone.status.code(), Some(2));
    assert!(said(&alone).contains("gpu-harness cargo test"), "{}", said(&alone));
}

#[test]
fn nextest_runs_each_test_on_the_one_node_and_tells_crashes_and_time_outs_apart() {
    let theirs = Crate::new();
    // Outside of the crate: what lies below it is named as it is on the node.
    let marks = tempfile::tempdir().expect("a temporary folder");
    let hung = marks.path().join("hung");
    let mark = hung.display().to_string();
    let left = marks.path().join("left");
    let child = left.display().to_string();
    let run = theirs
        .cargo(&[("CRASH", "1"), ("HANG", &mark), ("LEAVE", &child)], &["nextest", "run", "--no-fail-fast"]);
    let told = said(&run);
    assert_eq!(run.status.code(), Some(100), "{told}");
    assert!(told.contains("6 tests run: 4 passed") && told.contains("1 timed out"), "{told}");
    assert!(told.contains("SIGABRT"), "{told}");
    // What timed out was ended on the node too, and nothing of it is left there.
    let pid: i32 = std::fs::read_to_string(&hung).expect("it ran").parse().expect("a number");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the test still runs on the node");
    // A child that a test leaves there is ended with it, and holds nobody up.
    assert!(!told.contains("LEAK") && !told.contains("leaky"), "{told}");
    assert!(!lives(&std::fs::read_to_string(&left).expect("it ran")), "the child of a test still runs");
    // One node, one connection: nextest's processes share it.
    let runs = std::fs::read_dir(theirs.path().join("gpu-harness-runs")).expect("a run").flatten();
    assert_eq!(
        runs.filter(|entry| entry.path().join("events.ndjson").is_file() && entry.file_name() != "latest")
            .count(),
        1
    );
}

/// A slice of `cargo xtask soak binary`.
#[test]
fn a_large_test_binary_is_sent_once_for_all_its_tests_and_not_again() {
    big_binary::check(48, 1);
}
