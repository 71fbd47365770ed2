//! Tests of any Rust crate run on a node, unchanged, by cargo and by nextest: with their files, their exit status, their signals.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gpu_harness_tests::project::program;
use gpu_harness_tests::sshd::Sshd;
use tempfile::TempDir;

const TESTS: &str = r#"
use std::{env, fs};

#[test]
fn it_finds_its_files_and_runs_elsewhere() {
    assert_eq!(fs::read_to_string("tests/data.txt").unwrap(), "beside the manifest\n");
    let here = env::current_exe().unwrap();
    assert!(here.to_string_lossy().contains("/.gpu-harness/bin/"), "{}", here.display());
    assert_eq!(env::var("CARGO_MANIFEST_DIR").unwrap(), env::current_dir().unwrap().to_string_lossy());
    println!("pid {} of {}", std::process::id(), env::var("CARGO_PKG_NAME").unwrap());
}

#[test]
fn a_variable_goes_along_where_it_is_named() {
    assert_eq!(env::var("WANTED").ok(), env::var("EXPECTED").ok());
    assert!(env::var("UNNAMED").is_err());
}

#[test]
fn it_fails_where_it_is_told_to() {
    assert!(env::var("FAIL").is_err(), "told to fail");
}

#[test]
fn it_crashes_where_it_is_told_to() {
    if env::var("CRASH").is_ok() {
        std::process::abort();
    }
}

#[test]
fn it_hangs_where_it_is_told_to() {
    if let Ok(mark) = env::var("HANG") {
        fs::write(mark, std::process::id().to_string()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
}
"#;

/// A user's crate in a git working tree of its own, and a node.
struct Crate {
    folder: TempDir,
    sshd: Sshd,
}

impl Crate {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
            std::fs::write(path, text).expect("writable");
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"theirs\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
        );
        write("src/lib.rs", "//! A user's crate.\n");
        write("tests/remote.rs", TESTS);
        write("tests/data.txt", "beside the manifest\n");
        write(".gitignore", "target/\ngpu-harness-runs/\n");
        write(
            ".config/nextest.toml",
            "[profile.default]\nslow-timeout = { period = \"6s\", terminate-after = 1, grace-period = \"8s\" }\n",
        );
        let git = Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status();
        assert!(git.expect("git runs").success());
        Self { folder, sshd: Sshd::start() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `gpu-harness ARGUMENTS` there, without what cargo and nextest have told this test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("gpu-harness"));
        command.args(arguments).current_dir(self.path()).env_clear();
        let kept = ["PATH", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"];
        command.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // The toolchain is found by the real home; the node is reached by the client's.
        let home = std::env::var("HOME").unwrap_or_default();
        for (name, folder) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
            if std::env::var_os(name).is_none() {
                command.env(name, Path::new(&home).join(folder));
            }
        }
        command.env("HOME", self.sshd.client_home()).env("CARGO_NET_OFFLINE", "true");
        command.env("GPU_HARNESS_CACHE", self.path().join("target/cache"));
        command
    }

    fn cargo(&self, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        let address = self.sshd.address();
        let names = more.iter().flat_map(|(name, _)| ["--env", *name]);
        let flags: Vec<&str> =
            ["cargo", "--node", &address].into_iter().chain(names).chain(arguments.iter().copied()).collect();
        let mut command = self.command(&flags);
        command.env("UNNAMED", "stays here").envs(more.iter().copied());
        command.output().expect("gpu-harness starts")
    }

    fn binary(&self) -> PathBuf {
        let deps = self.path().join("target/debug/deps");
        let entries = std::fs::read_dir(deps).expect("built").flatten().map(|entry| entry.path());
        let is_binary = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("remote-") && path.extension().is_none()
        };
        entries.into_iter().find(is_binary).expect("the test binary")
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn cargo_test_runs_on_a_node_and_ends_as_the_tests_did() {
    let theirs = Crate::new();
    let passed = theirs.cargo(
        &[("WANTED", "from here"), ("EXPECTED", "from here")],
        &["test", "--test", "remote", "--", "--nocapture"],
    );
    let said = text(&passed);
    assert!(passed.status.success(), "{said}");
    assert!(said.contains("test result: ok. 5 passed") && said.contains("of theirs"), "{said}");
    let failed = theirs.cargo(&[("FAIL", "1")], &["test", "--test", "remote"]);
    let said = text(&failed);
    assert_eq!(failed.status.code(), Some(101), "{said}");
    assert!(said.contains("told to fail") && said.contains("4 passed; 1 failed"), "{said}");
    let crashed = theirs.cargo(&[("CRASH", "1")], &["test", "--test", "remote"]);
    let said = text(&crashed);
    assert!(said.contains("SIGABRT"), "cargo tells a crash from a failure: {said}");
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
    assert!(run.status.success() && text(&run).contains("5 passed"), "{}", text(&run));
}

#[test]
fn a_listing_needs_no_node_and_running_without_one_says_what_to_do() {
    let theirs = Crate::new();
    let built = theirs.cargo(&[], &["test", "--no-run"]);
    assert!(built.status.success(), "{}", text(&built));
    let binary = theirs.binary().display().to_string();
    let listed = theirs
        .command(&["target-runner", &binary, "--list", "--format", "terse"])
        .output()
        .expect("it starts");
    assert!(listed.status.success(), "{}", text(&listed));
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.ends_with(": test")).count(),
        5
    );
    let alone = theirs.command(&["target-runner", &binary]).output().expect("it starts");
    assert_eq!(alone.status.code(), Some(2));
    assert!(text(&alone).contains("gpu-harness cargo test"), "{}", text(&alone));
}

#[test]
fn nextest_runs_each_test_on_the_one_node_and_tells_crashes_and_time_outs_apart() {
    let theirs = Crate::new();
    let hung = theirs.path().join("target/hung");
    let mark = hung.display().to_string();
    let run = theirs.cargo(&[("CRASH", "1"), ("HANG", &mark)], &["nextest", "run", "--no-fail-fast"]);
    let said = text(&run);
    assert_eq!(run.status.code(), Some(100), "{said}");
    assert!(said.contains("5 tests run: 3 passed") && said.contains("1 timed out"), "{said}");
    assert!(said.contains("SIGABRT"), "{said}");
    // What timed out was ended on the node too, and nothing of it is left there.
    let pid: i32 = std::fs::read_to_string(&hung).expect("it ran").parse().expect("a number");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the test still runs on the node");
    // One node, one connection: nextest's processes share it.
    let runs = std::fs::read_dir(theirs.path().join("gpu-harness-runs")).expect("a run").flatten();
    assert_eq!(runs.filter(|entry| entry.file_name() != "latest").count(), 1);
}
