//! What EC2 says of an instance.

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{self, InstanceStateName};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::Purchase;
use super::cloud::{Cloud, Ec2Error};
use super::kinds;
use crate::cloud::life::InstanceState;
use crate::cloud::observe::InstanceSeen;
use crate::cloud::tags;

/// An instance in our words.
fn seen(instance: &types::Instance) -> Option<InstanceSeen> {
    let word = instance.state().and_then(types::InstanceState::name);
    let state = match word {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        Some(_) => InstanceState::Ending,
        None => return None,
    };
    let private = || instance.private_ip_address().filter(|_| state == InstanceState::Running);
    let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let reason = instance.state_reason().and_then(|reason| reason.message().or(reason.code())).and_then(told);
    let transition = instance.state_transition_reason().and_then(told);
    let disks = instance.block_device_mappings().iter().filter_map(types::InstanceBlockDeviceMapping::ebs);
    let goes_with = disks.clone().filter(|disk| disk.delete_on_termination() == Some(true));
    Some(InstanceSeen {
        id: instance.instance_id()?.to_owned(),
        state,
        ends: matches!(word, Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)),
        state_name: word.map(|word| word.as_str().to_owned()).unwrap_or_default(),
        address: instance.public_ip_address().filter(|ip| !ip.is_empty()).or_else(private).map(str::to_owned),
        instance_type: instance.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        zone: instance.placement().and_then(|at| at.availability_zone()).unwrap_or_default().to_owned(),
        purchase: match instance.instance_lifecycle() {
            Some(types::InstanceLifecycleType::Spot) => Purchase::Spot,
            _ => Purchase::OnDemand,
        },
        launched_at: instance.launch_time().and_then(timestamp),
        ended_at: transition.as_deref().and_then(transition_time),
        reason: reason.or(transition),
        volumes: disks.filter_map(|disk| disk.volume_id().map(str::to_owned)).collect(),
        goes_with: goes_with.filter_map(|disk| disk.volume_id().map(str::to_owned)).collect(),
        others: instance
            .spot_instance_request_id()
            .and_then(told)
            .map(|id| (kinds::SPOT_REQUEST, id))
            .into_iter()
            .collect(),
    })
}

/// Every instance that a fleet has launched, the ended ones too, for as long as EC2 tells of them.
pub async fn of_fleet(cloud: &Cloud, fleet: &str) -> Result<Vec<InstanceSeen>, Ec2Error> {
    by(cloud, "tag:aws:ec2:fleet-id", fleet).await
}

/// Every instance that came of the launch with this client token, by its tag.
pub(super) async fn of_launch(cloud: &Cloud, token: &str) -> Result<Vec<InstanceSeen>, Ec2Error> {
    by(cloud, &format!("tag:{}", tags::LAUNCH), token).await
}

/// Every instance that a security group lets somebody in to.
pub(super) async fn of_group(cloud: &Cloud, group: &str) -> Result<Vec<InstanceSeen>, Ec2Error> {
    by(cloud, "instance.group-id", group).await
}

async fn by(cloud: &Cloud, name: &str, value: &str) -> Result<Vec<InstanceSeen>, Ec2Error> {
    let filter = types::Filter::builder().name(name).values(value).build();
    found(cloud.ec2().describe_instances().filters(filter)).await
}

/// These instances; those that EC2 does not know (any more) are missing.
pub async fn instances(cloud: &Cloud, ids: &[String]) -> Result<Vec<InstanceSeen>, Ec2Error> {
    // A filter, since an id that is unknown fails the whole call.
    let filter = types::Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
    found(cloud.ec2().describe_instances().filters(filter)).await
}

async fn found(
    request: aws_sdk_ec2::operation::describe_instances::builders::DescribeInstancesFluentBuilder,
) -> Result<Vec<InstanceSeen>, Ec2Error> {
    let pages = request.into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeInstances", &error))?;
    Ok(all.iter().flat_map(types::Reservation::instances).filter_map(seen).collect())
}

pub(super) fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

/// The time in `User initiated (2026-11-23 01:02:03 GMT)`.
fn transition_time(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.split_once('(')?;
    let (text, _) = rest.split_once(')')?;
    let time = text.trim_end_matches(" GMT").trim_end_matches(" UTC");
    let time = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_end_is_read_from_the_reason_and_other_words_have_none() {
        let at = Some("2026-11-23T01:02:03Z".parse().unwrap());
        assert_eq!(transition_time("User initiated (2026-11-23 01:02:03 GMT)"), at);
        assert_eq!(transition_time("User initiated (2026-11-23 01:02:03 UTC)"), at);
        for reason in
            ["", "User initiated", "Server.SpotInstanceTermination", "(soon)", "User initiated (GMT"]
        {
            assert_eq!(transition_time(reason), None, "{reason}");
        }
    }

    #[test]
    fn a_node_without_a_public_address_is_reached_by_its_private_one_once_it_runs() {
        let instance = |state, public: Option<&str>| {
            let state = types::InstanceState::builder().name(state).build();
            let instance =
                types::Instance::builder().instance_id("i-1").state(state).private_ip_address("10.0.0.7");
            seen(&instance.set_public_ip_address(public.map(str::to_owned)).build()).unwrap().address
        };
        assert_eq!(instance(InstanceStateName::Pending, None), None);
        assert_eq!(instance(InstanceStateName::Running, None).as_deref(), Some("10.0.0.7"));
        assert_eq!(instance(InstanceStateName::Running, Some("3.3.3.3")).as_deref(), Some("3.3.3.3"));
    }
}
