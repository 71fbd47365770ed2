//! How what was measured is judged: by checks, and against the nights before.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{CaseId, CheckName};
use crate::regression::answers::Changed;
use crate::regression::{self, Direction, Standing};

/// What a case measured was held against its history, and its outcome against those of the runs before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub case: CaseId,
    /// Where it stands after its last runs.
    pub standing: Standing,
    /// How many metrics are as they were before.
    pub steady: usize,
    /// The others.
    pub metrics: Vec<Judgement>,
    /// Why the node was slower than such nodes are, where it was: then its figures judge nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// Answers that are not those of the nights before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Changed>,
    /// Metrics that were judged on the nights before, and of which nothing came this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vanished: Vec<Vanished>,
}

/// Reports of a case's own tests cannot be read, or were not left: a case that passed counts as failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestsUnread {
    pub case: CaseId,
    /// Which, and why, in a sentence each.
    pub reports: Vec<String>,
}

/// Tests in a case's own reports did not pass, although its command ended with 0: a case that passed counts as failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestsFailed {
    pub case: CaseId,
    pub failed: u64,
    /// The first of those, by class and name.
    pub named: Vec<String>,
}

impl fmt::Display for TestsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tests = if self.failed == 1 { "test" } else { "tests" };
        let more = if self.failed > self.named.len() as u64 { ", …" } else { "" };
        write!(f, "its report has {} failed {tests} ({}{more})", self.failed, self.named.join(", "))?;
        f.write_str(", although the command ended with 0")
    }
}

/// The case's failures do not fail the build for now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    pub case: CaseId,
    pub reason: String,
    /// The last day on which this holds.
    pub until: jiff::civil::Date,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub case: CaseId,
    /// 1 for the first try.
    pub attempt: u32,
    /// The verdict and its grounds.
    pub finding: Finding,
}

/// A check's verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub check: CheckName,
    /// What it is about, where the check is run on several things: a metric's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub verdict: Verdict,
    /// What was seen, e.g. `loss 0.31 after 200 steps`.
    pub observed: String,
    /// What was wanted, e.g. `at most 0.035 (5% of the first loss 0.69)`.
    pub wanted: String,
    /// The step where it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The usual cause, where the check broke. An `exit-status` that was skipped and has a cause was not the program's
    /// own doing: the case errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Whether a check held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Held,
    Broke,
    /// It was not judged; `observed` says why.
    Skipped,
}

/// A metric that is not as it was before, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub metric: String,
    /// Which way it is better.
    pub better: Direction,
    /// What the rule says.
    #[serde(flatten)]
    pub verdict: regression::Verdict,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fails: bool,
}

/// A metric that was judged on the nights before and did not come: it has another name now, or what measures it is no
/// longer run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vanished {
    pub metric: String,
    /// On how many of the last nights it came.
    pub nights: usize,
}
