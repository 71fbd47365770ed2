//! How the cloud is asked for a node: a security group, a launch template, a fleet.
//!
//! From a cold start it is four round trips, whatever has to be made: the look-up takes the first two, the security
//! group is made beside the second, opened beside the launch template's making in the third, and the fleet is the
//! fourth. Everything is tagged in the call that makes it. What one attempt has made serves the next one too.

use std::time::Duration;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, Filter, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
    IpPermission, IpRange, Ipv6Range, OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy,
    SpotOptionsRequest, Tag, TagSpecification, TargetCapacitySpecificationRequest,
};
use gpu_suites::id::RunId;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::candidates::Choice;
use super::cloud::{Cloud, Ec2Error};
use super::kinds;
use super::look_up::{LookUpError, Offer, RegionCatalog, Subnet};
use super::template;
use super::young::once_known;
use super::{Ec2Settings, Purchase};
use crate::cloud::consistency::CONSISTENT;
use crate::cloud::error::CloudError;
use crate::cloud::labels::Labels;
use crate::cloud::ledger::Ledger;
use crate::cloud::user_data::UserData;
use crate::config::need::NodeNeed;

/// Between two looks for a group whose making went unanswered.
const LOOK: Duration = Duration::from_secs(1);
/// A `CreateFleet` call takes no more overrides.
const MOST_POOLS: usize = 300;

/// Who asks, where, and what for.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    pub cloud: &'a Cloud,
    pub settings: &'a Ec2Settings,
    pub labels: &'a Labels,
    /// Where everything that is made is written down.
    pub ledger: &'a Ledger,
}

/// What one attempt has looked up and made in a region, for the next one to use.
#[derive(Debug)]
pub struct Preflight {
    pub catalog: RegionCatalog,
    group: Group,
}

impl Preflight {
    /// The latest end that a node may have here: the group that lets in its owner must not be taken for left over while
    /// the node lives.
    pub fn latest(&self) -> Timestamp {
        self.group.until.unwrap_or(Timestamp::MAX)
    }
}

/// Who lets in whom.
#[derive(Debug)]
struct Group {
    id: String,
    is_open: bool,
    /// When it expires by its tag; `None` for the user's own.
    until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub purchase: Purchase,
    pub choice: &'a Choice,
    /// When the cloud ends it, by its own clock.
    pub expires_at: Timestamp,
    /// What the node is told at its birth.
    pub user_data: &'a UserData,
}

/// A fleet that looks for capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedFleet {
    pub fleet: String,
    pub pools: Vec<Pool>,
    /// When it was asked for, by the cloud's clock.
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub instance_type: String,
    pub zone: String,
    pub subnet: String,
}

impl Requester<'_> {
    /// Looks up what there is and makes the security group, where none is given. `longest`: how long from now the group
    /// may be in use; its tag must not have it reaped while the run still waits for capacity.
    pub async fn preflight(&self, need: &NodeNeed, longest: Duration) -> Result<Preflight, LookUpError> {
        let offer = Offer::look_up(self.cloud, self.settings).await?;
        let group = async {
            match &self.settings.security_group {
                Some(id) => Ok(Group { id: id.clone(), is_open: true, until: None }),
                None => self.group(offer.vpc()?, longest).await,
            }
        };
        let catalog = offer.clone().catalog(self.cloud, self.settings, need);
        let (catalog, group) = tokio::try_join!(Box::pin(catalog), Box::pin(group))?;
        Ok(Preflight { catalog, group })
    }

    async fn group(&self, vpc: &str, longest: Duration) -> Result<Group, LookUpError> {
        let longest = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
        let until = self.cloud.now().checked_add(longest).unwrap_or(Timestamp::MAX);
        let name = unique_name(&self.labels.run);
        let request = self
            .cloud
            .ec2()
            .create_security_group()
            .group_name(&name)
            .description(format!("gpu-harness run {}: ssh from its caller only", self.labels.run))
            .vpc_id(vpc)
            .tag_specifications(self.tagged(ResourceType::SecurityGroup, until, None));
        let (cloud, known) = (self.cloud.clone(), name.clone());
        let making = async move {
            match request.send().await.map_err(|error| Ec2Error::of("CreateSecurityGroup", &error)) {
                Ok(answer) => {
                    answer.group_id.ok_or_else(|| Ec2Error::lacks("CreateSecurityGroup", "the group's id"))
                }
                // Nothing else has that name: it is the one that an earlier try has made, whose answer was lost.
                Err(error) if error.code() == Some("InvalidGroup.Duplicate") => {
                    made_before(&cloud, &known).await?.ok_or(error)
                }
                Err(error) => Err(error),
            }
        };
        let id = self.ledger.make(kinds::SECURITY_GROUP, self.cloud.region(), &name, making).await?;
        Ok(Group { id, is_open: false, until: Some(until) })
    }

    /// Opens the security group, makes the launch template, and asks for a fleet of one. Each attempt has its own
    /// template: what it tags depends on how the instance is paid for, and its keys are its own.
    pub async fn ask(
        &self,
        preflight: &mut Preflight,
        request: &Request<'_>,
    ) -> Result<RequestedFleet, CloudError> {
        let token = token();
        let (template, ()) = tokio::try_join!(
            Box::pin(self.template(preflight, request, &token)),
            Box::pin(self.open(preflight))
        )?;
        preflight.group.is_open = true;
        Box::pin(self.fleet(&preflight.catalog, &template, request, token)).await
    }

    /// Lets the caller in, and nobody else.
    async fn open(&self, preflight: &Preflight) -> Result<(), CloudError> {
        let Some(cidr) = preflight.catalog.ingress.as_ref().filter(|_| !preflight.group.is_open) else {
            return Ok(());
        };
        let port = i32::from(self.settings.port);
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
        let rule = if cidr.contains(':') {
            rule.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).description("gpu-harness").build())
        } else {
            rule.ip_ranges(IpRange::builder().cidr_ip(cidr).description("gpu-harness").build())
        };
        let call = self.cloud.ec2().authorize_security_group_ingress().group_id(&preflight.group.id);
        let call = call.ip_permissions(rule.build());
        let opened = once_known(self.cloud, || {
            let sent = call.clone().send();
            async move {
                let answer = sent.await.map(drop);
                answer.map_err(|error| Ec2Error::of("AuthorizeSecurityGroupIngress", &error))
            }
        });
        match opened.await {
            // A call that was sent twice because its first answer was lost.
            Err(error) if error.code() == Some("InvalidPermission.Duplicate") => Ok(()),
            opened => Ok(opened?),
        }
    }

    async fn template(
        &self,
        preflight: &Preflight,
        request: &Request<'_>,
        launch: &str,
    ) -> Result<String, CloudError> {
        let name = unique_name(&self.labels.run);
        let data = template::TemplateSpec {
            settings: self.settings,
            purchase: request.purchase,
            image: &preflight.catalog.image,
            security_group: &preflight.group.id,
            user_data: request.user_data,
            tags: &self.tags(request.expires_at, Some(launch)),
        };
        let call = self
            .cloud
            .ec2()
            .create_launch_template()
            .launch_template_name(&name)
            .client_token(token())
            .launch_template_data(data.build())
            .tag_specifications(self.tagged(ResourceType::LaunchTemplate, request.expires_at, Some(launch)));
        let making = async move {
            let answer = call.send().await.map_err(|error| Ec2Error::of("CreateLaunchTemplate", &error))?;
            let id = answer.launch_template.and_then(|template| template.launch_template_id);
            id.ok_or_else(|| Ec2Error::lacks("CreateLaunchTemplate", "the template's id"))
        };
        self.ledger.make(kinds::LAUNCH_TEMPLATE, self.cloud.region(), &name, making).await
    }

    async fn fleet(
        &self,
        catalog: &RegionCatalog,
        template: &str,
        request: &Request<'_>,
        token: String,
    ) -> Result<RequestedFleet, CloudError> {
        let pools = pools(request.choice, &catalog.subnets);
        let price = request.choice.max_price.filter(|_| request.purchase == Purchase::Spot);
        let overrides = pools.iter().map(|pool| {
            FleetLaunchTemplateOverridesRequest::builder()
                .instance_type(InstanceType::from(pool.instance_type.as_str()))
                .subnet_id(&pool.subnet)
                .set_max_price(price.map(|price| price.0.to_string()))
                .set_priority(self.priority(&pool.instance_type))
                .build()
        });
        let specification = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_id(template)
            .version("$Latest")
            .build();
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(specification)
            .set_overrides(Some(overrides.collect()))
            .build();
        let call = self
            .cloud
            .ec2()
            .create_fleet()
            .client_token(&token)
            .r#type(FleetType::Request)
            .launch_template_configs(config)
            .valid_until(DateTime::from_secs(request.expires_at.as_second()))
            .terminate_instances_with_expiration(true)
            .tag_specifications(self.tagged(ResourceType::Fleet, request.expires_at, Some(&token)));
        let capacity = TargetCapacitySpecificationRequest::builder().total_target_capacity(1);
        let call = match request.purchase {
            Purchase::Spot => call
                .target_capacity_specification(
                    capacity.default_target_capacity_type(DefaultTargetCapacityType::Spot).build(),
                )
                .spot_options(
                    SpotOptionsRequest::builder()
                        .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                        .build(),
                ),
            Purchase::OnDemand => call
                .target_capacity_specification(
                    capacity.default_target_capacity_type(DefaultTargetCapacityType::OnDemand).build(),
                )
                .on_demand_options(
                    OnDemandOptionsRequest::builder().allocation_strategy(self.on_demand_strategy()).build(),
                ),
        };
        let at = self.cloud.now();
        let cloud = self.cloud.clone();
        let making = async move {
            let answer = once_known(&cloud, || {
                let sent = call.clone().send();
                async move { sent.await.map_err(|error| Ec2Error::of("CreateFleet", &error)) }
            });
            answer.await?.fleet_id.ok_or_else(|| Ec2Error::lacks("CreateFleet", "the fleet's id"))
        };
        let fleet = Box::pin(self.ledger.make(kinds::FLEET, self.cloud.region(), &token, making)).await?;
        Ok(RequestedFleet { fleet, pools, at })
    }

    /// On-demand types that the user names are taken in the user's order; 0 is the first.
    fn priority(&self, instance_type: &str) -> Option<f64> {
        let place = self.settings.types.iter().position(|name| name == instance_type)?;
        u32::try_from(place).ok().map(f64::from)
    }

    fn on_demand_strategy(&self) -> FleetOnDemandAllocationStrategy {
        if self.settings.types.is_empty() {
            FleetOnDemandAllocationStrategy::LowestPrice
        } else {
            FleetOnDemandAllocationStrategy::Prioritized
        }
    }

    fn tagged(&self, what: ResourceType, expires_at: Timestamp, launch: Option<&str>) -> TagSpecification {
        TagSpecification::builder().resource_type(what).set_tags(Some(self.tags(expires_at, launch))).build()
    }

    fn tags(&self, expires_at: Timestamp, launch: Option<&str>) -> Vec<Tag> {
        let all = self.labels.tags(expires_at, launch, &self.settings.tags);
        all.into_iter().map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
    }
}

/// The group of that name, as soon as EC2 shows it; `None` where it does not through five minutes.
async fn made_before(cloud: &Cloud, name: &str) -> Result<Option<String>, Ec2Error> {
    let by_name = Filter::builder().name("group-name").values(name).build();
    let until = cloud.now().saturating_add(CONSISTENT).unwrap_or(Timestamp::MAX);
    loop {
        let asked = cloud.ec2().describe_security_groups().filters(by_name.clone());
        let found = asked.into_paginator().items().send().try_collect().await;
        let found = found.map_err(|error| Ec2Error::of("DescribeSecurityGroups", &error))?;
        let id = found.into_iter().find_map(|group| group.group_id);
        if id.is_some() || cloud.now() >= until {
            return Ok(id);
        }
        sleep(LOOK).await;
    }
}

/// Every type in every zone that offers it.
fn pools(choice: &Choice, subnets: &[Subnet]) -> Vec<Pool> {
    let each = choice.candidates.iter().flat_map(|candidate| {
        subnets.iter().filter(|subnet| candidate.zones.contains(&subnet.zone)).map(|subnet| Pool {
            instance_type: candidate.name.clone(),
            zone: subnet.zone.clone(),
            subnet: subnet.id.clone(),
        })
    });
    each.take(MOST_POOLS).collect()
}

/// A name that nothing else has, by which a call without an answer can be cleared up.
fn unique_name(run: &RunId) -> String {
    format!("gpu-harness-{run}-{:08x}", rand::random::<u32>())
}

/// A fresh one for every attempt: an old one with other parameters is refused.
fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
