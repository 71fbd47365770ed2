//! What happened, in order: the events that every report is folded from. See docs/events.md.
//!
//! A [`Record`] is one line of the agent's journal and of the harness's `events.ndjson`. Reading is done in two
//! passes over the line (head, then the kind's own fields): it costs no buffering, and a kind that this version
//! does not know is kept as it came.
//!
//! A new event is a struct in the file of its noun, and a line in the list below.

mod case;
mod cloud;
mod environment;
mod node;
mod run;
mod verdict;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use case::Stream;
pub use cloud::ResourceKind;
pub use node::{NodeState, StartPhase};
pub use run::{CaseSummary, EndCause};
pub use verdict::{Finding, Judgement, Vanished, Verdict};

use crate::id::{CaseId, NodeName};

/// An event with its place in the order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Its number: gapless from 0 in each file.
    pub seq: u64,
    /// When it happened, by the clock of the machine that saw it.
    pub at: Timestamp,
    /// In `events.ndjson`, where it came from, unless the harness itself saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The node's record that a harness's record repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub node: NodeName,
    /// `seq` in the node's journal.
    pub seq: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("not an event record: {cause}")]
pub struct RecordError {
    cause: serde_json::Error,
}

#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    at: Timestamp,
    #[serde(default)]
    from: Option<Origin>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

impl Record {
    /// Reads one line, without its newline.
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        let wrong = |cause| RecordError { cause };
        let head: Head<'_> = serde_json::from_str(line).map_err(wrong)?;
        let mut event = Event::parse(&head.kind, line).map_err(wrong)?;
        if let Event::Unknown(fields) = &mut event {
            fields.retain(|name, _| !["seq", "at", "from"].contains(&name.as_str()));
        }
        Ok(Self { seq: head.seq, at: head.at, from: head.from, event })
    }

    /// The line, without a newline.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|cause| unreachable!("an event is plain data: {cause}"))
    }
}

macro_rules! events {
    ($($kind:literal => $noun:ident :: $name:ident by $who:ident about $what:ident,)*) => {
        $(
            pub use $noun::$name;

            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// Everything that can happen. The variants' own types say what each means.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Event {
            $(
                #[doc = concat!("`", $kind, "`")]
                #[serde(rename = $kind)]
                $name($name),
            )*
            /// A kind of another version: kept with its `kind` and every other field, shown to nobody.
            #[serde(untagged)]
            Unknown(serde_json::Map<String, serde_json::Value>),
        }

        impl Event {
            /// Every kind that this version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            fn parse(kind: &str, line: &str) -> Result<Self, serde_json::Error> {
                match kind {
                    $( $kind => serde_json::from_str(line).map(Self::$name), )*
                    _ => serde_json::from_str(line).map(Self::Unknown),
                }
            }

            /// The case that it is about, where it is about one.
            pub fn case(&self) -> Option<&CaseId> {
                match self {
                    $( Self::$name(_event) => events!(@about $what _event), )*
                    Self::Unknown(_) => None,
                }
            }

            /// Whether it is the harness's alone to say: of the run, of the cloud, of the connection, of the nights before.
            pub fn is_of_the_harness(&self) -> bool {
                match self {
                    $( Self::$name(_) => events!(@by $who), )*
                    Self::Unknown(_) => false,
                }
            }
        }
    };
    (@by harness) => { true };
    (@by node) => { false };
    (@about case $event:ident) => { Some(&$event.case) };
    (@about either $event:ident) => { $event.case.as_ref() };
    (@about run $event:ident) => { None };
}

// The event, whose it is to say, and what it is about.
events! {
    "run-created" => run::RunCreated by harness about run,
    "input" => run::Input by harness about run,
    "node" => node::Node by harness about run,
    "waiting" => node::Waiting by harness about run,
    "resource-made" => cloud::ResourceMade by harness about run,
    "resource-gone" => cloud::ResourceGone by harness about run,
    "had" => cloud::NodeProvisioned by harness about run,
    "phase" => node::Phase by harness about run,
    "kept" => cloud::Kept by harness about run,
    "taken-over" => cloud::TakenOver by harness about run,
    "handed-on" => cloud::HandedOn by harness about run,
    "shutdown-asked" => cloud::ShutdownAsked by harness about run,
    "cost" => cloud::Cost by harness about run,
    "upload" => node::Upload by harness about run,
    "connection-lost" => node::ConnectionLost by harness about run,
    "reattached" => node::Reattached by harness about run,
    "interrupted" => run::Interrupted by harness about run,
    "judged" => verdict::Judged by harness about case,
    "tests-unread" => verdict::TestsUnread by harness about case,
    "tests-failed" => verdict::TestsFailed by harness about case,
    "quarantined" => verdict::Quarantined by harness about case,
    "run-closed" => run::RunClosed by harness about run,
    "hello" => run::Hello by node about run,
    "environment-progress" => environment::EnvironmentProgress by node about run,
    "environment-ready" => environment::EnvironmentReady by node about run,
    "environment-failed" => environment::EnvironmentFailed by node about run,
    "case-started" => case::CaseStarted by node about case,
    "device" => case::Device by node about case,
    "progress" => case::Progress by node about case,
    "metrics" => case::Metrics by node about case,
    "log" => case::Log by node about case,
    "log-truncated" => case::LogTruncated by node about case,
    "artifact" => case::Artifact by node about case,
    "artifact-place" => case::ArtifactPlace by node about case,
    "reclaim-notice" => node::ReclaimNotice by node about run,
    "warning" => run::Warning by node about either,
    "check" => verdict::Check by node about case,
    "process-ended" => case::ProcessEnded by node about case,
    "gpus-watched" => case::GpusWatched by node about case,
    "case-finished" => case::CaseFinished by node about case,
    "run-finished" => run::RunFinished by node about run,
}
