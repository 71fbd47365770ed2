//! A provisioned node: its agent, what it may cost, and whether the cloud has ended it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::access::Access;
use super::boot::Booted;
use super::keys::NodeKeys;
use super::lease::{self, Renewal};
use super::ledger::Ledger;
use super::life::InstanceState;
use super::observe::{self, InstanceSeen};
use super::provider::Region;
use super::{CloudSettings, Purchase, Usd};
use crate::node::remote::Remote;
use crate::session::Budget;

/// How often the cloud is asked whether it has ended a node that is in use.
const WATCH: Duration = Duration::from_secs(15);

pub struct ProvisionedNode {
    pub remote: Remote,
    pub(super) cloud: Region,
    pub(super) ledger: Ledger,
    pub(super) keys: Arc<NodeKeys>,
    pub(super) instance: InstanceSeen,
    pub(super) expires_at: Timestamp,
    budget: Option<Budget>,
    /// Keeps it alive for as long as this run has it.
    renewal: Option<Renewal>,
}

#[derive(Debug, Clone)]
pub(super) struct Price {
    pub(super) instance: String,
    pub(super) per_hour: Option<Usd>,
    /// From when on this run pays for it.
    pub(super) since: Timestamp,
}

impl ProvisionedNode {
    pub(super) fn new(
        booted: Booted,
        book: (Region, Ledger),
        keys: Arc<NodeKeys>,
        expires_at: Timestamp,
        budget: Option<Budget>,
    ) -> Self {
        let Booted { remote, instance, renewal } = booted;
        let (cloud, ledger) = book;
        Self { remote, cloud, ledger, keys, instance, expires_at, budget, renewal: Some(renewal) }
    }

    pub fn instance(&self) -> &str {
        &self.instance.id
    }

    /// Whether the cloud may take it back.
    pub fn is_spot(&self) -> bool {
        self.instance.purchase == Purchase::Spot
    }

    /// Leaves the node alone: it ends after that time, unless somebody else renews its lease by then.
    pub(super) async fn leave(&mut self, settings: &CloudSettings, bound: Duration) -> Result<(), String> {
        let host = self.instance.address.clone().unwrap_or_default();
        let access = Access::new(settings, &host, Arc::clone(&self.keys));
        self.renewal = None;
        lease::leave(&access, bound).await
    }

    /// What it may cost, in time.
    pub fn budget(&self) -> Option<Budget> {
        self.budget.clone()
    }

    /// Ends when the cloud has ended the instance; says why.
    pub fn watch(&self) -> impl Future<Output = String> + use<> {
        let (cloud, id) = (self.cloud.clone(), self.instance.id.clone());
        async move {
            loop {
                sleep(WATCH).await;
                // An API that is out of reach says nothing about the node.
                let Ok(Some(seen)) = observe::now(&*cloud, &id).await else { continue };
                if matches!(seen.state, InstanceState::Ending | InstanceState::Terminated) {
                    return seen.reason.unwrap_or_else(|| "the cloud ended it and says no reason".to_owned());
                }
            }
        }
    }
}
