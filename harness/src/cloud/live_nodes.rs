//! The nodes that live now, and what they have cost, by the cloud's own account.

use std::collections::HashMap;
use std::time::Duration;

use gpu_suites::event::ResourceKind;
use gpu_suites::unit::Span;
use jiff::Timestamp;
use serde::Serialize;

use super::Usd;
use super::error::CloudError;
use super::provider::Provider;
use super::tagged::{TaggedResource, age};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveNode {
    #[serde(flatten)]
    pub found: TaggedResource,
    pub age: Option<Span>,
    /// Until it ends; below 0: past its end.
    pub remaining_seconds: Option<i64>,
    /// US dollars an hour now; `None` where nobody knows.
    pub usd_per_hour: Option<f64>,
    /// That, since the launch.
    pub cost: Option<f64>,
}

impl LiveNode {
    /// How long it has left, for people.
    pub fn expires_in(&self) -> String {
        match self.remaining_seconds {
            None => "?".to_owned(),
            Some(left) if left < 0 => format!("-{}", Span(Duration::from_secs(left.unsigned_abs()))),
            Some(left) => Span(Duration::from_secs(left.unsigned_abs())).to_string(),
        }
    }
}

pub async fn live_nodes(cloud: &dyn Provider) -> Result<Vec<LiveNode>, CloudError> {
    let mut all = cloud.inventory().await?;
    all.retain(|found| found.resource == ResourceKind::INSTANCE && !found.is_final);
    let now = cloud.now();
    // A price that cannot be had is no reason to hide a node.
    let prices = cloud.prices(&all).await;
    Ok(all.into_iter().map(|found| told(found, now, &prices)).collect())
}

fn told(found: TaggedResource, now: Timestamp, prices: &HashMap<String, Usd>) -> LiveNode {
    let usd_per_hour = prices.get(&found.id).map(|price| price.0);
    let age = age(&found, now);
    LiveNode {
        age: age.map(|age| Span(Duration::from_secs(age.as_secs()))),
        remaining_seconds: found.owner.expires_at.map(|at| now.duration_until(at).as_secs()),
        cost: usd_per_hour.zip(age).map(|(usd, age)| usd * age.as_secs_f64() / 3600.0),
        usd_per_hour,
        found,
    }
}
