//! Everything of ours in one region, by tags alone.

use std::collections::HashMap;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{self, Filter, Tag};
use gpu_suites::event::ResourceKind;
use jiff::Timestamp;

use super::cloud::{Cloud, Ec2Error};
use super::{end, kinds};
use crate::cloud::tagged::{self, Instance, Owner, TaggedResource};
use crate::cloud::tags;

/// What one call found.
type Looked = Result<Vec<TaggedResource>, Ec2Error>;

/// Asks for everything at once; what is found may be in a final state.
pub(super) async fn inventory(cloud: &Cloud) -> Looked {
    let mut all = Vec::new();
    for (_, looked) in each(cloud).await {
        all.extend(looked?);
    }
    tagged::date(&mut all);
    Ok(all)
}

/// What each of the calls found, by its name.
pub(super) async fn each(cloud: &Cloud) -> [(&'static str, Looked); 6] {
    let (fleets, requests, instances, volumes, templates, groups) = tokio::join!(
        fleets(cloud),
        spot_requests(cloud),
        instances(cloud),
        volumes(cloud),
        launch_templates(cloud),
        security_groups(cloud),
    );
    [
        ("DescribeFleets", fleets),
        ("DescribeSpotInstanceRequests", requests),
        ("DescribeInstances", instances),
        ("DescribeVolumes", volumes),
        ("DescribeLaunchTemplates", templates),
        ("DescribeSecurityGroups", groups),
    ]
}

/// Reads the tags of one thing again; `None` where it has none of ours any more.
pub(super) async fn owner_now(cloud: &Cloud, id: &str) -> Result<Option<Owner>, Ec2Error> {
    let filter = Filter::builder().name("resource-id").values(id).build();
    let pages = cloud.ec2().describe_tags().filters(filter).into_paginator().items().send();
    let tags = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeTags", &error))?;
    let texts = tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value?)));
    Ok(Owner::of(&texts.collect()))
}

fn ours() -> Filter {
    Filter::builder().name("tag-key").values(tags::RUN).build()
}

async fn instances(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_instances().filters(ours()).into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeInstances", &error))?;
    let all = all.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default());
    let found = all.filter_map(|instance| {
        let state = instance.state().and_then(|state| state.name()).map_or("unknown", |name| name.as_str());
        let is_final = state == "terminated";
        let thing = Thing { id: instance.instance_id()?, state, is_final, made: instance.launch_time() };
        let mut found = thing.found(cloud, ResourceKind::INSTANCE, instance.tags())?;
        found.waits = (state == "shutting-down").then(|| "it is shutting down".to_owned());
        found.instance = Some(Instance {
            instance_type: instance.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
            zone: instance.placement().and_then(|at| at.availability_zone()).unwrap_or_default().to_owned(),
            market: if instance.instance_lifecycle() == Some(&types::InstanceLifecycleType::Spot) {
                "spot".to_owned()
            } else {
                "on-demand".to_owned()
            },
        });
        Some(found)
    });
    Ok(found.collect())
}

async fn volumes(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_volumes().filters(ours()).into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeVolumes", &error))?;
    let found = all.iter().filter_map(|volume| {
        let state = volume.state().map_or("unknown", |state| state.as_str());
        let is_final = matches!(state, "deleting" | "deleted");
        let thing = Thing { id: volume.volume_id()?, state, is_final, made: volume.create_time() };
        let waits = end::waits(volume);
        Some(TaggedResource { waits, ..thing.found(cloud, ResourceKind::VOLUME, volume.tags())? })
    });
    Ok(found.collect())
}

async fn spot_requests(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_spot_instance_requests().filters(ours()).into_paginator().items().send();
    let all =
        pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeSpotInstanceRequests", &error))?;
    let found = all.iter().filter_map(|request| {
        let state = request.state().map_or("unknown", |state| state.as_str());
        let is_final = matches!(state, "closed" | "cancelled" | "failed");
        let id = request.spot_instance_request_id()?;
        let thing = Thing { id, state, is_final, made: request.create_time() };
        thing.found(cloud, kinds::SPOT_REQUEST, request.tags())
    });
    Ok(found.collect())
}

async fn security_groups(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_security_groups().filters(ours()).into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeSecurityGroups", &error))?;
    let found = all.iter().filter_map(|group| {
        let thing = Thing { id: group.group_id()?, state: EXISTS, is_final: false, made: None };
        thing.found(cloud, kinds::SECURITY_GROUP, group.tags())
    });
    Ok(found.collect())
}

async fn launch_templates(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_launch_templates().filters(ours()).into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeLaunchTemplates", &error))?;
    let found = all.iter().filter_map(|template| {
        let id = template.launch_template_id()?;
        let thing = Thing { id, state: EXISTS, is_final: false, made: template.create_time() };
        thing.found(cloud, kinds::LAUNCH_TEMPLATE, template.tags())
    });
    Ok(found.collect())
}

/// `DescribeFleets` knows no filter for tags: all fleets are asked for, and their tags looked at here.
async fn fleets(cloud: &Cloud) -> Looked {
    let pages = cloud.ec2().describe_fleets().into_paginator().items().send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeFleets", &error))?;
    let found = all.iter().filter_map(|fleet| {
        let state = fleet.fleet_state().map_or("unknown", |state| state.as_str());
        // A deleted fleet asks for nothing any more; what it leaves running is told by the instances themselves.
        let is_final = state.starts_with("deleted") || state == "failed";
        let thing = Thing { id: fleet.fleet_id()?, state, is_final, made: fleet.create_time() };
        thing.found(cloud, kinds::FLEET, fleet.tags())
    });
    Ok(found.collect())
}

/// The state of what has none.
const EXISTS: &str = "exists";

/// What every kind has, as the API gives it.
struct Thing<'a> {
    id: &'a str,
    state: &'a str,
    is_final: bool,
    made: Option<&'a DateTime>,
}

impl Thing<'_> {
    /// `None` where it does not carry our tags.
    fn found(self, cloud: &Cloud, resource: ResourceKind, tags: &[Tag]) -> Option<TaggedResource> {
        let texts = tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        let owner = Owner::of(&HashMap::from_iter(texts))?;
        Some(TaggedResource {
            resource,
            id: self.id.to_owned(),
            region: cloud.region().to_owned(),
            state: self.state.to_owned(),
            is_final: self.is_final,
            waits: None,
            owner,
            made_at: self.made.and_then(|at| Timestamp::from_second(at.secs()).ok()),
            instance: None,
        })
    }
}
