//! How each thing is ended that was made in EC2, and what is found of calls whose answers never came.

use aws_sdk_ec2::types::{Filter, Volume, VolumeState};
use gpu_suites::event::ResourceKind;

use super::cloud::{Cloud, Ec2Error};
use super::{fleet, kinds, observe};
use crate::cloud::error::Fault as _;
use crate::cloud::ledger::UnconfirmedCall;
use crate::cloud::provider::{End, EndState, Traces};

/// Asks for a thing's end.
pub(super) async fn end(cloud: &Cloud, resource: ResourceKind, id: &str) -> Result<End, Ec2Error> {
    let ended = match resource {
        kinds::FLEET => return fleet::end(cloud, id).await,
        kinds::SECURITY_GROUP => return security_group(cloud, id).await,
        kinds::LAUNCH_TEMPLATE => {
            let asked = cloud.ec2().delete_launch_template().launch_template_id(id).send().await;
            asked
                .map(|_| EndState::Gone("deleted".to_owned()))
                .map_err(|error| Ec2Error::of("DeleteLaunchTemplate", &error))
        }
        ResourceKind::INSTANCE => terminate(cloud, id).await.map(|()| EndState::Asked),
        kinds::SPOT_REQUEST => spot_request(cloud, id).await,
        ResourceKind::VOLUME => volume(cloud, id).await,
        // Of no kind that is made here.
        _ => Ok(EndState::NotShown),
    };
    match ended {
        // Another was quicker, or a part of EC2 does not know it yet.
        Err(error) if error.is_not_found() => Ok(EndState::NotShown.into()),
        ended => ended.map(End::from),
    }
}

/// Ends an instance at once: without `Force` and `SkipOsShutdown`, EC2 waits for its system to shut down, and bills for
/// that. Where it does not take the two (they came in 2025, and not to every partition and instance type), it is asked
/// without them.
async fn terminate(cloud: &Cloud, id: &str) -> Result<(), Ec2Error> {
    let call = cloud.ec2().terminate_instances().instance_ids(id);
    let at_once = call.clone().force(true).skip_os_shutdown(true).send().await.map(drop);
    match at_once.map_err(|error| Ec2Error::of("TerminateInstances", &error)) {
        Err(error) if error.is_about_parameters() => {
            let asked = call.send().await.map(drop);
            asked.map_err(|error| Ec2Error::of("TerminateInstances", &error))
        }
        ended => ended,
    }
}

async fn spot_request(cloud: &Cloud, id: &str) -> Result<EndState, Ec2Error> {
    let asked = cloud.ec2().describe_spot_instance_requests().filters(by("spot-instance-request-id", id));
    let shown = asked.into_paginator().items().send().try_collect().await;
    let shown = shown.map_err(|error| Ec2Error::of("DescribeSpotInstanceRequests", &error))?;
    let Some(request) = shown.first() else { return Ok(EndState::NotShown) };
    let state = request.state().map_or("unknown", |state| state.as_str());
    if let "closed" | "cancelled" | "failed" = state {
        return Ok(EndState::Gone(state.to_owned()));
    }
    // Its instance has ended: it is about to close, or would have another launched.
    let asked = cloud.ec2().cancel_spot_instance_requests().spot_instance_request_ids(id).send().await;
    let asked = asked.map_err(|error| Ec2Error::of("CancelSpotInstanceRequests", &error));
    Ok(asked.map_or_else(|error| EndState::Refused(error.into()), |_| EndState::Asked))
}

/// A volume should have gone with its instance.
async fn volume(cloud: &Cloud, id: &str) -> Result<EndState, Ec2Error> {
    let asked = cloud.ec2().describe_volumes().filters(by("volume-id", id));
    let shown = asked.into_paginator().items().send().try_collect().await;
    let shown = shown.map_err(|error| Ec2Error::of("DescribeVolumes", &error))?;
    let Some(volume) = shown.first() else { return Ok(EndState::NotShown) };
    if volume.state() == Some(&VolumeState::Deleted) {
        return Ok(EndState::Gone("deleted".to_owned()));
    }
    if let Some(why) = waits(volume) {
        return Ok(EndState::Waits(why));
    }
    let asked = cloud.ec2().delete_volume().volume_id(id).send().await;
    let asked = asked.map_err(|error| Ec2Error::of("DeleteVolume", &error));
    Ok(asked.map_or_else(|error| EndState::Refused(error.into()), |_| EndState::Deleted))
}

/// Why a volume cannot be deleted now.
pub(super) fn waits(volume: &Volume) -> Option<String> {
    let state = volume.state().map_or("unknown", |state| state.as_str());
    (!matches!(state, "available" | "error")).then(|| format!("it is {state}"))
}

async fn security_group(cloud: &Cloud, id: &str) -> Result<End, Ec2Error> {
    let asked = cloud.ec2().delete_security_group().group_id(id).send().await;
    let error = match asked.map_err(|error| Ec2Error::of("DeleteSecurityGroup", &error)) {
        Ok(_) => return Ok(EndState::Gone("deleted".to_owned()).into()),
        Err(error) if error.is_not_found() => return Ok(EndState::NotShown.into()),
        Err(error) => error,
    };
    // Something lives in it that nobody has told of yet.
    let instances = if error.is_busy() { observe::of_group(cloud, id).await? } else { Vec::new() };
    Ok(End { state: EndState::Refused(error.into()), instances })
}

fn by(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// What a call has made whose answer never came. Each such call was given something of its own to be found by: a client
/// token, or a name that nothing else has. What a fleet has launched carries the token as a tag, and is found even where
/// its fleet is not.
pub(super) async fn traces(cloud: &Cloud, doubt: &UnconfirmedCall) -> Result<Traces, Ec2Error> {
    let mut instances = Vec::new();
    let ids = match doubt.resource {
        kinds::FLEET => {
            instances = observe::of_launch(cloud, &doubt.by).await?;
            // There is no filter for it.
            let all = cloud.ec2().describe_fleets().into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| Ec2Error::of("DescribeFleets", &error))?;
            let ours = all.into_iter().filter(|fleet| fleet.client_token() == Some(doubt.by.as_str()));
            ours.filter_map(|fleet| fleet.fleet_id).collect()
        }
        kinds::LAUNCH_TEMPLATE => {
            let asked =
                cloud.ec2().describe_launch_templates().filters(by("launch-template-name", &doubt.by));
            let all = asked.into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| Ec2Error::of("DescribeLaunchTemplates", &error))?;
            all.into_iter().filter_map(|template| template.launch_template_id).collect()
        }
        kinds::SECURITY_GROUP => {
            let asked = cloud.ec2().describe_security_groups().filters(by("group-name", &doubt.by));
            let all = asked.into_paginator().items().send().try_collect().await;
            let all = all.map_err(|error| Ec2Error::of("DescribeSecurityGroups", &error))?;
            all.into_iter().filter_map(|group| group.group_id).collect()
        }
        // Fleets make these, not we.
        _ => Vec::new(),
    };
    Ok(Traces { ids, instances })
}
