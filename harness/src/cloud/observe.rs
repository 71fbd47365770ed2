//! What the cloud says of an instance.

use std::time::Duration;

use gpu_suites::event::ResourceKind;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::Purchase;
use super::consistency::CONSISTENT;
use super::error::{CloudError, Unanswered};
use super::ledger::{Evidence, Ledger};
use super::life::InstanceState;
use super::provider::Provider;

/// Between two looks for one, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSeen {
    pub id: String,
    pub state: InstanceState,
    /// The cloud's word for that, such as `shutting-down`.
    pub state_name: String,
    /// Whether it ends without being asked once more.
    pub ends: bool,
    /// Its public address; its private one where it runs without one.
    pub address: Option<String>,
    pub instance_type: String,
    pub zone: String,
    pub purchase: Purchase,
    pub launched_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Why it is in that state, e.g. `Client.InstanceInitiatedShutdown: Instance initiated shutdown`.
    pub reason: Option<String>,
    pub volumes: Vec<String>,
    /// Of these, those that the cloud deletes with it.
    pub goes_with: Vec<String>,
    /// What else its provider has made for it, such as a spot request.
    pub others: Vec<(ResourceKind, String)>,
}

impl InstanceSeen {
    /// Writes down what came with it, and that it was shown.
    pub fn note(&self, ledger: &Ledger, region: &str) {
        ledger.made(ResourceKind::INSTANCE, &self.id, region);
        ledger.heard(ResourceKind::INSTANCE, &self.id, Evidence::Shown);
        for volume in &self.volumes {
            ledger.made(ResourceKind::VOLUME, volume, region);
        }
        for volume in &self.goes_with {
            ledger.goes_with(volume, &self.id);
        }
        for (kind, id) in &self.others {
            ledger.made(*kind, id, region);
        }
    }
}

/// One of ours. Right after its launch it may be unknown for minutes, which are waited out by the cloud's clock.
pub async fn instance(cloud: &dyn Provider, id: &str) -> Result<InstanceSeen, CloudError> {
    within(cloud, id, CONSISTENT).await?.ok_or_else(|| {
        let region = cloud.region();
        Unanswered(format!("{region} has not shown instance {id} for five minutes")).into()
    })
}

/// One of ours; `None` where it was not shown through so much of the cloud's time.
pub(super) async fn within(
    cloud: &dyn Provider,
    id: &str,
    patience: SignedDuration,
) -> Result<Option<InstanceSeen>, CloudError> {
    let until = cloud.now().saturating_add(patience).unwrap_or(Timestamp::MAX);
    let mut pause = PAUSE.0;
    loop {
        let seen = now(cloud, id).await?;
        if seen.is_some() || cloud.now() >= until {
            return Ok(seen);
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

/// What one look shows of one of ours; `None` where it is not shown, which proves nothing.
pub async fn now(cloud: &dyn Provider, id: &str) -> Result<Option<InstanceSeen>, CloudError> {
    let seen = instances(cloud, &[id.to_owned()]).await?;
    Ok(seen.into_iter().find(|seen| seen.id == id))
}

/// These instances; those that the cloud does not know (any more) are missing.
pub async fn instances(cloud: &dyn Provider, ids: &[String]) -> Result<Vec<InstanceSeen>, CloudError> {
    if ids.is_empty() { Ok(Vec::new()) } else { cloud.observe(ids).await }
}
