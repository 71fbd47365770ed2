//! Says what the case does: metrics and control lines, one JSON object each, to `$GPU_HARNESS_METRICS`.
//!
//! Each line is one write of whole bytes to an unbuffered file, so that what was measured before a crash has left
//! the process. The format is docs/metrics.md's.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gpu_suites::id::CheckName;
use gpu_suites::metrics::Value;
use serde_json::{Map, json};

use crate::error::{Result, WorkerError};

/// Time between two progress lines of a phase; the first and the last are always written.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Where the case's lines go.
pub(crate) struct Emitter {
    out: Box<dyn Write>,
    artifacts: PathBuf,
    last_progress: Option<(&'static str, Instant)>,
}

impl Emitter {
    /// The supervisor's pipe, or standard output where the worker is run by hand.
    pub(crate) fn open() -> Result<Self> {
        let out: Box<dyn Write> = match std::env::var_os("GPU_HARNESS_METRICS") {
            Some(path) => Box::new(open_pipe(Path::new(&path)).map_err(WorkerError::Metrics)?),
            None => Box::new(io::stdout()),
        };
        let artifacts =
            std::env::var_os("GPU_HARNESS_ARTIFACTS").map_or_else(|| PathBuf::from("."), PathBuf::from);
        Ok(Self { out, artifacts, last_progress: None })
    }

    /// Writes and forgets, for a benchmark that is to pay for its metrics as a case does.
    pub(crate) fn to_nowhere() -> Self {
        Self { out: Box::new(io::sink()), artifacts: PathBuf::from("."), last_progress: None }
    }

    /// Metrics of a step, or of the whole case.
    pub(crate) fn metrics(&mut self, step: Option<u64>, values: Vec<(String, Value)>) -> Result<()> {
        let mut line = Map::new();
        if let Some(step) = step {
            line.insert("step".into(), step.into());
        }
        for (name, value) in values {
            line.insert(name, serde_json::to_value(value).expect("a metric's value is JSON"));
        }
        self.line(&line.into())
    }

    /// Live progress of a phase.
    pub(crate) fn progress(&mut self, phase: &'static str, step: u64, steps: u64) -> Result<()> {
        let due = match self.last_progress {
            Some((last, at)) => last != phase || step == steps || at.elapsed() >= PROGRESS_EVERY,
            None => true,
        };
        if !due {
            return Ok(());
        }
        self.last_progress = Some((phase, Instant::now()));
        self.line(&json!({"@progress": {"phase": phase, "step": step, "steps": steps}}))
    }

    /// Where a file called `name` is to be written, so that [`Self::artifact`] can announce it.
    pub(crate) fn artifact_path(&self, name: &str) -> PathBuf {
        self.artifacts.join(name)
    }

    /// A file below the artifacts' folder is complete.
    pub(crate) fn artifact(&mut self, name: &str) -> Result<()> {
        self.line(&json!({"@artifact": name}))
    }

    /// Writes everything that was measured into an artifact of that name.
    pub(crate) fn record(&mut self, name: &str, record: &serde_json::Value) -> Result<()> {
        let path = self.artifact_path(name);
        let wrong = |cause: String| WorkerError::Artifact { path: path.clone(), cause };
        let file = File::create(&path).map_err(|error| wrong(error.to_string()))?;
        serde_json::to_writer_pretty(file, record).map_err(|error| wrong(error.to_string()))?;
        self.artifact(name)
    }

    /// A check cannot be judged here.
    pub(crate) fn skip(&mut self, check: &CheckName, reason: &str) -> Result<()> {
        self.line(&json!({"@skip": {"check": check, "reason": reason}}))
    }

    pub(crate) fn device(&mut self, facts: &serde_json::Value) -> Result<()> {
        self.line(&json!({"@device": facts}))
    }

    /// The case cannot go on.
    pub(crate) fn error(&mut self, error: &WorkerError) -> Result<()> {
        let (what, hint, fault) = (error.to_string(), error.hint(), error.fault());
        self.line(&json!({"@error": {"what": what, "hint": hint, "fault": fault}}))
    }

    fn line(&mut self, line: &serde_json::Value) -> Result<()> {
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        self.out.write_all(&bytes).and_then(|()| self.out.flush()).map_err(WorkerError::Metrics)
    }
}

fn open_pipe(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A number as a metric's value. An f32's value is kept exactly: two are bitwise equal where their metrics are equal.
pub(crate) fn number(value: impl Into<f64>) -> Value {
    Value::Number(value.into())
}

pub(crate) fn count(value: usize) -> Value {
    Value::Number(value as f64)
}
