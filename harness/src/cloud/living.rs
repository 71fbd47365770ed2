//! The nodes that live now, and what they have cost, by the cloud's own account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::InstanceType;
use gpu_suites::event::ResourceKind;
use gpu_suites::unit::Span;
use jiff::Timestamp;
use serde::Serialize;

use super::ec2::cloud::{Cloud, CloudError};
use super::found::{Found, age};
use super::ec2::inventory::inventory;
use super::{Usd, prices};

/// A node that lives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Living {
    /// The instance.
    #[serde(flatten)]
    pub found: Found,
    /// Since its launch.
    pub age: Option<Span>,
    /// Until it ends; below 0: past its end.
    pub remaining_seconds: Option<i64>,
    /// US dollars an hour now; `None` where nobody knows.
    pub usd_per_hour: Option<f64>,
    /// That, since the launch.
    pub cost: Option<f64>,
}

impl Living {
    /// How long it has left, for people.
    pub fn expires_in(&self) -> String {
        match self.remaining_seconds {
            None => "?".to_owned(),
            Some(left) if left < 0 => format!("-{}", Span(Duration::from_secs(left.unsigned_abs()))),
            Some(left) => Span(Duration::from_secs(left.unsigned_abs())).to_string(),
        }
    }
}

/// The nodes of one region.
pub async fn living(cloud: &Cloud, users: &BTreeMap<String, Usd>) -> Result<Vec<Living>, CloudError> {
    let mut all = inventory(cloud).await?;
    all.retain(|found| found.resource == ResourceKind::Instance && !found.is_final);
    let now = cloud.now();
    let types: BTreeSet<_> =
        all.iter().filter_map(|found| found.instance.as_ref()).map(|one| one.instance_type.clone()).collect();
    // A price that cannot be had is no reason to hide a node.
    let spot = spot_prices(cloud, types, now).await.unwrap_or_default();
    Ok(all.into_iter().map(|found| told(found, now, &spot, users)).collect())
}

fn told(
    found: Found,
    now: Timestamp,
    spot: &HashMap<(String, String), f64>,
    users: &BTreeMap<String, Usd>,
) -> Living {
    let instance = found.instance.clone().unwrap_or_default();
    let usd_per_hour = if instance.market == "spot" {
        spot.get(&(instance.instance_type, instance.zone)).copied()
    } else {
        prices::on_demand(&instance.instance_type, &found.region, users).map(|price| price.usd.0)
    };
    let age = age(&found, now);
    Living {
        age: age.map(|age| Span(Duration::from_secs(age.as_secs()))),
        remaining_seconds: found.owner.expires_at.map(|at| now.duration_until(at).as_secs()),
        cost: usd_per_hour.zip(age).map(|(usd, age)| usd * age.as_secs_f64() / 3600.0),
        usd_per_hour,
        found,
    }
}

/// What spot costs now, by type and zone.
pub async fn spot_prices(
    cloud: &Cloud,
    types: BTreeSet<String>,
    now: Timestamp,
) -> Result<HashMap<(String, String), f64>, CloudError> {
    if types.is_empty() {
        return Ok(HashMap::new());
    }
    let pages = cloud
        .ec2()
        .describe_spot_price_history()
        .set_instance_types(Some(types.iter().map(|name| InstanceType::from(name.as_str())).collect()))
        .product_descriptions("Linux/UNIX")
        // From now to now: the price that holds.
        .start_time(DateTime::from_secs(now.as_second()))
        .into_paginator()
        .items()
        .send();
    let all =
        pages.try_collect().await.map_err(|error| CloudError::of("DescribeSpotPriceHistory", &error))?;
    let prices = all.into_iter().filter_map(|price| {
        let pool = (price.instance_type()?.as_str().to_owned(), price.availability_zone()?.to_owned());
        Some((pool, price.spot_price()?.parse().ok()?))
    });
    Ok(prices.collect())
}
