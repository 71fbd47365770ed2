//! A node that is held for many small runs: had once, given back once.

use std::time::Duration;

use gpu_suites::event::Event;
use gpu_suites::id::RunId;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::asked::{Asked, order};
use super::had::Had;
use super::limits::Work;
use super::provision::Provision;
use crate::node::Node;
use crate::node::remote::Remote;
use crate::session::SessionError;
use crate::text::explain::Told;

/// A node that is held, or will be.
pub struct Hold {
    provision: Provision,
    had: Option<Had>,
}

impl Hold {
    /// For a node that may have to work for so long; what happens to it comes out of the receiver.
    pub fn new(node: Node, asked: Asked, run: RunId, work: Duration) -> (Self, UnboundedReceiver<Event>) {
        let (sink, events) = unbounded_channel();
        let work = Work { cases: work, retries: 0, run: None };
        let provision = Provision::new(order(node, asked, run, work), sink);
        (Self { provision, had: None }, events)
    }

    /// Has the node. Dropping this loses nothing: [`Hold::release`] gives back what was made.
    pub async fn have(&mut self) -> Result<Had, SessionError> {
        Ok(self.provision.have().await?)
    }

    /// A second connection to it.
    pub async fn another(&self) -> Result<Remote, SessionError> {
        match &self.had {
            Some(had) => Ok(had.remote.another().await?),
            None => Err(SessionError::NotHad(Box::new(Told("the node was given back".to_owned())))),
        }
    }

    /// The node, until it is given back.
    pub fn keep(&mut self, had: Had) {
        self.had = Some(had);
    }

    /// Gives everything back and waits until it is gone. A node that is well may go to another run that waits for it.
    pub async fn release(mut self, is_well: bool, reclaimed: bool) {
        if reclaimed {
            self.provision.was_reclaimed();
        }
        if let Some(had) = self.had.take() {
            let had = if is_well { self.provision.hand_on(had).await } else { Some(had) };
            if let Some(had) = had {
                self.provision.give_back(&had);
            }
        }
        self.provision.close().await;
    }
}
