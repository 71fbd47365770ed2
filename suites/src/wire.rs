//! How harness and agent talk: one JSON object per line over `gpu-agent serve`'s standard input and output.
//!
//! After [`Reply::Started`] (or an attach) the agent's output is its journal, verbatim, from the asked-for number
//! on; journal lines have `seq`, replies have `reply`. See docs/events.md.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::{Record, RecordError};
use crate::id::{RunId, Sha256};
use crate::plan::Plan;
use crate::seal::Key;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The first line: who asks. Answered by [`Reply::Hello`] or [`Reply::Refused`].
    Open {
        /// [`crate::plan::PROTOCOL`] of the harness.
        protocol: u32,
        /// Version of the harness, for the error message.
        harness: String,
    },
    /// Start a run (idempotent: a run that exists is attached to), then send its journal.
    Start {
        plan: Box<Plan>,
        /// What whoever speaks for the run has to show.
        #[serde(default)]
        key: Key,
    },
    /// Send the journal of a run.
    Attach {
        run: RunId,
        /// The first `seq` to send.
        from: u64,
        /// The run's key: renewals and cancellations of who does not have it are not heard.
        #[serde(default)]
        key: Key,
    },
    /// The harness lives: the lease starts anew. Answered by [`Reply::Alive`].
    Renew,
    /// End the running case and skip the rest; the run ends in good order.
    Cancel {
        /// Why, for the report.
        reason: String,
        /// Whether a limit was reached, e.g. of money: the running case is then timed out and the rest is left out, as
        /// at the run's own limit.
        #[serde(default)]
        limit: bool,
    },
    /// Everything was received, the run's folder may go.
    Bye,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The agent can be talked to.
    Hello {
        /// [`crate::plan::PROTOCOL`] of the agent.
        protocol: u32,
        agent: String,
        /// The node's clock, for the skew.
        at: Timestamp,
    },
    /// Nothing was started: these blobs are not in the node's store.
    Missing {
        /// Their sha256.
        blobs: Vec<Sha256>,
    },
    /// The run is under way; journal lines follow.
    Started,
    Alive,
    /// The request cannot be carried out; nothing was started.
    Refused {
        error: Refusal,
    },
    /// The run's supervisor has died without ending the run; the journal was sent as far as it goes.
    Gone,
    /// `gpu-agent receive`: what came is stored.
    Received {
        /// Number of blobs now in the store that were sent.
        blobs: usize,
        /// Their bytes, uncompressed.
        bytes: u64,
    },
}

/// An answer that may stand between records on one stream.
pub trait Answer: DeserializeOwned {
    /// The name of its tag, which is the first thing in its line, and in no record's.
    const TAG: &'static str;
}

impl Answer for Reply {
    const TAG: &'static str = "reply";
}

/// A line of a stream of records with answers between them.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard<A> {
    Answer(A),
    Record(Box<Record>),
}

#[derive(Debug, thiserror::Error)]
pub enum HeardError {
    #[error("a reply: {0}")]
    Answer(serde_json::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl<A: Answer> Heard<A> {
    pub fn parse(line: &str) -> Result<Self, HeardError> {
        let tagged = line.strip_prefix("{\"").and_then(|rest| rest.strip_prefix(A::TAG));
        if tagged.is_some_and(|rest| rest.starts_with("\":")) {
            return serde_json::from_str(line).map(Self::Answer).map_err(HeardError::Answer);
        }
        Ok(Self::Record(Box::new(Record::parse(line)?)))
    }
}

/// Why an agent refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    #[error(
        "the agent speaks protocol {agent}, the harness {harness}; use the gpu-agent that came with this gpu-harness"
    )]
    Protocol { agent: u32, harness: u32 },
    /// The store or the run folder cannot be written.
    #[error(
        "cannot write to {path} on the node: {cause}; name a writable folder with GPU_HARNESS_CACHE there"
    )]
    Unwritable { path: String, cause: String },
    /// What came does not have the sha256 that was announced.
    #[error("what arrived as {wanted} has sha256 {got}: it was damaged on its way; run again")]
    Damaged {
        wanted: Sha256,
        /// That of what came.
        got: Sha256,
    },
    /// No such run on this node: its lease ended, or it never started here.
    #[error("run {run} is not on this node; its lease may have ended")]
    NoSuchRun { run: RunId },
    #[error("not a request: {cause}")]
    BadRequest { cause: String },
}
