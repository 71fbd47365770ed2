//! The test EC2: the cloud's API, served by moto, whose instances are real hosts on this machine.
//!
//! It runs for as long as the value lives, and not longer than the test's process: its standard input is a pipe that
//! this process holds, and when that ends, so do the server and every host, whatever the cause.

use std::env;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use gpu_suites::cache;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::HANG;
use crate::project::Project;

/// Names the Python that has what the server imports; `cargo xtask test` sets it.
const PYTHON: &str = "GPU_HARNESS_EC2_PYTHON";
/// Says how hard every test EC2 is: a seed, or `kind`.
const SEED: &str = "GPU_HARNESS_EC2_SEED";
/// The seed where the environment names none.
const USUAL_SEED: u64 = 7;
/// Until all of EC2 has heard of a change, in its own time at most: what its documentation asks clients to wait.
const LONGEST_LAG: Duration = Duration::from_secs(300);
/// And in this machine's: a test with a slow clock is not to wait for minutes.
const LONGEST_REAL_LAG: Duration = Duration::from_secs(5);
/// What EC2 says of an instance that its own system has ended.
pub const BY_ITSELF: &str = "Client.InstanceInitiatedShutdown";
/// How long the server may take to end its hosts.
const END: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How much faster than this machine's its clock runs.
    pub clock_factor: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock_factor: 60.0 }
    }
}

/// How hard EC2 is: it answers eventually, slowly, in small pages, throttled and sometimes not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Not at all: what was just done is seen by the next call, and every call is answered.
    Kind,
    /// As this seed draws it; the same seed is as hard every time.
    Seed(u64),
}

impl Weather {
    /// As the environment says; `None`: it says nothing.
    pub fn of_the_environment() -> Option<Self> {
        let set = env::var(SEED).ok().filter(|value| !value.is_empty())?;
        Some(match set.as_str() {
            "kind" | "0" => Self::Kind,
            number => {
                Self::Seed(number.parse().unwrap_or_else(|_| panic!("{SEED}={number}: a number, or `kind`")))
            }
        })
    }

    /// As the environment says, or else hard.
    pub fn of_this_test() -> Self {
        Self::of_the_environment().unwrap_or(Self::Seed(USUAL_SEED))
    }

    fn seed(self) -> u64 {
        match self {
            Self::Kind => 0,
            Self::Seed(seed) => seed,
        }
    }
}

#[derive(Debug)]
pub struct Ec2 {
    server: Child,
    port: u16,
    pid: u64,
    clock_factor: f64,
    weather: Weather,
    longest_lag: Duration,
    folder: TempDir,
}

impl Ec2 {
    /// Starts one, and waits until it answers. It is as hard as [`Weather::of_this_test`].
    pub fn start(options: Options) -> Self {
        let longest = LONGEST_LAG.min(LONGEST_REAL_LAG.mul_f64(options.clock_factor));
        Self::start_with(options, Weather::of_this_test(), longest, &[])
    }

    /// Starts one as hard as a soak says, with lags as long as EC2's.
    pub fn start_in(weather: Weather, options: Options) -> Self {
        Self::start_with(options, weather, LONGEST_LAG, &[])
    }

    /// Starts one that is kind whatever the environment says: for what tells of the fixture itself, or counts calls. Whoever
    /// starts it says why.
    pub fn start_kind(options: Options) -> Self {
        Self::start_with(options, Weather::Kind, LONGEST_LAG, &[])
    }

    /// Starts one whose instances are records only: for what concerns the account and no node. It is as hard as
    /// [`Weather::of_this_test`].
    pub fn without_hosts(options: Options) -> Self {
        let longest = LONGEST_LAG.min(LONGEST_REAL_LAG.mul_f64(options.clock_factor));
        Self::start_with(options, Weather::of_this_test(), longest, &["--hosts", "none"])
    }

    /// The same, as hard as a soak says, with lags as long as EC2's.
    pub fn without_hosts_in(weather: Weather, options: Options) -> Self {
        Self::start_with(options, weather, LONGEST_LAG, &["--hosts", "none"])
    }

    /// Like [`Ec2::without_hosts`], and kind: for what counts calls.
    pub fn kind_without_hosts(options: Options) -> Self {
        Self::start_with(options, Weather::Kind, LONGEST_LAG, &["--hosts", "none"])
    }

    fn start_with(options: Options, weather: Weather, longest_lag: Duration, flags: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("ec2-").tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let mut command = python();
        command.args(["-m", "gpu_harness_ec2", "--until-stdin-closes"]);
        command.args(["--clock-factor", &options.clock_factor.to_string()]).args(flags);
        command.args(["--seed", &weather.seed().to_string()]);
        command.args(["--longest-lag", &longest_lag.as_secs_f64().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut server = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = server.stdout.take().expect("its standard output");
        let clock_factor = options.clock_factor;
        let mut ec2 = Self { server, port: 0, pid: 0, clock_factor, weather, longest_lag, folder };
        let (port, pid) =
            birth(said).unwrap_or_else(|| panic!("the test EC2 does not start:\n{}", ec2.log()));
        (ec2.port, ec2.pid) = (port, pid);
        ec2
    }

    pub fn pid(&self) -> u64 {
        self.pid
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What makes an AWS client, such as gpu-harness, use it and nothing else.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // Who owns what is made there.
            ("USER", "tester".to_owned()),
        ]
    }

    /// The same for a test's own hand, which EC2 is always kind to.
    pub fn kind_environment(&self) -> Vec<(&'static str, String)> {
        let mine = |(name, value)| match name {
            "AWS_ACCESS_KEY_ID" => (name, "kind".to_owned()),
            _ => (name, value),
        };
        self.environment().into_iter().map(mine).collect()
    }

    /// Waits until all of EC2 has heard of what was made until now.
    pub fn settle(&self) {
        std::thread::sleep(self.longest_lag());
    }

    /// How long here, at most, until all of EC2 has heard of a change.
    pub fn longest_lag(&self) -> Duration {
        if self.weather == Weather::Kind { Duration::ZERO } else { self.real(self.longest_lag) }
    }

    /// How much longer than a kind one it may take, in its own time, until a node that is to end is seen to be gone: it ends
    /// late, and that is known late.
    pub fn hardship(&self) -> Duration {
        if self.weather == Weather::Kind { Duration::ZERO } else { self.longest_lag * 2 }
    }

    /// The project with that environment, and with a node `cloud` of provider ec2 in its gpu-harness.yaml; `settings`
    /// are more of the node's lines, without indentation.
    #[must_use]
    pub fn in_project(&self, project: Project, settings: &str) -> Project {
        let project = project.file("gpu-harness.yaml", self.configuration(settings));
        self.environment().into_iter().fold(project, |project, (name, value)| project.env(name, value))
    }

    /// A gpu-harness.yaml with a node `cloud` here.
    pub fn configuration(&self, settings: &str) -> String {
        let usual = format!("provider: ec2\ncaller-address: {}/caller-address", self.endpoint());
        let lines = usual.lines().chain(settings.lines());
        format!("nodes:\n  cloud:\n{}", Vec::from_iter(lines.map(|line| format!("    {line}\n"))).concat())
    }

    /// How long that much of EC2's time takes here.
    pub fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.clock_factor)
    }

    /// Makes something go wrong from now on, e.g. `{"fault": "capacity", "times": 2}`.
    pub fn fault(&self, fault: &Value) {
        self.tell("POST", "/_test/faults", Some(fault));
    }

    /// Takes every fault back.
    pub fn clear_faults(&self) {
        self.tell("DELETE", "/_test/faults", None);
    }

    /// All resources by kind, those that ended too.
    pub fn state(&self) -> Value {
        self.tell("GET", "/_test/state", None)
    }

    /// The resources by kind that still exist and are not in a final state.
    pub fn left(&self) -> Value {
        self.tell("GET", "/_test/left", None)
    }

    /// Every call of the API so far.
    pub fn calls(&self) -> Value {
        self.tell("GET", "/_test/calls", None)
    }

    /// Has the market take an instance back: notice now, its end after `within` of EC2's time.
    pub fn reclaim(&self, instance: &str, within: Duration) {
        let what = json!({ "instance": instance, "in": within.as_secs_f64() });
        self.tell("POST", "/_test/reclaim", Some(&what));
    }

    /// Cuts an instance's network, or mends it.
    pub fn network(&self, instance: &str, up: bool) {
        self.tell("POST", "/_test/network", Some(&json!({ "instance": instance, "up": up })));
    }

    /// Like [`Ec2::network`]; an instance that is gone already has none to cut.
    pub fn try_network(&self, instance: &str, up: bool) {
        let what = json!({ "instance": instance, "up": up });
        let answered = request(self.port, "POST", "/_test/network", Some(&what));
        answered
            .unwrap_or_else(|error| panic!("the network of {instance}: {error}; its log:\n{}", self.log()));
    }

    /// EC2's time.
    pub fn now(&self) -> Timestamp {
        let clock = self.tell("GET", "/_test/clock", None);
        let now = clock["now"].as_str().and_then(|now| now.parse().ok());
        now.unwrap_or_else(|| panic!("no time in {clock}"))
    }

    /// Puts EC2's clock forward: what was to come until then comes now. What hosts have armed is not moved.
    pub fn forward(&self, time: Duration) {
        self.tell("POST", "/_test/clock", Some(&json!({ "forward": time.as_secs_f64() })));
    }

    /// Whoever says that all is gone has seen its end, and EC2 shows an end when it is over: so at that moment nothing is
    /// left, however hard EC2 is.
    pub fn nothing_is_left(&self) {
        let left = self.left();
        assert!(is_nothing(&left), "there is left: {left:#}\n{}", self.log());
    }

    /// Waits until nothing that costs money is left: no instance, volume, spot request or host. (A fleet that has launched
    /// what it was asked for launches nothing more; it goes with its own expiry.) What is proved is that it ends at all, so
    /// whoever waits sees to it that no other end comes within [`HANG`], and asks [`Ec2::why_ended`].
    pub fn await_nothing_that_costs(&self) {
        let costs = |left: &Value| {
            let kinds = ["instances", "volumes", "spot_requests", "hosts"];
            kinds.iter().any(|kind| !left[*kind].as_array().is_some_and(Vec::is_empty))
        };
        let begun = Instant::now();
        while costs(&self.left()) {
            assert!(begun.elapsed() < HANG, "there is left: {:#}\n{}", self.left(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Why an instance ended, in EC2's words, such as [`BY_ITSELF`].
    pub fn why_ended(&self, instance: &str) -> String {
        let state = self.state();
        let mut all = state["instances"].as_array().into_iter().flatten();
        let told = all.find(|one| one["id"] == instance).and_then(|one| one["reason"].as_str());
        told.unwrap_or_else(|| panic!("{instance} has not ended: {:#}", state["instances"])).to_owned()
    }

    /// How often an operation was called.
    pub fn count(&self, operation: &str) -> usize {
        let calls = self.calls();
        calls.as_array().into_iter().flatten().filter(|call| call["operation"] == operation).count()
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A request to the control endpoint that has to succeed.
    fn tell(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = request(self.port, method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}; its log:\n{}", self.log()));
        assert!(status < 300, "{method} {path} {body:?}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }
}

impl Drop for Ec2 {
    fn drop(&mut self) {
        if let (true, Weather::Seed(seed)) = (std::thread::panicking(), self.weather) {
            eprintln!("the test EC2 was as hard as {SEED}={seed} makes it; `{SEED}=kind` makes it kind");
        }
        drop(self.server.stdin.take());
        let begun = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) && begun.elapsed() < END {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The Python of the test EC2, as root, about to run something beside its package; arguments are still to come.
pub fn python() -> Command {
    let python = env::var_os(PYTHON).map(PathBuf::from).or_else(in_the_cache);
    let python = python.expect("the test EC2 is not set up: run the tests by `cargo xtask test`, as root");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures").join("ec2");
    let as_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if as_root { "env" } else { "sudo" });
    if !as_root {
        command.args(["-n", "env"]);
    }
    // The tree stays clean of compiled files, which would be root's.
    command.arg(format!("PYTHONPATH={}", fixtures.display())).arg("PYTHONDONTWRITEBYTECODE=1").arg(python);
    command.current_dir(fixtures);
    command
}

/// Where `cargo xtask setup` links the environment that it made.
fn in_the_cache() -> Option<PathBuf> {
    Some(cache::folder()?.join("ec2-python/current/bin/python")).filter(|python| python.exists())
}

/// The port and the process id that the server tells when it answers there; `None` where it ends before.
fn birth(said: ChildStdout) -> Option<(u16, u64)> {
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).ok()?;
    let line: Value = serde_json::from_str(&line).ok()?;
    Some((line["port"].as_u64()?.try_into().ok()?, line["pid"].as_u64()?))
}

/// One HTTP request: its status, and what came back.
fn request(port: u16, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, String)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // Of version 1.0, so that the answer ends where the connection does.
    let head = "Content-Type: application/json\r\nConnection: close";
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// Whether there is nothing in it, however deep.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(kinds) => kinds.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
