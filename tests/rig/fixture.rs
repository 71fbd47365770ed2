//! A user's crate (fixtures/cargo) whose tests are a project's suites, run by the real cargo and the real nextest.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process::{Process, processes};
use crate::project::{Project, events_in, program};

const SETTINGS: &str = "[profile.gpu]\nfail-fast = false\n[profile.gpu.junit]\npath = \"junit.xml\"\n\
                        [test-groups]\ngpu-node = { max-threads = 2 }\n\
                        [[profile.gpu.overrides]]\nfilter = 'binary(gpu)'\ntest-group = 'gpu-node'\n";

/// The crate's tests. `-p gpu-fixture` would choose other features for all that it needs, and build that anew.
const TARGET: [&str; 5] = ["--offline", "--workspace", "--all-features", "--test", "gpu"];

/// The crate, with the suites of a project.
pub struct Fixture<'a> {
    pub project: &'a Project,
}

impl Fixture<'_> {
    /// `cargo nextest run ARGUMENTS`, not started yet; its JUnit is [`Fixture::junit`].
    ///
    /// The crate is built first: whoever waits for what its tests do waits neither for a compiler nor for another cargo's lock.
    pub fn nextest(&self, arguments: &[&str]) -> Command {
        let settings = self.project.path().join("nextest.toml");
        let store = format!("[store]\ndir = \"{}\"\n", self.project.path().join("nextest").display());
        fs::write(&settings, store + SETTINGS).expect("the project is writable");
        // Not by nextest, which would list the tests too.
        let mut build = self.as_users(Command::new("cargo"));
        build.arg("test").args(TARGET).arg("--no-run");
        let built = ended(build);
        assert!(built.status.success(), "{}", said(&built));
        let mut command = self.as_users(Command::new("cargo-nextest"));
        command.args(["nextest", "run"]).args(TARGET).args(["--profile", "gpu"]);
        command.arg("--config-file").arg(settings);
        command.args(arguments);
        command
    }

    /// The JUnit report of the latest nextest.
    pub fn junit(&self) -> String {
        fs::read_to_string(self.project.path().join("nextest/gpu/junit.xml")).expect("a JUnit report")
    }

    /// `cargo test -- ARGUMENTS`, not started yet.
    pub fn cargo_test(&self, arguments: &[&str]) -> Command {
        let mut command = self.as_users(Command::new("cargo"));
        command.arg("test").args(TARGET).arg("--").args(arguments);
        command
    }

    /// `gpu-harness run --node NODE -- cargo nextest run ARGUMENTS` in the project's folder, not started yet.
    pub fn nextest_with_a_node(&self, node: &str, arguments: &[&str]) -> Command {
        let inner = self.nextest(arguments);
        let mut command = self.project.command(&["run", "--node", node, "--"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.arg("--manifest-path").arg(workspace().join("Cargo.toml"));
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.process_group(0);
        command
    }

    /// The test program itself, not started yet.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut build = self.as_users(Command::new("cargo"));
        build.arg("test").args(TARGET).arg("--no-run");
        build.args(["--message-format", "json"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let said = ended(build).stdout;
        let said = String::from_utf8(said).expect("UTF-8");
        let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut paths = messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
        let path = paths.next_back();
        let mut command = self.as_users(Command::new(path.expect("an executable")));
        command.args(arguments);
        command
    }

    /// A command as a user's shell starts it: nothing of the test run around it shows.
    fn as_users(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            let is_runners =
                ["NEXTEST", "CARGO_PKG_", "CARGO_BIN_EXE_", "CARGO_MANIFEST", "CARGO_CRATE_", "OUT_DIR"]
                    .iter()
                    .any(|start| name.to_string_lossy().starts_with(start));
            if is_runners {
                command.env_remove(name);
            }
        }
        // These tests may run in a step of CI themselves.
        command.env_remove("GITHUB_ACTIONS").env_remove("BITBUCKET_BUILD_NUMBER");
        command.envs(self.project.environment()).env("FIXTURE_PROJECT", self.project.path());
        command.env("GPU_HARNESS_BIN", program("gpu-harness")).env("NO_COLOR", "1");
        command.env_remove("GPU_HARNESS_NODE").env_remove("XDG_RUNTIME_DIR");
        command.current_dir(workspace()).stdin(Stdio::null());
        // Signals that a test sends to this group reach no other.
        command.process_group(0);
        command
    }

    pub fn runs(&self) -> Vec<PathBuf> {
        let found =
            fs::read_dir(self.project.path().join("gpu-harness-runs")).into_iter().flatten().flatten();
        let mut runs = Vec::from_iter(
            found.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
        runs.sort();
        runs
    }

    /// The folder of the one run, once its holder has ended it.
    pub fn the_run(&self) -> PathBuf {
        let runs = self.runs();
        let [run] = &runs[..] else { panic!("not one run: {runs:?}") };
        crate::process::within(crate::process::HANG, "the holder has ended its run", || {
            // The reports are written after the last event: they are whole once the process is gone.
            events_in(run).iter().any(|record| matches!(record.event, gpu_suites::event::Event::RunClosed(_)))
                && self.holders().is_empty()
        });
        run.clone()
    }

    /// The ids of the holders that serve this project.
    pub fn holders(&self) -> Vec<String> {
        let folder = self.project.path().display().to_string();
        let is_ours = |process: &Process| {
            let is_told = |words: &[String]| words[0] == "--project" && words[1] == folder;
            process.words.iter().any(|word| word == "hold") && process.words.windows(2).any(is_told)
        };
        processes().filter(is_ours).map(|process| process.pid.to_string()).collect()
    }
}

/// What became of it.
pub fn ended(mut command: Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// All that it said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package lies in its workspace")
}
