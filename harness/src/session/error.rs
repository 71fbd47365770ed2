//! Why a run was not followed to its end.

use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use gpu_suites::unit::Span;

use crate::node::remote::RemoteError;
use crate::text::{Explain, chain};

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The node refused, or could not be set up.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("the run was ended, since what happens cannot be recorded")]
    Unrecorded,
    /// The node was out of reach, or nothing got on there, for longer than its lease.
    #[error("{node} {how}")]
    Lost {
        node: String,
        how: String,
        #[source]
        last: Box<RemoteError>,
    },
    #[error("the agent on {node} died in mid-run; its log is supervisor.log in the run's folder there")]
    AgentDied { node: String },
    #[error("{node} sent what no agent sends: {problem}")]
    Protocol { node: String, problem: String },
    /// The run's time limit was reached and the agent did not end the run.
    #[error("the run's time limit was reached, and the agent on {node} did not end the run")]
    Limit { node: String },
    /// The agent lives, and does not do what it is there for.
    #[error("{node} has not {} in the {} that this may take", if *.started { "ended its cases" } else { "started the run" }, Span(*.within))]
    Overdue {
        node: String,
        started: bool,
        /// All that it may take: of the cases, their timeouts, each as often as it may be tried, and what the agent needs
        /// around them.
        within: Duration,
    },
    /// The money that the run may cost is spent.
    #[error("{why}")]
    Money {
        /// What was to be spent, and on what it went.
        why: String,
    },
    /// The node was taken away, or ended by itself.
    #[error("{node} is gone: {why}")]
    Taken { node: String, why: String },
    /// A file was not the same any more when it was sent.
    #[error("{path} was written or removed while it was sent; run again")]
    Changed { path: String },
    #[error("{}", chain(&**.0))]
    NoNode(Box<dyn Explain + Send + Sync>),
    #[error("interrupted by {by}")]
    Interrupted { by: &'static str },
}

impl Explain for SessionError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Remote(error) => error.hint(),
            Self::Lost { last, .. } => last.hint(),
            Self::NoNode(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::Limit { .. } | Self::Money { .. } => Exit::Limit,
            _ => Exit::Infrastructure,
        }
    }
}

impl SessionError {
    /// What this makes of a case that it has kept from its end.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Interrupted { .. } => Outcome::Cancelled,
            Self::Limit { .. } | Self::Money { .. } => Outcome::TimedOut,
            // It runs again where another node can be had.
            Self::Taken { .. } | Self::Lost { .. } => Outcome::Interrupted,
            _ => Outcome::Errored,
        }
    }

    /// Whether the node said or sent what none of ours does: nor is it believed what its cases came to.
    pub fn is_of_a_false_node(&self) -> bool {
        matches!(self, Self::Protocol { .. } | Self::Remote(RemoteError::Artifacts { .. }))
    }
}
