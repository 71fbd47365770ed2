//! Two runs at once in one process, each with a folder, an environment, listeners and a stop of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gpu_harness::here::{Console, Env, Here, Message};
use gpu_harness::log;
use gpu_harness::report::{Reporter, RunState};
use gpu_harness::run::{RunContext, RunOptions, run};
use gpu_harness::session::interrupt::Stop;
use gpu_harness_tests::project::{Project, program};
use gpu_suites::event::Record;
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const TOKEN: &str = "ghp_this-is-nobodys-business";

/// What a run has told.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Heard {
    fn event(&mut self, _: &Record, _: &RunState) {}

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        let outcomes =
            state.cases().iter().map(|case| format!("{} {}", case.id(), state.ending(case).outcome));
        self.note(format!("{} {exit:?} {}", run_dir.display(), Vec::from_iter(outcomes).join(", ")));
    }
}

/// A run in a project, what it tells, and what stops it.
fn context(project: &Project, cache: &Path) -> (RunContext, Heard, UnboundedSender<&'static str>) {
    let heard = Heard::default();
    let listener = heard.clone();
    let console = Console::to(move |said| match said {
        Message::Out(text) | Message::Note(text) => listener.note(text),
    });
    let agent = program("gpu-agent").display().to_string();
    let cache = cache.display().to_string();
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("THE_TOKEN", TOKEN),
        ("GPU_HARNESS_AGENT", &agent),
        ("GPU_HARNESS_CACHE", &cache),
    ];
    let env: Env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    log::begin(&env, true);
    let (sender, stop) = unbounded_channel();
    let here = Here::at(project.path(), env, console);
    (RunContext { here, stop: Stop::Inside(stop), reporter: Box::new(heard.clone()) }, heard, sender)
}

fn asked() -> RunOptions {
    RunOptions {
        out: "runs".into(),
        junit: Some("junit/copy.xml".into()),
        node: Some("local".into()),
        ..RunOptions::default()
    }
}

fn project(case: &str, script: &str) -> Project {
    Project::with_suite(&format!(
        "suite: s\ncases:\n  - name: {case}\n    command: {{ run: [sh, -c, '{script}'] }}\n"
    ))
}

/// What lies in a run's folder, read as text.
fn read(project: &Project, name: &str) -> String {
    let latest = project.path().join("runs/latest");
    std::fs::read_to_string(latest.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn two_runs_in_one_process_have_their_own_results_listeners_stops_and_logs() {
    let cache = tempfile::tempdir().unwrap();
    let cwd = std::env::current_dir().unwrap();
    let good = project("good", "echo $GPU_HARNESS_CACHE; sleep 1");
    let bad = project("bad", "sleep 1; exit 7");
    let endless = project("endless", "sleep 600");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (heard, exits) = runtime.block_on(async {
        let (of_good, good_heard, _one) = context(&good, cache.path());
        let (of_bad, bad_heard, _other) = context(&bad, cache.path());
        let (of_endless, endless_heard, stop) = context(&endless, cache.path());
        let stopping = async {
            // As soon as the case runs.
            while !endless.path().join("runs/latest/events.ndjson").is_file()
                || !read(&endless, "events.ndjson").contains("case-started")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stop.send("a test").unwrap();
        };
        let (good, bad, endless, ()) =
            tokio::join!(run(of_good, asked()), run(of_bad, asked()), run(of_endless, asked()), stopping);
        ([good_heard, bad_heard, endless_heard], [good.unwrap(), bad.unwrap(), endless.unwrap()])
    });
    assert_eq!(exits, [Exit::AllPassed, Exit::CheckFailed, Exit::Interrupted]);
    let wanted = [Outcome::Passed, Outcome::Failed, Outcome::Cancelled];
    for ((project, heard), (case, outcome)) in [&good, &bad, &endless]
        .into_iter()
        .zip(&heard)
        .zip(["good", "bad", "endless"].into_iter().zip(wanted))
    {
        let all = heard.all();
        let told = all.iter().find(|text| text.contains(&project.path().display().to_string())).unwrap();
        assert!(told.ends_with(&format!("s::{case} {outcome}")), "{told}");
        let others = ["good", "bad", "endless"].into_iter().filter(|other| *other != case);
        for other in others {
            assert!(!all.concat().contains(&format!("s::{other}")), "{all:?}");
            assert!(!read(project, "junit.xml").contains(&format!("name=\"{other}\"")));
        }
        assert_eq!(read(project, "junit.xml"), read(project, "../../junit/copy.xml"));
        // GitHub's commands go to whoever listens to this run, with paths of its own project.
        let commands = all.iter().filter(|text| text.starts_with("::"));
        assert_eq!(commands.count(), usize::from(outcome != Outcome::Passed), "{all:?}");
        assert!(outcome == Outcome::Passed || all.concat().contains("file=suites/s.yaml,"), "{all:?}");
        let log = read(project, log::FILE_NAME);
        let run = std::fs::read_link(project.path().join("runs/latest")).unwrap();
        let own = format!("run{{id={}}}", run.display());
        assert!(log.lines().any(|line| line.contains(&own)), "{log}");
        let is_anothers = |line: &&str| line.contains("run{id=") && !line.contains(&own);
        assert_eq!(log.lines().find(is_anothers), None, "{log}");
    }
    assert_eq!(std::env::current_dir().unwrap(), cwd);
}

#[test]
fn no_secret_of_the_environment_and_no_key_of_the_run_reaches_the_log() {
    let secrets = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEXAMPLE"),
        ("GPU_HARNESS_BITBUCKET_TOKEN", TOKEN),
    ];
    // A case whose address is the token: what an error says of it is logged, and the token is not.
    let lab = format!("nodes:\n  lab: {{ provider: ssh, address: \"ssh://{TOKEN}.invalid\" }}\n");
    let mut project = project("c", "true").file("gpu-harness.yaml", lab).env("RUST_LOG", "trace");
    for (name, value) in secrets {
        project = project.env(name, value);
    }
    let local = project.run(&["-v", "--node", "local"]);
    assert_eq!(local.code(), 0, "{local:?}");
    let of_local = std::fs::read_to_string(local.folder().join(log::FILE_NAME)).unwrap();
    assert!(of_local.contains("begun"), "{of_local}");
    // The run's key lies in the memory of harness and supervisor; whatever hex of its length is logged would be it.
    let hex = of_local.split(|char: char| !char.is_ascii_hexdigit()).find(|word| word.len() >= 64);
    assert_eq!(hex, None, "{of_local}");
    let lost = project.run(&["-v", "--node", "lab"]);
    assert_eq!(lost.code(), 3, "{lost:?}");
    let of_lost = std::fs::read_to_string(lost.folder().join(log::FILE_NAME)).unwrap();
    assert!(of_lost.contains("[redacted].invalid"), "{of_lost}");
    for (name, secret) in secrets {
        assert!(!of_local.contains(secret) && !of_lost.contains(secret), "{name}: {of_local}{of_lost}");
    }
}
