//! What a case does while it runs, and how it ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::gpu_watch::GpuSeen;
use crate::id::{CaseId, Sha256};
use crate::metrics::Value;
use crate::outcome::Outcome;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseStarted {
    pub case: CaseId,
    /// 1 for the first try.
    pub attempt: u32,
}

/// What the case runs on: device, threads, seed, libtorch, driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub case: CaseId,
    /// The facts, as the case's process gave them.
    pub facts: BTreeMap<String, serde_json::Value>,
}

/// How far a case has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub case: CaseId,
    /// What it is doing, where it does several things in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    pub step: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// A line of metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub case: CaseId,
    /// The step that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    pub values: BTreeMap<String, Value>,
}

/// Output of a case's process. What the events of one stream hold, put together, is the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub case: CaseId,
    pub stream: Stream,
    /// What was written, newlines included; what is not UTF-8 is replaced.
    pub text: String,
    /// The bytes themselves, where the text is not what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Bytes>,
}

/// The case wrote more than its log limit; the rest was read and dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogTruncated {
    pub case: CaseId,
    pub dropped: u64,
}

/// A file that the case made and that can be fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    pub case: CaseId,
    /// Path below the case's artifact folder.
    pub path: String,
    pub bytes: u64,
    pub sha256: Sha256,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// A symbolic link or an empty folder among the files that the case made: all that there is of it is said here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactPlace {
    pub case: CaseId,
    /// Path below the case's artifact folder.
    pub path: String,
    /// Where the link leads, from the folder that it lies in; none for an empty folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// The process of a case has ended by itself or by a signal; how the case counts is said when it has finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessEnded {
    pub case: CaseId,
    pub attempt: u32,
    /// Its exit code, where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

/// What the driver told of the GPUs while a case ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpusWatched {
    pub case: CaseId,
    pub attempt: u32,
    /// Each GPU that it may have used.
    pub gpus: Vec<GpuSeen>,
    /// Why what it measured is worth nothing, a sentence each; empty where the GPUs were well.
    pub broken: Vec<String>,
}

/// A case ended. It is final unless another `case-started` of the same case follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseFinished {
    pub case: CaseId,
    /// 1 for the first try, 0 where it was never started.
    pub attempt: u32,
    pub outcome: Outcome,
    /// Why, in a sentence or a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub seconds: f64,
}

/// A stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Log {
    /// What was written, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_ref().map_or(self.text.as_bytes(), |raw| &raw.0)
    }
}
