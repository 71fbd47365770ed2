//! The pulse of a conversation: the lease is renewed, and a node that says nothing is noticed.

use std::time::Duration;

use gpu_suites::wire::Request;
use tokio::time::{Instant, timeout};

use super::line;
use crate::node::remote::{Remote, RemoteError};
use crate::transport::Exec;

/// A node that says nothing for this long, though it was asked, is out of reach.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// The conversation's pulse: the lease is renewed, and a node that says nothing is noticed.
pub(super) struct Pulse {
    pause: Duration,
    pub(super) renew_at: Instant,
    heard_at: Instant,
}

impl Pulse {
    pub(super) fn begin(lease: Duration) -> Self {
        let (now, pause) = (Instant::now(), renewal(lease));
        Self { pause, renew_at: now + pause, heard_at: now }
    }

    pub(super) fn heard(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Renews the lease, unless the node has been silent for too long.
    pub(super) async fn beat(&mut self, exec: &mut Exec, remote: &Remote) -> Result<(), RemoteError> {
        let silence = self.heard_at.elapsed();
        if silence > SILENCE + self.pause {
            let (node, said) = (remote.node().name.to_string(), exec.stderr_text());
            return Err(RemoteError::Silent { node, silence, said });
        }
        self.renew_at = Instant::now() + self.pause;
        // A node that does not read is noticed by its silence.
        let written = timeout(self.pause, exec.stdin.write(line(&Request::Renew))).await;
        tracing::debug!(node = %remote.node().name, is_written = matches!(written, Ok(Ok(()))), "renewed the lease");
        Ok(())
    }
}

/// Often enough that a lease survives three renewals that are lost.
pub(crate) fn renewal(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_millis(100), Duration::from_secs(5))
}
