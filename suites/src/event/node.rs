//! What happens to a node, and between it and the harness.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::NodeName;

/// The node reached another state of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub node: NodeName,
    pub state: NodeState,
    /// What a person wants to know about it.
    pub detail: String,
}

/// There is nothing to be had; the harness asks again later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub node: NodeName,
    /// What was asked for and what each answer was, e.g. `no spot capacity for g6.xlarge, g5.xlarge in 3 zones`.
    pub reason: String,
    pub seconds: f64,
    /// When the harness gives up.
    pub until: Timestamp,
}

/// A part of a node's start-up is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub node: NodeName,
    pub phase: StartPhase,
    pub seconds: f64,
}

/// Files went to the node's store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    pub sent: usize,
    /// How many lay there already.
    pub present: usize,
    /// Bytes sent, uncompressed.
    pub bytes: u64,
    pub seconds: f64,
}

/// The connection to the node broke; the harness tries to attach again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionLost {
    pub error: String,
}

/// The harness is attached again; nothing was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reattached {
    pub from_seq: u64,
    /// How long the node was out of reach.
    pub seconds: f64,
}

/// The cloud has said that it will take the node away. The running case ends as interrupted, and no other starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReclaimNotice {
    /// When it will be taken, by the cloud's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// The cloud's word for what it will do: `terminate`, `stop` or `hibernate`.
    pub action: String,
}

impl Eq for ReclaimNotice {}

impl fmt::Display for ReclaimNotice {
    /// In the words of this crate: the notice's own are a stranger's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action.as_str() {
            "stop" => f.write_str("AWS stops the spot instance")?,
            "hibernate" => f.write_str("AWS puts the spot instance to sleep")?,
            _ => f.write_str("AWS takes the spot instance back")?,
        }
        match self.taken_at {
            Some(at) => write!(f, " at {} UTC", at.strftime("%H:%M:%S")),
            None => f.write_str(" within two minutes"),
        }
    }
}

/// The states of a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It was asked for, or its address is known and it is being connected to.
    Requested,
    /// The cloud has made it; it boots.
    Booting,
    /// It answered, and is who it should be.
    Reachable,
    /// Agent and inputs are there.
    Healthy,
    /// Cases run.
    Running,
    /// Results are being fetched.
    Draining,
    /// It is being given back.
    Terminating,
    /// It was left as it was found, or is no more.
    Gone,
    /// It does not answer any more.
    Lost,
}

/// The parts of a node's start-up, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPhase {
    /// What there is was looked up: types, prices, image, subnets.
    LookUp,
    /// From the launch call to the instance's id: the cloud looks for capacity.
    Capacity,
    /// From the id to `running`.
    Pending,
    /// From `running` to an open ssh port.
    Boot,
    /// From there to a verified and authenticated connection.
    Ssh,
    /// The agent was brought and looked at the GPU.
    Health,
    /// The inputs were brought.
    Deploy,
    /// From there to the first record of the node's journal.
    FirstEvent,
    /// What the cases need was put there.
    Environment,
}
