//! A user's crate with tests that know nothing of gpu-harness, and a node to run them on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::project::program;
use crate::sshd::Sshd;

/// How many tests there are.
pub const COUNT: usize = 6;

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
fn it_abandons_a_child_where_it_is_told_to() {
    if let Ok(mark) = env::var("LEAVE") {
        let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(mark, child.id().to_string()).unwrap();
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
pub struct Crate {
    folder: TempDir,
    pub sshd: Sshd,
}

impl Crate {
    /// A crate that is not built yet.
    #[expect(clippy::new_without_default, reason = "a new crate is a new folder on disk, and a server")]
    pub fn new() -> Self {
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
            "[profile.default]\nslow-timeout = { period = \"6s\", terminate-after = 1, grace-period = \"8s\" }\n\
             [profile.patient]\nslow-timeout = \"10m\"\n",
        );
        let git = Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status();
        assert!(git.expect("git runs").success());
        Self { folder, sshd: Sshd::start() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `gpu-harness ARGUMENTS` there, without what cargo and nextest have told this test.
    pub fn command(&self, arguments: &[&str]) -> Command {
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

    /// What became of `gpu-harness cargo ARGUMENTS` on the node, with `more` in its environment and sent along.
    pub fn cargo(&self, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        self.cargo_at(&self.sshd.address(), more, arguments)
    }

    /// The same, with the node at another address, such as a proxy's.
    pub fn cargo_at(&self, address: &str, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        let names = more.iter().flat_map(|(name, _)| ["--env", *name]);
        let flags: Vec<&str> =
            ["cargo", "--node", address].into_iter().chain(names).chain(arguments.iter().copied()).collect();
        let mut command = self.command(&flags);
        command.env("UNNAMED", "stays here").envs(more.iter().copied());
        command.output().expect("gpu-harness starts")
    }

    /// The test binary, where it is built.
    pub fn binary(&self) -> PathBuf {
        let deps = self.path().join("target/debug/deps");
        let entries = std::fs::read_dir(deps).expect("built").flatten().map(|entry| entry.path());
        let is_binary = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("remote-") && path.extension().is_none()
        };
        entries.into_iter().find(is_binary).expect("the test binary")
    }
}

/// All that it said.
pub fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
