//! What became of calls whose answers never came.
//!
//! Each such call was given something of its own to be found by: a client token, or a name that nothing else has.

use std::time::Duration;

use aws_sdk_ec2::types::Filter;
use gpu_suites::event::ResourceKind;
use tokio::time::sleep;

use super::cloud::{Cloud, CloudError};
use super::ledger::{Doubt, Ledger};

/// What one call has made, another may not see at once: after a look that finds nothing comes a second.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// Writes down what such calls have made; those about which nothing can be learnt now are returned.
pub(super) async fn clear_up(cloud: &Cloud, ledger: &Ledger) -> Vec<(Doubt, CloudError)> {
    let mut open = Vec::new();
    for doubt in ledger.doubts() {
        match look_twice(cloud, &doubt).await {
            Ok(ids) => {
                for id in ids {
                    ledger.made(doubt.resource, &id, cloud.region());
                }
                ledger.is_cleared(&doubt);
            }
            Err(error) => open.push((doubt, error)),
        }
    }
    open
}

async fn look_twice(cloud: &Cloud, doubt: &Doubt) -> Result<Vec<String>, CloudError> {
    let found = look(cloud, doubt).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    sleep(SECOND_LOOK).await;
    look(cloud, doubt).await
}

async fn look(cloud: &Cloud, doubt: &Doubt) -> Result<Vec<String>, CloudError> {
    let by = |name: &str| Filter::builder().name(name).values(&doubt.by).build();
    match doubt.resource {
        ResourceKind::Fleet => {
            // There is no filter for it.
            let all = cloud.ec2().describe_fleets().into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| CloudError::of("DescribeFleets", &error))?;
            let ours = all.into_iter().filter(|fleet| fleet.client_token() == Some(doubt.by.as_str()));
            Ok(ours.filter_map(|fleet| fleet.fleet_id).collect())
        }
        ResourceKind::LaunchTemplate => {
            let asked = cloud.ec2().describe_launch_templates().filters(by("launch-template-name"));
            let answer =
                asked.send().await.map_err(|error| CloudError::of("DescribeLaunchTemplates", &error))?;
            let ours = answer.launch_templates.unwrap_or_default().into_iter();
            Ok(ours.filter_map(|template| template.launch_template_id).collect())
        }
        ResourceKind::SecurityGroup => {
            let asked = cloud.ec2().describe_security_groups().filters(by("group-name"));
            let answer =
                asked.send().await.map_err(|error| CloudError::of("DescribeSecurityGroups", &error))?;
            let ours = answer.security_groups.unwrap_or_default().into_iter();
            Ok(ours.filter_map(|group| group.group_id).collect())
        }
        // Fleets make these, not we.
        ResourceKind::Instance | ResourceKind::Volume | ResourceKind::SpotRequest => Ok(Vec::new()),
    }
}
