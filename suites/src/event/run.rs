//! What happens to a run as a whole: what was asked for, and how it ended.

use serde::{Deserialize, Serialize};

use crate::id::{CaseId, NodeName, RunId, Sha256};

/// The first record of every `events.ndjson`: what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    pub run: RunId,
    pub harness: String,
    /// The node that was asked for.
    pub node: NodeName,
    pub cases: Vec<CaseSummary>,
    /// The commit of the tree that holds the suites, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// An input file was read and hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The name that the suite gives it.
    pub name: String,
    pub sha256: Sha256,
    pub bytes: u64,
    /// Where it comes from, where that is known (`provenance.json` beside it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The user (or CI) asked the run to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// By what: a signal's name.
    pub by: String,
}

/// The last record of an `events.ndjson` whose run ended in good order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunClosed {
    pub exit: u8,
    /// What else there is to say, e.g. the error that ended the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The first record of a node's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::plan::PROTOCOL`] of the agent.
    pub protocol: u32,
    pub agent: String,
    pub host: String,
    /// Where libtorch was found, where a case needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libtorch: Option<String>,
}

/// Something that a person should know and that changes no outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// The case, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    pub message: String,
}

/// The last record of a node's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    /// Why the run ended before its last case, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EndCause>,
    /// Made of all lines of the journal before this one: see [`crate::seal`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Why a node ended a run before its last case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Nobody renewed the lease.
    Lease,
    /// The harness asked for it.
    Cancelled,
    /// The run's time limit was reached.
    Limit,
    /// The node is being taken away by its cloud: the cases without a `case-finished` are for another node.
    Reclaimed,
    /// The journal could not be written.
    Disk,
    /// A case was not good, and the run fails fast.
    FailFast,
}

/// What the reports need to know of a case before it has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSummary {
    pub id: CaseId,
    /// The suite's sentence about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is written: `file:line`.
    pub at: String,
    /// Artifacts of it that are JUnit reports: their tests are part of the run's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub junit: Vec<String>,
}
