//! What the harness itself does, for whoever wonders why: calls to the cloud, connections, retries with their reasons,
//! renewals of leases, deletions. It goes to `harness.log` in the folder of the run that it belongs to.
//!
//! Nothing here may hold a run up or give a secret away. A thread of its own writes; where that falls behind, lines are left
//! out and counted. Only what this crate says is kept, never what a library prints of the requests that it signs, and what is
//! known to be a secret ([`secret`]) is replaced in every line besides.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::{Layer, Registry};

use crate::here::Env;
use crate::text::clean;
use crate::text::streams;

/// The file's name in a run's folder.
pub const FILE_NAME: &str = "harness.log";
/// Which lines are kept, e.g. `debug` or `gpu_harness::session=trace`.
pub const VARIABLE: &str = "RUST_LOG";
/// The span of a run, whose field `id` says which.
const RUN: &str = "run";
/// What this crate's modules are called.
const OURS: &str = "gpu_harness";
/// Lines that may wait to be written.
const WAITING: usize = 10_000;
const LONGEST: usize = 4_096;
/// Shorter texts are no secrets: replacing them would only make holes.
const SHORTEST_SECRET: usize = 8;
/// Words in the names of variables that hold secrets.
const SECRET_NAMES: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY", "WEBHOOK"];

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());
static RUNS: Mutex<Vec<(String, SyncSender<String>)>> = Mutex::new(Vec::new());
static BEGUN: OnceLock<()> = OnceLock::new();

/// Begins to keep what is logged, once in a process. Without a run's folder it is shown, where `RUST_LOG` asks for it.
pub fn begin(env: &Env, is_verbose: bool) {
    let asked = env.get(VARIABLE);
    let default = if is_verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let targets = asked.as_deref().and_then(|text| Targets::from_str(text).ok());
    let targets = targets.unwrap_or_else(|| Targets::new().with_target(OURS, default));
    secrets_of(env);
    BEGUN.get_or_init(|| {
        let layer = ToRuns { is_shown: asked.is_some() }.with_filter(targets);
        // Where somebody else listens already, as in a test, it stays so.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(layer));
    });
}

/// From here on this text is in no line.
pub fn secret(text: &str) {
    if text.len() >= SHORTEST_SECRET {
        let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
        if !secrets.iter().any(|known| known == text) {
            secrets.push(text.to_owned());
            // The longest first, so that no half of one is left.
            secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }
}

/// The values of those variables that look like secrets, by their names.
fn secrets_of(env: &Env) {
    for (name, value) in env.iter() {
        let name = name.to_ascii_uppercase();
        if SECRET_NAMES.iter().any(|word| name.contains(word)) {
            secret(value);
        }
    }
}

fn redacted(line: &mut String) {
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if line.contains(secret.as_str()) {
            *line = line.replace(secret.as_str(), "[redacted]");
        }
    }
}

/// The log of one run, until it is dropped.
#[derive(Debug)]
pub struct RunLog {
    run: String,
    thread: Option<JoinHandle<()>>,
}

impl RunLog {
    /// Keeps what is logged of a run in its folder. A log that cannot be written is none.
    pub fn open(folder: &Path, run: &str) -> Self {
        let (sender, lines) = sync_channel(WAITING);
        let path = folder.join(FILE_NAME);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || write(&path, &lines));
        if thread.is_ok() {
            RUNS.lock().unwrap_or_else(PoisonError::into_inner).push((run.to_owned(), sender));
        }
        Self { run: run.to_owned(), thread: thread.ok() }
    }
}

impl Drop for RunLog {
    fn drop(&mut self) {
        RUNS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(run, _)| *run != self.run);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes what comes, into a file that is made with the first line.
fn write(path: &PathBuf, lines: &Receiver<String>) {
    let mut file = None;
    while let Ok(first) = lines.recv() {
        let Ok(file) = file
            .get_or_insert_with(|| File::options().append(true).create(true).open(path).map(BufWriter::new))
        else {
            continue;
        };
        for line in std::iter::once(first).chain(lines.try_iter()) {
            let _ = file.write_all(line.as_bytes());
        }
        let _ = file.flush();
    }
}

/// Hands each line to the run that it belongs to; one that belongs to none goes to all.
struct ToRuns {
    is_shown: bool,
}

/// What a span says of itself.
struct RecordedText(String);
/// The run that a span is of.
struct OfRun(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToRuns {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if span.name() == RUN
            && let Some(run) = fields.id.take()
        {
            span.extensions_mut().insert(OfRun(run));
        }
        span.extensions_mut().insert(RecordedText(fields.text));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !event.metadata().target().starts_with(OURS) {
            return;
        }
        let mut run = None;
        let mut spans = String::new();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            run = extensions.get::<OfRun>().map(|of| of.0.clone()).or(run);
            let said = extensions.get::<RecordedText>().map_or("", |said| said.0.as_str());
            let _ = write!(spans, "{}{{{said}}}: ", span.name());
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = line(*event.metadata().level(), event.metadata().target(), &spans, &fields.text);
        self.hand_on(run.as_deref(), &line);
    }
}

impl ToRuns {
    fn hand_on(&self, run: Option<&str>, line: &str) {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut theirs = runs.iter().filter(|(name, _)| run.is_none_or(|run| run == name)).peekable();
        if theirs.peek().is_none() && self.is_shown {
            streams::tell(line.trim_end());
        }
        for (_, sender) in theirs {
            // Where the disk has fallen so far behind, the run goes first.
            let _ = sender.try_send(line.to_owned());
        }
    }
}

fn line(level: Level, target: &str, spans: &str, text: &str) -> String {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut line = format!("{level:>5} {target}: {spans}{text}");
    // Before it is cut: no half of a secret is to be left.
    redacted(&mut line);
    format!("{at} {}\n", clean::one_line(&line, LONGEST))
}

/// The fields of a span or an event: the message first.
#[derive(Default)]
struct Fields {
    text: String,
    id: Option<String>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: &dyn fmt::Display) {
        let space = if self.text.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.text, "{space}{value}"),
            name => write!(self.text, "{space}{name}={value}"),
        };
        if field.name() == "id" {
            self.id = Some(value.to_string());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` while what is logged goes to the runs.
    fn logged(work: impl FnOnce()) {
        let targets = Targets::new().with_default(LevelFilter::TRACE);
        let subscriber = Registry::default().with(ToRuns { is_shown: false }.with_filter(targets));
        tracing::subscriber::with_default(subscriber, work);
    }

    #[test]
    fn each_run_has_the_lines_of_its_own_and_those_of_nobody() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let names = ["20261122-000000-log-one", "20261122-000000-log-two"];
        logged(|| {
            let _logs = [0, 1].map(|at| RunLog::open(folders[at].path(), names[at]));
            for name in names {
                let _run = tracing::info_span!("run", id = %name).entered();
                let _node = tracing::info_span!("node", name = "lab").entered();
                tracing::info!(tries = 2, "dialled {name}");
            }
            tracing::warn!("a line of nobody");
            tracing::info!(target: "aws_smithy_runtime", "signed with a key");
        });
        for at in [0, 1] {
            let text = std::fs::read_to_string(folders[at].path().join(FILE_NAME)).unwrap();
            let lines =
                Vec::from_iter(text.lines().map(|line| line.split_once("Z ").unwrap().1.trim_start()));
            let own = format!(
                "INFO gpu_harness::log::tests: run{{id={0}}}: node{{name=lab}}: dialled {0} tries=2",
                names[at]
            );
            assert_eq!(lines, [own.as_str(), "WARN gpu_harness::log::tests: a line of nobody"]);
        }
    }

    #[test]
    fn no_secret_reaches_a_line_wherever_it_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let variables =
            [("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG"), ("MY_API_TOKEN", "ghp_0123456789abcdef")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        secrets_of(&variables.into_iter().map(owned).collect());
        secret("0f1e2d3c4b5a69788796a5b4c3d2e1f0");
        secret("short");
        logged(|| {
            let _log = RunLog::open(folder.path(), "20261122-000000-log-secret");
            let _run = tracing::info_span!(
                "run",
                id = "20261122-000000-log-secret",
                key = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
            )
            .entered();
            tracing::info!(header = "wJalrXUtnFEMI/K7MDENG", "asked with ghp_0123456789abcdef, in short");
            tracing::info!("{}{}", "x".repeat(LONGEST - 60), "ghp_0123456789abcdef");
        });
        let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("header=[redacted]") && text.contains("in short"), "{text}");
        for part in ["wJalr", "ghp_", "0f1e2d3c"] {
            assert!(!text.contains(part), "{text}");
        }
    }
}
