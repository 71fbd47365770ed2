//! How a node is reached again, and when it is given up.

use gpu_suites::event::{ConnectionLost, NodeState, Reattached};
use tokio::time::{Instant, sleep};

use super::{Session, SessionError};
use crate::node::remote::RemoteError;
use crate::text::chain;

impl Session<'_> {
    /// Tries to reach the node again, for as long as its lease can last and something gets on there.
    pub(super) async fn reconnect(&mut self, error: RemoteError) -> Result<(), SessionError> {
        let lost = Instant::now();
        let lease = self.plan.lease.ttl.0;
        tracing::warn!(node = %self.node(), "the connection is lost: {}", chain(&error));
        self.recorder.keep(ConnectionLost { error: chain(&error) }.into());
        let mut latest = error;
        let mut pause = self.patience.trouble(Instant::now());
        while lost.elapsed() < lease {
            if self.patience.is_over(lease, Instant::now()) {
                let (tries, seconds) =
                    (self.patience.tries(), self.patience.lasted(Instant::now()).as_secs());
                let how = format!(
                    "can be reached, and nothing gets on: {tries} connections within {seconds} s broke off"
                );
                return self.lose(how, latest);
            }
            self.meanwhile(sleep(pause)).await?;
            let left = lease.saturating_sub(lost.elapsed());
            let reconnected =
                self.within_limit("let us in again", left, async |remote| remote.reconnect().await);
            match reconnected.await {
                Ok(()) => {
                    let seconds = lost.elapsed().as_secs_f64();
                    tracing::info!(node = %self.node(), tries = self.patience.tries(), seconds, "connected again");
                    self.recorder.keep(Reattached { from_seq: self.next, seconds }.into());
                    return Ok(());
                }
                Err(SessionError::Remote(error @ RemoteError::Slow { .. })) => latest = error,
                Err(SessionError::Remote(error)) if error.is_transient() => latest = error,
                Err(error) => return Err(error),
            }
            tracing::info!(node = %self.node(), "not connected again yet: {}", chain(&latest));
            pause = self.patience.trouble(Instant::now());
        }
        self.lose(format!("was out of reach for longer than its lease of {} s", lease.as_secs()), latest)
    }

    fn lose(&mut self, how: String, last: RemoteError) -> Result<(), SessionError> {
        tracing::warn!(node = %self.node(), "the node {how}");
        self.recorder.node_is(NodeState::Lost, &how);
        Err(SessionError::Lost { node: self.node(), how, last: Box::new(last) })
    }
}
