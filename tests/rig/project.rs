//! A user's project in a temporary folder, and gpu-harness run in it as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use gpu_suites::event::{Event, Record};
use gpu_suites::outcome::Outcome;
use tempfile::TempDir;

/// A folder with suites, and a cache folder of its own: the local node's store and runs.
pub struct Project {
    folder: TempDir,
    env: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The run's folder, where one was made.
    pub run_dir: Option<PathBuf>,
}

/// A program of this workspace, built by `cargo xtask test`.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built; run the tests by `cargo xtask test`"))
}

impl Project {
    /// An empty project.
    #[expect(clippy::new_without_default, reason = "a new project is a new folder on disk")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("suites")).expect("the folder is writable");
        fs::write(folder.path().join("gpu-harness.yaml"), "{}\n").expect("the folder is writable");
        Self { folder, env: Vec::new() }
    }

    /// A project with one suite, `suites/s.yaml`.
    pub fn with_suite(yaml: &str) -> Self {
        Self::new().file("suites/s.yaml", yaml)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is writable");
        fs::write(path, content).expect("the folder is writable");
        self
    }

    /// Sets a variable for every gpu-harness of this project.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What its gpu-harness is started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let cache = ("GPU_HARNESS_CACHE".to_owned(), self.cache().display().to_string());
        [cache].into_iter().chain(self.env.iter().cloned()).collect()
    }

    /// The local node's folder.
    pub fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// `gpu-harness ARGUMENTS` in the project's folder, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("gpu-harness"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env("GPU_HARNESS_CACHE", self.cache()).env("NO_COLOR", "1");
        // These tests may run in a step of CI themselves.
        for name in [
            "GPU_HARNESS_NODE",
            "GITHUB_ACTIONS",
            "GITHUB_RUN_ID",
            "BITBUCKET_BUILD_NUMBER",
            "CI_PROJECT_PATH",
        ] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs gpu-harness to its end.
    pub fn gpu_harness(&self, arguments: &[&str]) -> Finished {
        let output = self.command(arguments).output().expect("gpu-harness starts");
        self.finished(output.status, &output.stdout, &output.stderr)
    }

    /// `gpu-harness run ARGUMENTS`.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.gpu_harness(&[&["run"], arguments].concat())
    }

    /// Starts `gpu-harness run ARGUMENTS` and lets it go on; what it prints is kept for [`Project::collect`].
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&[&["run"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gpu-harness starts")
    }

    /// Waits for a started run.
    pub fn collect(&self, child: Child) -> Finished {
        let output = child.wait_with_output().expect("the output of gpu-harness");
        self.finished(output.status, &output.stdout, &output.stderr)
    }

    fn finished(&self, status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Finished {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Finished { status, stdout: text(stdout), stderr: text(stderr), run_dir: self.latest() }
    }

    pub fn latest(&self) -> Option<PathBuf> {
        fs::canonicalize(self.path().join("gpu-harness-runs/latest")).ok()
    }

    /// Waits until the newest run has an event that `wanted` accepts, for as long as what makes it goes on.
    /// Where that ends without the event, the test fails and those that there were are told.
    pub fn await_event(&self, running: &mut Child, wanted: impl Fn(&Event) -> bool) {
        await_event(running, || self.latest(), wanted);
    }
}

/// Waits until the run in that folder has an event that `wanted` accepts, for as long as what makes it goes on. How long that may
/// be on a slow machine, whoever runs the tests says.
/// Where that ends without the event, the test fails and those that there were are told.
pub fn await_event(
    running: &mut Child,
    folder: impl Fn() -> Option<PathBuf>,
    wanted: impl Fn(&Event) -> bool,
) {
    loop {
        // Asked before its last events are read.
        let ended = running.try_wait().expect("a child of this process");
        let events = folder().map(|folder| events_in(&folder)).unwrap_or_default();
        if events.iter().any(|record| wanted(&record.event)) {
            return;
        }
        if let Some(status) = ended {
            let events = Vec::from_iter(events.iter().map(Record::to_line));
            panic!("it has ended ({status}) without the event that was waited for:\n{}", events.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Finished {
    /// The exit code.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("gpu-harness was ended by a signal: {self:?}"))
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.run_dir.as_deref().unwrap_or_else(|| panic!("no run's folder was made: {self:?}"))
    }

    pub fn events(&self) -> Vec<Record> {
        events_in(self.folder())
    }

    /// The last outcome of `case`, with its reason.
    pub fn outcome(&self, case: &str) -> (Outcome, String) {
        let events = self.events();
        let last = events.iter().rev().find_map(|record| match &record.event {
            Event::CaseFinished(event) if event.case.case() == case => {
                Some((event.outcome, event.reason.clone().unwrap_or_default()))
            }
            _ => None,
        });
        last.unwrap_or_else(|| panic!("{case} has no outcome: {self:?}"))
    }

    /// All that a case wrote to its standard output and standard error.
    pub fn log(&self, case: &str) -> String {
        let events = self.events();
        let texts = events.iter().filter_map(|record| match &record.event {
            Event::Log(event) if event.case.case() == case => Some(event.text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The JUnit report.
    pub fn junit(&self) -> String {
        fs::read_to_string(self.folder().join("junit.xml")).expect("a JUnit report")
    }
}

/// The records in a run's folder; half a line at the end is no record yet.
pub fn events_in(folder: &Path) -> Vec<Record> {
    let text = fs::read(folder.join("events.ndjson")).unwrap_or_default();
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&text[..whole]).expect("events are UTF-8");
    text.lines().map(|line| Record::parse(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that writes its events down, as a shell: `script`, after a first one.
    fn run_of(project: &Project, script: &str) -> Child {
        let first = r#"{"seq":0,"at":"2024-01-01T00:00:00Z","kind":"interrupted","by":"SIGINT"}"#;
        let begin = format!(
            "mkdir -p gpu-harness-runs/latest; cd gpu-harness-runs/latest; echo '{first}' > events.ndjson; "
        );
        let mut command = Command::new("sh");
        command.args(["-c", &(begin + script)]).current_dir(project.path()).stdin(Stdio::null());
        command.spawn().expect("a shell")
    }

    fn is_by_sigterm(event: &Event) -> bool {
        matches!(event, Event::Interrupted(event) if event.by == "SIGTERM")
    }

    #[test]
    fn an_event_is_waited_for_and_found_also_where_it_was_the_last() {
        let project = Project::new();
        let last = "sleep 0.2; sed s/SIGINT/SIGTERM/ events.ndjson >> events.ndjson";
        project.await_event(&mut run_of(&project, last), is_by_sigterm);
    }

    #[test]
    fn a_run_that_ends_without_the_event_is_told_with_those_that_it_had() {
        let project = Project::new();
        let mut run = run_of(&project, "exit 7");
        let waiting = std::panic::AssertUnwindSafe(|| project.await_event(&mut run, is_by_sigterm));
        let told = *std::panic::catch_unwind(waiting).unwrap_err().downcast::<String>().expect("words");
        assert!(told.contains("exit status: 7") && told.contains("SIGINT"), "{told}");
    }
}
