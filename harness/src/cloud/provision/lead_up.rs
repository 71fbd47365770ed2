//! How an instance becomes a node: what it is and costs is told, and it is led up for as long as the money lasts.

use std::sync::Arc;
use std::time::Duration;

use gpu_suites::event::NodeProvisioned;
use gpu_suites::unit::Span;
use jiff::Timestamp;

use super::Provision;
use crate::cloud::boot::{Boot, BootError};
use crate::cloud::keys::NodeKeys;
use crate::cloud::ledger::Ledger;
use crate::cloud::observe::InstanceSeen;
use crate::cloud::provider::{Provider, Region, TypeGpus};
use crate::cloud::provisioned::{Price, ProvisionedNode};
use crate::cloud::{CloudSettings, Usd};
use crate::config::need::NodeNeed;
use crate::node::health;
use crate::session::Budget;
use crate::session::moment::Moment;

/// The share of its money at which a run warns.
const WARN: f64 = 0.8;

/// An instance that is there, and what is to be known of it to lead it up.
pub(in crate::cloud) struct Instance {
    pub(in crate::cloud) cloud: Region,
    pub(in crate::cloud) ledger: Ledger,
    pub(in crate::cloud) seen: InstanceSeen,
    pub(in crate::cloud) keys: Arc<NodeKeys>,
    pub(in crate::cloud) per_hour: Option<Usd>,
    /// From when on this run pays for it.
    pub(in crate::cloud) since: Timestamp,
    pub(in crate::cloud) asked_at: Timestamp,
    /// The GPUs of its type.
    pub(in crate::cloud) gpus: Option<TypeGpus>,
    pub(in crate::cloud) expires_at: Timestamp,
    pub(in crate::cloud) boot_timeout: Duration,
}

impl Provision {
    /// Leads an instance up, and tells what it is and what it costs. One that is no good stays in the books.
    pub(in crate::cloud) async fn lead_up(
        &mut self,
        instance: Instance,
    ) -> Result<ProvisionedNode, BootError> {
        let Instance { cloud, ledger, seen, keys, per_hour, since, asked_at, gpus, expires_at, boot_timeout } =
            instance;
        let health = wanted(&self.order.need, gpus.as_ref());
        let access = self.books.has(&ledger, Price { instance: seen.id.clone(), per_hour, since }, gpus);
        self.tell(NodeProvisioned {
            node: self.order.node.name.clone(),
            instance: seen.id.clone(),
            instance_type: seen.instance_type.clone(),
            zone: seen.zone.clone(),
            market: seen.purchase.to_string(),
            usd_per_hour: per_hour.map(|usd| usd.0),
            expires_at,
        });
        let settings = CloudSettings { boot_timeout, ..(*self.order.settings).clone() };
        let boot = Boot {
            cloud: &*cloud,
            ledger: &ledger,
            settings: &settings,
            node: &self.order.node,
            keys: &keys,
            access: &access,
            health,
            env: &self.order.env,
            sink: &self.sink,
            asked_at,
        };
        // What is spent, is spent since the launch.
        let budget = self.budget(&*cloud, per_hour);
        let booted = boot.lead(&seen.id, budget.as_ref()).await?;
        Ok(ProvisionedNode::new(booted, (cloud, ledger), keys, expires_at, budget))
    }

    /// What the run's money means for this node, as times on our own clock.
    fn budget(&self, cloud: &dyn Provider, price: Option<Usd>) -> Option<Budget> {
        let (limit, price, left) = (self.books.meter.limit()?, price?, self.books.meter.left(cloud.now())?);
        // What lasts for thirty years is no limit; what is no number buys no time.
        let lasts = |dollars: f64| {
            Duration::try_from_secs_f64((dollars / price.0 * 3600.0).clamp(0.0, 1e9)).unwrap_or_default()
        };
        let warning = left - limit.0 * (1.0 - WARN);
        let spent =
            format!("the run has spent its max-cost of {limit}, with what giving its node back costs");
        let warned = format!(
            "80 % of max-cost {limit} are spent; at {price} an hour the rest lasts {}",
            Span(lasts(left - warning))
        );
        Some(Budget {
            warn_at: Some((Moment::after(lasts(warning.max(0.0))), warned)),
            end_at: (Moment::after(lasts(left.max(0.0))), spent),
        })
    }
}

/// The GPUs that the node has to have: those of its type, if that is more than what was needed.
fn wanted(need: &NodeNeed, gpus: Option<&TypeGpus>) -> health::Requirements {
    let mut wanted = health::Requirements::from(need);
    if let Some(gpus) = gpus {
        wanted.gpus = wanted.gpus.max(gpus.count);
        wanted.name = Some(gpus.name.clone());
    }
    wanted
}
