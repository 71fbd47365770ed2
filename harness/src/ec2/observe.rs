//! What the cloud says of an instance.

use std::time::Duration;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{self, InstanceStateName};
use gpu_suites::event::ResourceKind;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use super::Purchase;
use super::cloud::{Cloud, CloudError};
use super::ledger::Ledger;
use super::life::InstanceState;

/// How long a new instance may be unknown to a part of EC2: what one call has made, the next may not see yet.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Between two looks for one.
const PAUSE: Duration = Duration::from_millis(500);

/// An instance as the cloud tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSeen {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: InstanceState,
    /// The cloud's word for that, such as `shutting-down`.
    pub state_name: String,
    /// Its public address; its private one where it runs without one.
    pub address: Option<String>,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// How it is paid for.
    pub purchase: Purchase,
    /// When it was launched.
    pub launched_at: Option<Timestamp>,
    /// When it began to end.
    pub ended_at: Option<Timestamp>,
    /// Why it is in that state, e.g. `Client.InstanceInitiatedShutdown: Instance initiated shutdown`.
    pub reason: Option<String>,
    /// Its volumes.
    pub volumes: Vec<String>,
    /// The spot request that it came from.
    pub spot_request: Option<String>,
}

impl InstanceSeen {
    /// Writes down what came with it.
    pub fn note(&self, ledger: &Ledger, region: &str) {
        ledger.made(ResourceKind::Instance, &self.id, region);
        for volume in &self.volumes {
            ledger.made(ResourceKind::Volume, volume, region);
        }
        if let Some(request) = &self.spot_request {
            ledger.made(ResourceKind::SpotRequest, request, region);
        }
    }

    fn of(instance: &types::Instance) -> Option<Self> {
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
        let reason =
            instance.state_reason().and_then(|reason| reason.message().or(reason.code())).and_then(told);
        let transition = instance.state_transition_reason().and_then(told);
        let volumes = instance.block_device_mappings().iter().filter_map(|device| device.ebs()?.volume_id());
        Some(Self {
            id: instance.instance_id()?.to_owned(),
            state,
            state_name: word.map(|word| word.as_str().to_owned()).unwrap_or_default(),
            address: instance
                .public_ip_address()
                .filter(|ip| !ip.is_empty())
                .or_else(private)
                .map(str::to_owned),
            instance_type: instance.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
            zone: instance.placement().and_then(|at| at.availability_zone()).unwrap_or_default().to_owned(),
            purchase: match instance.instance_lifecycle() {
                Some(types::InstanceLifecycleType::Spot) => Purchase::Spot,
                _ => Purchase::OnDemand,
            },
            launched_at: instance.launch_time().and_then(timestamp),
            ended_at: transition.as_deref().and_then(transition_time),
            reason: reason.or(transition),
            volumes: volumes.map(str::to_owned).collect(),
            spot_request: instance.spot_instance_request_id().and_then(told),
        })
    }
}

/// One of ours. Right after its launch it may be unknown for a while, which is waited out.
pub async fn instance(cloud: &Cloud, id: &str) -> Result<InstanceSeen, CloudError> {
    let until = Instant::now() + UNKNOWN;
    loop {
        let asked = cloud.ec2().describe_instances().instance_ids(id).send().await;
        let error = match asked.map_err(|error| CloudError::of("DescribeInstances", &error)) {
            Ok(answer) => {
                let found = answer.reservations().iter().flat_map(types::Reservation::instances);
                match found.filter_map(InstanceSeen::of).find(|seen| seen.id == id) {
                    Some(seen) => return Ok(seen),
                    None => CloudError::lacks("DescribeInstances", "the instance that was asked for")
                        .at(cloud.region()),
                }
            }
            Err(error) if error.is_not_found() => error,
            Err(error) => return Err(error),
        };
        if Instant::now() >= until {
            return Err(error);
        }
        sleep(PAUSE).await;
    }
}

/// Every instance that a fleet has launched, the ended ones too, for as long as EC2 tells of them.
pub async fn of_fleet(cloud: &Cloud, fleet: &str) -> Result<Vec<InstanceSeen>, CloudError> {
    let filter = types::Filter::builder().name("tag:aws:ec2:fleet-id").values(fleet).build();
    found(cloud.ec2().describe_instances().filters(filter)).await
}

/// These instances; those that EC2 does not know (any more) are missing.
pub async fn instances(cloud: &Cloud, ids: &[String]) -> Result<Vec<InstanceSeen>, CloudError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // A filter, since an id that is unknown fails the whole call.
    let filter = types::Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
    found(cloud.ec2().describe_instances().filters(filter)).await
}

async fn found(
    request: aws_sdk_ec2::operation::describe_instances::builders::DescribeInstancesFluentBuilder,
) -> Result<Vec<InstanceSeen>, CloudError> {
    let pages = request.into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| CloudError::of("DescribeInstances", &error))?;
    Ok(all.iter().flat_map(types::Reservation::instances).filter_map(InstanceSeen::of).collect())
}

/// A time as the SDK has it.
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
            InstanceSeen::of(&instance.set_public_ip_address(public.map(str::to_owned)).build())
                .unwrap()
                .address
        };
        assert_eq!(instance(InstanceStateName::Pending, None), None);
        assert_eq!(instance(InstanceStateName::Running, None).as_deref(), Some("10.0.0.7"));
        assert_eq!(instance(InstanceStateName::Running, Some("3.3.3.3")).as_deref(), Some("3.3.3.3"));
    }
}
