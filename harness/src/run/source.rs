//! Where nodes come from, whoever uses them: a run has one after another, a holder one for many test processes, the runs of
//! a search the same one ([`crate::cloud::search`]).

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use gpu_suites::event::{Event, Node as NodeEvent, NodeState};
use gpu_suites::id::{NodeName, RunId};
use gpu_suites::plan::{Lease, OnExpiry};
use gpu_suites::unit::Span;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{OfSearch, RunError, RunOptions};
use crate::cloud::Usd;
use crate::cloud::limits::Work;
use crate::cloud::node_options::{NodeOptions, order};
use crate::cloud::providers;
use crate::cloud::provision::Provision;
use crate::cloud::provisioned::ProvisionedNode;
use crate::config::need::NodeNeed;
use crate::here::Env;
use crate::node::remote::{Remote, RemoteError};
use crate::node::{Endpoint, Node, NodeSpec, Origin};
use crate::plan::PlanError;
use crate::session::{Budget, SessionError};
use crate::text::chain;
use crate::transport::{SshOptions, Transport, TransportError};

/// Where the nodes of a run are to come from.
pub(crate) enum NodeSource {
    /// The node is there already.
    There { node: Node, env: Env },
    /// Nodes are made for the run.
    Cloud(NodeSpec, Box<NodeOptions>),
}

impl NodeSource {
    /// For the node that the user wants. What is asked of it that makes no sense is told.
    pub(crate) fn of(
        node: &NodeSpec,
        asked: &RunOptions,
        root: &Path,
        env: &Env,
        need: impl Fn(&NodeNeed) -> Result<NodeNeed, PlanError>,
    ) -> Result<Self, RunError> {
        let Origin::Cloud(settings) = &node.origin else {
            let flags = [
                ("--max-cost", asked.max_cost.is_some()),
                ("--wait", asked.wait.is_some()),
                ("--keep-node-on-failure", asked.keep_node_on_failure.is_some()),
            ];
            return match flags.into_iter().find(|(_, is_set)| *is_set) {
                Some((flag, _)) => {
                    Err(RunError::Flag { flag, name: node.name.clone(), provider: node.provider() })
                }
                None => Ok(Self::There { node: node.there()?, env: env.clone() }),
            };
        };
        if !providers::is_built(node.provider()) {
            return Err(RunError::NotBuilt { name: node.name.clone(), provider: node.provider() });
        }
        let mut settings = (**settings).clone();
        if let Some(wait) = asked.wait {
            settings.wait = wait.0;
        }
        if let Some(usd) = asked.max_cost {
            settings.max_cost = Some(Usd::try_from(usd).map_err(RunError::MaxCost)?);
        }
        settings.reuse |= asked.search.is_some();
        let need = need(&settings.need)?;
        let keep = asked.keep_node_on_failure.map(|keep| keep.0);
        let alone = OfSearch { root: root.to_owned(), runs: 1 };
        let OfSearch { root, runs } = asked.search.clone().unwrap_or(alone);
        Ok(Self::Cloud(
            node.clone(),
            Box::new(NodeOptions { settings, need, keep, root, runs, env: env.clone() }),
        ))
    }

    /// How long a node is to live on after a case that was not good.
    pub(crate) fn keep(&self) -> Option<Duration> {
        match self {
            Self::There { .. } => None,
            Self::Cloud(_, asked) => asked.keep,
        }
    }

    /// Begins to have nodes for so much work; what happens to them comes out of the receiver.
    pub(crate) fn begin(self, run: RunId, work: Work) -> (Nodes, UnboundedReceiver<Event>) {
        let (sink, events) = unbounded_channel();
        let nodes = match self {
            Self::There { node, env } => Nodes::There { node: Box::new(node), env, sink },
            Self::Cloud(node, asked) => {
                Nodes::Cloud(Box::new(Provision::new(order(node, *asked, run, work), sink)))
            }
        };
        (nodes, events)
    }
}

/// The nodes of a run, one after another.
pub(crate) enum Nodes {
    /// The one that is there.
    There { node: Box<Node>, env: Env, sink: UnboundedSender<Event> },
    /// Those that are made.
    Cloud(Box<Provision>),
}

impl Nodes {
    /// A node that is ready. Dropping this loses nothing: [`Nodes::close`] gives back what was made.
    pub(crate) async fn acquire(&mut self) -> Result<ReadyNode, SessionError> {
        match self {
            Self::There { node, env, sink } => {
                let (name, detail) = (node.name.clone(), describe(node));
                let _ = sink.send(NodeEvent { node: name, state: NodeState::Requested, detail }.into());
                let transport = connect(node, env).await.map_err(RemoteError::from)?;
                Ok(ReadyNode::There(Box::new(Remote::new(Node::clone(node), transport, env)?)))
            }
            // Boxed: the futures of an SDK are deep, and a layout of all of them at once is too much for rustc.
            Self::Cloud(provision) => Ok(ReadyNode::Cloud(Box::new(Box::pin(provision.acquire()).await?))),
        }
    }

    /// Whether nodes are made, and have to be given back.
    pub(crate) fn is_made(&self) -> bool {
        matches!(self, Self::Cloud(_))
    }

    pub(crate) fn was_reclaimed(&self) {
        if let Self::Cloud(provision) = self {
            provision.was_reclaimed();
        }
    }

    /// Lets a node live on for so long, for somebody to look at it.
    pub(crate) async fn keep(&mut self, node: ReadyNode, keep: Duration) {
        if let (Self::Cloud(provision), ReadyNode::Cloud(ready)) = (self, node) {
            provision.keep(*ready, keep).await;
        }
    }

    /// Begins to give a node back, unless it is well and another run of the job waits for it; whether it did.
    pub(crate) async fn give_back(&mut self, node: ReadyNode, is_well: bool) -> bool {
        let (Self::Cloud(provision), ReadyNode::Cloud(ready)) = (self, node) else { return false };
        let ready = if is_well { provision.hand_on(*ready).await } else { Some(*ready) };
        if let Some(ready) = &ready {
            provision.give_back(ready);
        }
        ready.is_some()
    }

    /// Gives everything back and waits until it is gone.
    pub(crate) async fn close(self) {
        if let Self::Cloud(provision) = self {
            Box::pin(provision.close()).await;
        }
    }
}

/// A node that is connected and can be used.
pub(crate) enum ReadyNode {
    /// One that was there.
    There(Box<Remote>),
    /// One that was made.
    Cloud(Box<ProvisionedNode>),
}

impl ReadyNode {
    pub(crate) fn remote(&mut self) -> &mut Remote {
        match self {
            Self::There(remote) => remote,
            Self::Cloud(ready) => &mut ready.remote,
        }
    }

    /// A connection of its own to it.
    pub(crate) async fn another(&self) -> Result<Remote, SessionError> {
        Ok(match self {
            Self::There(remote) => remote.another().await?,
            Self::Cloud(ready) => ready.remote.another().await?,
        })
    }

    pub(crate) fn name(&self) -> NodeName {
        match self {
            Self::There(remote) => remote.node().name.clone(),
            Self::Cloud(ready) => NodeName(format!("{}/{}", ready.remote.node().name, ready.instance())),
        }
    }

    /// What it is called where it is: the cloud's name for it.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::There(remote) => remote.node().name.as_str(),
            Self::Cloud(ready) => ready.instance(),
        }
    }

    /// What becomes of it where nobody renews its lease: one that was made ends.
    pub(crate) fn lease(&self) -> Lease {
        let (remote, on_expiry) = match self {
            Self::There(remote) => (&**remote, OnExpiry::Exit),
            Self::Cloud(ready) => (&ready.remote, OnExpiry::Shutdown),
        };
        Lease { ttl: Span(remote.node().lease), on_expiry }
    }

    pub(crate) fn is_reclaimable(&self) -> bool {
        matches!(self, Self::Cloud(ready) if ready.is_spot())
    }

    /// What it may cost, in time.
    pub(crate) fn budget(&self) -> Option<Budget> {
        match self {
            Self::There(_) => None,
            Self::Cloud(ready) => ready.budget(),
        }
    }

    /// Ends when its cloud has ended it; says why.
    pub(crate) fn watch(&self) -> Pin<Box<dyn Future<Output = String>>> {
        match self {
            Self::There(_) => Box::pin(std::future::pending()),
            Self::Cloud(ready) => Box::pin(ready.watch()),
        }
    }
}

/// How often a first connection is tried that was accepted and then cut.
const FIRST_TRIES: u32 = 10;

/// A connection to the node.
///
/// A host that refuses, or that nobody knows, is most likely mistyped: that is told at once. One that answers and
/// then breaks off is tried again.
pub async fn connect(node: &Node, env: &Env) -> Result<Transport, TransportError> {
    let (address, identity, known_hosts) = match &node.place {
        Endpoint::Local => return Ok(Transport::local()),
        Endpoint::Ssh { address, identity, known_hosts } => (address, identity, known_hosts),
    };
    let mut tries = 1;
    loop {
        let options = SshOptions::of_user(env, identity.clone(), known_hosts.clone());
        match Transport::ssh(address, options).await {
            Err(error)
                if tries < FIRST_TRIES
                    && error.is_transient()
                    && !matches!(
                        error,
                        TransportError::Connect { .. }
                            | TransportError::Resolve { .. }
                            | TransportError::Way { .. }
                            | TransportError::Forward { .. }
                    ) =>
            {
                tracing::info!(address, tries, "trying again: {}", chain(&error));
                tokio::time::sleep(Duration::from_millis(100) * tries).await;
                tries += 1;
            }
            ended => return ended,
        }
    }
}

fn describe(node: &Node) -> String {
    match &node.place {
        Endpoint::Local => "this machine".to_owned(),
        Endpoint::Ssh { address, .. } => address.clone(),
    }
}
