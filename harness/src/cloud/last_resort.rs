//! What is done where the cloud's API does not end an instance: the instance is told to end itself, over ssh.
//!
//! Credentials that have run out, a permission that is missing, an API that is down: none of them keeps the node from
//! shutting down, which terminates it. Nothing is called gone for that; the receipt says what was done.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gpu_suites::event::{Event, ResourceKind, ShutdownAsked, Warning};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::access::Access;
use super::lease;
use super::ledger::Ledger;
use super::life::InstanceState;
use super::observe;
use super::provider::Provider;
use super::release::Released;

/// How long the API is given before the node itself is told.
const PATIENCE: Duration = Duration::from_secs(15);

/// All that it takes.
pub(super) struct LastResort<'a> {
    pub(super) cloud: &'a dyn Provider,
    pub(super) ledger: &'a Ledger,
    pub(super) access: &'a OnceLock<Access>,
    pub(super) sink: &'a UnboundedSender<Event>,
}

impl LastResort<'_> {
    /// Goes on beside a release: tells the node where that takes long, or has come to nothing.
    pub(super) async fn beside(&self, releasing: impl Future<Output = Released>) -> Released {
        let mut releasing = pin!(releasing);
        let told = AtomicBool::new(false);
        let tell_late = async {
            sleep(PATIENCE).await;
            told.store(self.tell().await, Ordering::Relaxed);
            std::future::pending().await
        };
        let released = tokio::select! {
            biased;
            released = &mut releasing => released,
            never = tell_late => never,
        };
        if !told.load(Ordering::Relaxed)
            && released.left.iter().any(|left| left.resource == ResourceKind::INSTANCE)
        {
            self.tell().await;
        }
        released
    }

    /// Tells each instance to end that the cloud does not show as ending; whether one was told.
    async fn tell(&self) -> bool {
        let Some(access) = self.access.get() else { return false };
        let mut told = false;
        for instance in self.ledger.left_of(ResourceKind::INSTANCE) {
            let seen = observe::instances(self.cloud, std::slice::from_ref(&instance)).await;
            let ends = |state| matches!(state, InstanceState::Ending | InstanceState::Terminated);
            if seen.is_ok_and(|seen| seen.iter().any(|seen| ends(seen.state))) {
                continue;
            }
            let event = match lease::shut_down(access).await {
                Ok(()) => {
                    told = true;
                    ShutdownAsked { node: self.ledger.node().clone(), instance }.into()
                }
                Err(why) => {
                    let message = format!("{instance} cannot be told by ssh to shut down either: {why}");
                    Warning { case: None, message }.into()
                }
            };
            let _ = self.sink.send(event);
        }
        told
    }
}
