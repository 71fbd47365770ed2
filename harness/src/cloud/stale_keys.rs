//! The keys of kept nodes that are no more: a key that opens nothing is only a thing to lose.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_ec2::types::Filter;

use super::ec2::cloud::{Cloud, CloudError};
use super::kept;

/// EC2 forgets a terminated instance after an hour. One that no region knows may be in a region that was not asked;
/// after this long it is no more, wherever it was.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Removes the keys in `cache` whose instances have ended; the instances.
pub async fn forget(cache: &Path, clouds: &[Cloud]) -> Result<Vec<String>, CloudError> {
    let held = kept::instances(cache);
    if held.is_empty() {
        return Ok(held);
    }
    let (mut living, mut ended) = (HashSet::new(), HashSet::new());
    for cloud in clouds {
        for (id, is_final) in states(cloud, &held).await? {
            if is_final {
                ended.insert(id)
            } else {
                living.insert(id)
            };
        }
    }
    let is_stale =
        |id: &String| ended.contains(id) || !living.contains(id) && is_old(&cache.join("kept").join(id));
    let stale = held.into_iter().filter(is_stale);
    // What cannot be removed is tried again by the next.
    Ok(stale.filter(|id| kept::forget(cache, id).is_ok()).collect())
}

/// The instances of these that the region knows, and whether each has ended.
async fn states(cloud: &Cloud, ids: &[String]) -> Result<Vec<(String, bool)>, CloudError> {
    // As a filter, unknown ids fail no call.
    let filter = Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
    let pages = cloud.ec2().describe_instances().filters(filter).into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| CloudError::of("DescribeInstances", &error))?;
    let instances = all.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default());
    let states = instances.filter_map(|instance| {
        let is_final =
            instance.state().and_then(|state| state.name()).is_some_and(|name| name.as_str() == "terminated");
        Some((instance.instance_id?, is_final))
    });
    Ok(states.collect())
}

fn is_old(folder: &Path) -> bool {
    let changed = fs::metadata(folder).and_then(|folder| folder.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FORGOTTEN))
}
