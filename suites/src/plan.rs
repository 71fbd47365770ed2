//! What a node is asked to do: the cases, their files, and how long the asker must stay in touch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::{CaseId, RunId, Sha256};
use crate::spec::{Case, Environment, InputPath, Libtorch};
use crate::unit::Span;

/// The version of the plan, the wire and the events together. It is raised when either side could misread the other.
pub const PROTOCOL: u32 = 3;

/// Everything that the agent needs to run a run on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PROTOCOL`] of the asker.
    pub protocol: u32,
    /// The run; also the name of its folder on the node.
    pub run: RunId,
    /// The cases, run in this order, one process each.
    pub cases: Vec<PlannedCase>,
    /// How long the node goes on when nobody asks for it.
    pub lease: Lease,
    /// Skip what is left after the first case that is not good.
    pub fail_fast: bool,
    /// How often a case that failed, errored or timed out is tried again.
    pub retries: u32,
    /// The whole run's limit: the running case is timed out, the rest is skipped.
    pub timeout: Option<Span>,
    /// The content of the worker binary in the node's store; `None` where no case needs it.
    pub worker: Option<Sha256>,
    /// Whether the node's cloud may take it away in the middle of the run, as it may a spot instance: the agent then looks
    /// for the notice that comes before.
    #[serde(default)]
    pub reclaimable: bool,
    /// Where libtorch is on the node, where the user says so; else the agent looks for it.
    pub libtorch: Option<PathBuf>,
    /// What the node is made ready with.
    #[serde(default)]
    pub environment: Environment,
}

/// A case and the content of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCase {
    pub id: CaseId,
    /// What the suite file says.
    pub spec: Case,
    /// The content of each input, by the name that the spec gives it.
    pub inputs: BTreeMap<InputPath, Sha256>,
    /// Which of the inputs are programs: that belongs to a file, and not to its content.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub executable: BTreeSet<InputPath>,
    /// Symbolic links beside the inputs: where each leads, from the folder that it lies in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<InputPath, String>,
    /// How many attempts there were on nodes that were lost or taken away: the first one here has the number after.
    #[serde(default)]
    pub attempts_before: u32,
    /// How many of the plan's retries were used up there.
    #[serde(default)]
    pub retries_used: u32,
}

/// A lease: the node is the asker's only as long as the asker renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// How long a renewal lasts.
    pub ttl: Span,
    /// What the node does when it runs out.
    pub on_expiry: OnExpiry,
}

/// What a node does when its lease runs out: in each case it first ends what runs and removes the run's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExpiry {
    /// The agent ends; the machine is somebody's and stays.
    Exit,
    /// The machine is shut down.
    Shutdown,
}

/// What `gpu-worker` reads: its case, with the inputs linked in the working folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerCase {
    pub id: CaseId,
    /// What the suite file says.
    pub spec: Case,
}

impl Plan {
    /// Every blob that has to lie in the node's store before the run can start.
    pub fn blobs(&self) -> Vec<&Sha256> {
        let mut blobs =
            Vec::from_iter(self.cases.iter().flat_map(|case| case.inputs.values()).chain(&self.worker));
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }

    /// Whether the node may have to be made ready for a case.
    pub fn may_need_libtorch(&self) -> bool {
        self.libtorch.is_none() && self.environment.libtorch == Libtorch::Auto && self.worker.is_some()
    }
}
