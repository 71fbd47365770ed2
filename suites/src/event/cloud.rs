//! What a cloud provides, and what has to be given back and paid for.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{NodeName, RunId};

/// Something was made in the cloud for this run, or taken over with a node; it has to be gone at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceMade {
    /// The node that it belongs to.
    pub node: NodeName,
    pub resource: ResourceKind,
    pub id: String,
    pub region: String,
}

/// The cloud said that something made for this run is no more, or is in a final state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceGone {
    pub resource: ResourceKind,
    pub id: String,
    /// The cloud's word for it, e.g. `terminated`, or `not found`.
    pub state: String,
}

/// A node was provisioned: which, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeProvisioned {
    pub node: NodeName,
    pub instance: String,
    pub instance_type: String,
    pub zone: String,
    /// `spot` or `on-demand`.
    pub market: String,
    /// US dollars an hour; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_hour: Option<f64>,
    pub expires_at: Timestamp,
}

/// A node lives on after the run, so that somebody can look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub node: NodeName,
    pub instance: String,
    pub until: Timestamp,
    /// The ssh command that gets in.
    pub command: String,
}

/// The node of an earlier run of the same job is used: it and what belongs to it are this run's from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenOver {
    pub node: NodeName,
    pub instance: String,
    /// The run that made it, which its tags go on naming.
    pub run: RunId,
}

/// The node is left to the next run of the same job, which waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandedOn {
    pub node: NodeName,
    pub instance: String,
    /// The cloud's names for everything that goes with it, the instance's among them.
    pub resources: Vec<String>,
    pub until: Timestamp,
}

/// The cloud did not end the instance when it was asked to, and the instance itself was told to shut down, over ssh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShutdownAsked {
    pub node: NodeName,
    pub instance: String,
}

/// What a node has cost so far, by the cloud's own clock; the last one of a node is its bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub node: NodeName,
    pub instance: String,
    pub seconds: f64,
    /// US dollars; `None` where the price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

/// What can be made in a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    SecurityGroup,
    LaunchTemplate,
    Fleet,
    SpotRequest,
    /// An instance: what costs most.
    Instance,
    Volume,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SecurityGroup => "security group",
            Self::LaunchTemplate => "launch template",
            Self::Fleet => "fleet",
            Self::SpotRequest => "spot request",
            Self::Instance => "instance",
            Self::Volume => "volume",
        })
    }
}
