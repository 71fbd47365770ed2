//! What became of calls whose answers never came.
//!
//! Each such call was given something of its own to be found by: a client token, or a name that nothing else has. What
//! it has made may not be known everywhere for minutes, so that it is asked for until the ledger believes that there is
//! nothing. What a fleet has launched carries the token as a tag, and is found even where its fleet is not.

use aws_sdk_ec2::types::Filter;
use gpu_suites::event::ResourceKind;

use super::cloud::{Cloud, CloudError};
use crate::cloud::ledger::{Doubt, Ledger};
use crate::cloud::observe;

/// Writes down what such calls have made; those about which nothing can be learnt now are returned.
pub(super) async fn clear_up(cloud: &Cloud, ledger: &Ledger) -> Vec<(Doubt, CloudError)> {
    let mut open = Vec::new();
    for doubt in ledger.doubts() {
        match look(cloud, ledger, &doubt).await {
            Ok(ids) if ids.is_empty() => ledger.made_nothing(&doubt, cloud.now()),
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

async fn look(cloud: &Cloud, ledger: &Ledger, doubt: &Doubt) -> Result<Vec<String>, CloudError> {
    let by = |name: &str| Filter::builder().name(name).values(&doubt.by).build();
    match doubt.resource {
        ResourceKind::Fleet => {
            for instance in observe::of_launch(cloud, &doubt.by).await? {
                instance.note(ledger, cloud.region());
            }
            // There is no filter for it.
            let all = cloud.ec2().describe_fleets().into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| CloudError::of("DescribeFleets", &error))?;
            let ours = all.into_iter().filter(|fleet| fleet.client_token() == Some(doubt.by.as_str()));
            Ok(ours.filter_map(|fleet| fleet.fleet_id).collect())
        }
        ResourceKind::LaunchTemplate => {
            let asked = cloud.ec2().describe_launch_templates().filters(by("launch-template-name"));
            let all = asked.into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| CloudError::of("DescribeLaunchTemplates", &error))?;
            Ok(all.into_iter().filter_map(|template| template.launch_template_id).collect())
        }
        ResourceKind::SecurityGroup => {
            let asked = cloud.ec2().describe_security_groups().filters(by("group-name"));
            let all = asked.into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| CloudError::of("DescribeSecurityGroups", &error))?;
            Ok(all.into_iter().filter_map(|group| group.group_id).collect())
        }
        // Fleets make these, not we.
        ResourceKind::Instance | ResourceKind::Volume | ResourceKind::SpotRequest => Ok(Vec::new()),
    }
}
