//! How the holder's node is had, whatever provides it, and how it is given back.

use std::time::Duration;

use gpu_suites::event::Event;
use gpu_suites::id::{NodeName, RunId};
use gpu_suites::plan::{Lease, OnExpiry};
use gpu_suites::unit::Span;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::node::Node;
use crate::node::remote::{Remote, RemoteError};
use crate::run::{self, Supply};
use crate::session::{Budget, SessionError};

/// A node that is there for the holder, or will be.
pub(super) enum Hold {
    /// It is there already.
    There(Node),
    /// It is made for the holder.
    #[cfg(feature = "ec2")]
    Ec2(Box<crate::cloud::hold::Hold>),
}

/// A node that is ready.
pub(super) struct Ready {
    /// Its first connection.
    pub(super) remote: Remote,
    /// What it is called in the records.
    pub(super) name: NodeName,
    pub(super) lease: Lease,
    pub(super) reclaimable: bool,
    pub(super) budget: Option<Budget>,
    /// Ends when its cloud has ended it; says why.
    pub(super) watch: Option<std::pin::Pin<Box<dyn Future<Output = String>>>>,
}

impl Hold {
    /// For the node of that supply; what happens to it comes out of the receiver. `work`: the timeouts of the cases that
    /// it may have to run.
    pub(super) fn new(
        supply: Supply,
        node: Node,
        run: RunId,
        work: Duration,
    ) -> (Self, Option<UnboundedReceiver<Event>>) {
        match supply {
            Supply::There => {
                let _ = (run, work);
                (Self::There(node), None)
            }
            #[cfg(feature = "ec2")]
            Supply::Ec2(asked) => {
                let (hold, events) = crate::cloud::hold::Hold::new(node, *asked, run, work);
                (Self::Ec2(Box::new(hold)), Some(events))
            }
        }
    }

    /// The node, connected. Dropping this loses nothing.
    pub(super) async fn have(&mut self) -> Result<Ready, SessionError> {
        match self {
            Self::There(node) => {
                let transport = run::connect(node).await.map_err(RemoteError::from)?;
                Ok(Ready {
                    remote: Remote::new(node.clone(), transport)?,
                    name: node.name.clone(),
                    lease: Lease { ttl: Span(node.lease), on_expiry: OnExpiry::Exit },
                    reclaimable: false,
                    budget: None,
                    watch: None,
                })
            }
            #[cfg(feature = "ec2")]
            Self::Ec2(hold) => {
                let had = Box::pin(hold.have()).await?;
                let remote = had.remote.another().await?;
                let ready = Ready {
                    name: NodeName(format!("{}/{}", remote.node().name, had.instance())),
                    lease: Lease { ttl: Span(remote.node().lease), on_expiry: OnExpiry::Shutdown },
                    reclaimable: had.is_spot(),
                    budget: had.budget(),
                    watch: Some(Box::pin(had.watch())),
                    remote,
                };
                hold.keep(had);
                Ok(ready)
            }
        }
    }

    /// A second connection to the node that was had.
    pub(super) async fn another(&self) -> Result<Remote, SessionError> {
        match self {
            Self::There(node) => {
                let transport = run::connect(node).await.map_err(RemoteError::from)?;
                Ok(Remote::new(node.clone(), transport)?)
            }
            #[cfg(feature = "ec2")]
            Self::Ec2(hold) => hold.another().await,
        }
    }

    /// Whether there is something to give back.
    pub(super) fn is_made(&self) -> bool {
        match self {
            Self::There(_) => false,
            #[cfg(feature = "ec2")]
            Self::Ec2(_) => true,
        }
    }

    /// Gives the node back and waits until it is gone. One that was `reclaimed` is noted as such.
    pub(super) async fn release(self, is_well: bool, reclaimed: bool) {
        match self {
            Self::There(_) => {
                let _ = (is_well, reclaimed);
            }
            #[cfg(feature = "ec2")]
            Self::Ec2(hold) => Box::pin(hold.release(is_well, reclaimed)).await,
        }
    }
}
