//! A node in a temporary folder, and a conversation with its agent.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use gpu_suites::event::{CaseFinished, Event, Record};
use gpu_suites::id::RunId;
use gpu_suites::plan::{PROTOCOL, Plan};
use gpu_suites::seal::Key;
use gpu_suites::wire::{Reply, Request};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use crate::process::kill;
use crate::process::{self, within};

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_gpu-agent");
/// Nothing here takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), environment: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With a driver's library whose GPU is as [`Self::stand_in_nvml`] says; at first it is well.
    pub(crate) fn with_nvml(self) -> Self {
        let library = self.path().join("libnvidia-ml.so.1");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/nvml/nvml.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(made.expect("Rust needs a C compiler to link").success());
        let (path, said) =
            (self.path().display().to_string(), self.path().join("nvml").display().to_string());
        let node = self.with("LD_LIBRARY_PATH", &path).with("NVML_STAND_IN", &said);
        node.stand_in_nvml("");
        node
    }

    /// What the GPU is like, in the lines of fixtures/nvml.
    pub(crate) fn stand_in_nvml(&self, lines: &str) {
        std::fs::write(self.path().join("nvml"), lines).unwrap();
        std::fs::write(self.path().join("nvml.looks"), "").unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    pub(crate) fn run_dir(&self, run: &str) -> PathBuf {
        self.cache().join("runs").join(run)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.configure(Command::new(AGENT), arguments)
    }

    fn configure(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env("GPU_HARNESS_CACHE", self.cache()).process_group(0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    pub(crate) fn talk(&self) -> Talk {
        self.talk_through(Command::new(AGENT), &["serve"])
    }

    /// A conversation with an agent that another program starts.
    pub(crate) fn talk_through(&self, program: Command, arguments: &[&str]) -> Talk {
        let mut child = self.configure(program, arguments).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut talk = Talk { child, input, output };
        talk.say(&Request::Open { protocol: PROTOCOL, harness: "test".into() });
        assert!(matches!(talk.reply(), Reply::Hello { protocol: PROTOCOL, .. }));
        talk
    }

    pub(crate) fn run(&self, plan: Plan) -> Vec<Record> {
        let mut talk = self.talk();
        talk.start(plan);
        talk.finish()
    }

    pub(crate) fn supervisor(&self, run: &str) -> i32 {
        let dir = self.run_dir(run).display().to_string();
        *processes(&dir).first().expect("the supervisor runs")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let runs = self.cache().join("runs").display().to_string();
        for pid in processes(&runs) {
            kill(pid);
        }
    }
}

pub(crate) fn kill_group(leader: u32) {
    assert!(leader > 1);
    let _ = kill_process_group(Pid::from_raw(leader.cast_signed()).unwrap(), Signal::KILL);
}

pub(crate) fn processes(text: &str) -> Vec<i32> {
    process::processes().filter(|process| process.says(text)).map(|process| process.pid).collect()
}

pub(crate) fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds);
}

pub(crate) struct Talk {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: BufReader<ChildStdout>,
}

impl Talk {
    pub(crate) fn say(&mut self, request: &Request) {
        self.say_raw(&serde_json::to_string(request).unwrap());
    }

    pub(crate) fn say_raw(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn start(&mut self, plan: Plan) {
        self.say(&Request::Start { plan: Box::new(plan), key: Key::default() });
        assert_eq!(self.reply(), Reply::Started);
    }

    pub(crate) fn attach(&mut self, run: &str, from: u64) {
        self.say(&Request::Attach { run: RunId::from(run), from, key: Key::default() });
        assert_eq!(self.reply(), Reply::Started);
    }

    /// The next line; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        if self.output.buffer().is_empty() {
            let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
            let mut output =
                [rustix::event::PollFd::new(self.output.get_ref(), rustix::event::PollFlags::IN)];
            assert_ne!(rustix::event::poll(&mut output, Some(&limit)).unwrap(), 0, "the agent says nothing");
        }
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn reply(&mut self) -> Reply {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is no reply: {error}"))
    }

    pub(crate) fn record(&mut self) -> Record {
        let line = self.line();
        Record::parse(line.trim_end()).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The next record that `wanted` accepts.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Record {
        loop {
            let record = self.record();
            if wanted(&record.event) {
                return record;
            }
        }
    }

    /// Every record up to the last one, numbered without a gap from the first one's number.
    pub(crate) fn finish(&mut self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let record = self.record();
            if let Some(last) = records.last() {
                assert_eq!(record.seq, last.seq + 1);
            }
            let last = matches!(record.event, Event::RunFinished(_));
            records.push(record);
            if last {
                return records;
            }
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plan with one case for each element: the words of its command, or a whole case.
pub(crate) fn plan(run: &str, cases: &[Value]) -> Plan {
    let cases = cases.iter().enumerate().map(|(at, case)| {
        let name = format!("c{at}");
        let mut spec = match case {
            Value::Array(_) => json!({ "command": { "run": case } }),
            whole => whole.clone(),
        };
        spec["name"] = name.clone().into();
        json!({ "id": format!("s::{name}"), "spec": spec, "inputs": {} })
    });
    serde_json::from_value(json!({
        "protocol": PROTOCOL,
        "run": run,
        "cases": cases.collect::<Vec<_>>(),
        "lease": { "ttl": "60s", "on_expiry": "exit" },
        "fail_fast": false,
        "retries": 0,
        "timeout": null,
        "worker": null,
        "libtorch": null,
    }))
    .unwrap()
}

/// A case that runs a line of shell.
pub(crate) fn sh(line: &str) -> Value {
    json!(["sh", "-c", line])
}

/// How the cases ended, in order: `outcome` or `outcome: reason`.
pub(crate) fn ends(records: &[Record]) -> Vec<String> {
    let ends = finished(records).into_iter().map(|end| match &end.reason {
        Some(reason) => format!("{}: {reason}", end.outcome),
        None => end.outcome.to_string(),
    });
    ends.collect()
}

pub(crate) fn finished(records: &[Record]) -> Vec<&CaseFinished> {
    let ends = records.iter().filter_map(|record| match &record.event {
        Event::CaseFinished(end) => Some(end),
        _ => None,
    });
    ends.collect()
}

/// The text of the log of a case, all streams.
pub(crate) fn log(records: &[Record], case: &str) -> String {
    let texts = records.iter().filter_map(|record| match &record.event {
        Event::Log(log) if log.case.as_str() == case => Some(log.text.as_str()),
        _ => None,
    });
    texts.collect()
}

pub(crate) fn warnings(records: &[Record]) -> Vec<&str> {
    let warnings = records.iter().filter_map(|record| match &record.event {
        Event::Warning(warning) => Some(warning.message.as_str()),
        _ => None,
    });
    warnings.collect()
}
