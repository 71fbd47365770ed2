//! Each permission that a run needs, tried by a dry run where the operation has one.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateSpecificationRequest, FleetType, HttpTokensState,
    IamInstanceProfileSpecification, InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest,
    InstanceType, IpPermission, MarketType, RequestLaunchTemplateData, ResourceType, Tag, TagSpecification,
    TargetCapacitySpecificationRequest,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::future::join_all;
use gpu_suites::event::ResourceKind;

use super::super::{Ec2Settings, Purchase, template};
use super::region::Basis;
use super::{allow, first_sentence, kind};
use crate::cloud::ec2::cloud::{Cloud, Ec2Error};
use crate::cloud::ec2::inventory::each;
use crate::cloud::ec2::kinds;
use crate::cloud::ec2::refusal::RefusalKind;
use crate::cloud::error::Fault as _;
use crate::cloud::provider::Patient;
use crate::cloud::tagged::TaggedResource;
use crate::cloud::tags;
use crate::cloud::who::Who;
use crate::report::finding::{Finding, State};
use crate::text::chain;

/// Ids that nothing has: what is asked to end with them is nothing. (A dry run ends nothing in any case.)
const NO_INSTANCE: &str = "i-00000000000000000";
const NO_GROUP: &str = "sg-00000000000000000";
const NO_TEMPLATE: &str = "lt-00000000000000000";
const NO_VOLUME: &str = "vol-00000000000000000";
const NO_REQUEST: &str = "sir-00000000";
const NO_FLEET: &str = "fleet-00000000-0000-0000-0000-000000000000";

/// Tries each of them; those that are allowed are told in one line.
pub(super) async fn try_each(
    cloud: &Cloud,
    settings: &Ec2Settings,
    patient: &Patient<'_>,
    basis: &Basis,
    caller: &str,
) -> Vec<Finding> {
    let (looked, ours) = looking(cloud, caller).await;
    let tags = our_tags(patient);
    let (made, ended) =
        tokio::join!(making(cloud, &tags, settings, basis, &ours, caller), ending(cloud, &ours, caller));
    let tried = [looked, made, ended].concat();
    let (allowed, mut rest): (Vec<_>, Vec<_>) =
        tried.into_iter().partition(|finding| finding.state == State::Ok);
    if !allowed.is_empty() {
        let mut names =
            Vec::from_iter(allowed.iter().map(|finding| finding.about.trim_start_matches("ec2:")));
        // A launch is tried in each way of paying for it.
        names.dedup();
        rest.insert(0, Finding::ok("permissions", format!("allowed: {}", names.join(", "))));
    }
    rest
}

/// What only looks is called for real; what it found of ours serves the dry runs that end things.
async fn looking(cloud: &Cloud, caller: &str) -> (Vec<Finding>, Vec<TaggedResource>) {
    let (looked, regions, known_tags) =
        tokio::join!(each(cloud), cloud.time(), cloud.ec2().describe_tags().max_results(5).send());
    let mut findings = Vec::new();
    let mut ours = Vec::new();
    for (name, looked) in looked {
        findings.push(real(name, looked.map(|found| ours.extend(found)), caller));
    }
    findings.push(real("DescribeRegions", regions.map(drop), caller));
    let known_tags = known_tags.map(drop).map_err(|error| Ec2Error::of("DescribeTags", &error));
    findings.push(real("DescribeTags", known_tags, caller));
    (findings, ours)
}

/// What makes something is tried as a run would do it, tags and all.
async fn making(
    cloud: &Cloud,
    tags: &[Tag],
    settings: &Ec2Settings,
    basis: &Basis,
    ours: &[TaggedResource],
    caller: &str,
) -> Vec<Finding> {
    let ec2 = cloud.ec2();
    let group_of_ours = one_of(ours, kinds::SECURITY_GROUP, NO_GROUP);
    let template_of_ours = one_of(ours, kinds::LAUNCH_TEMPLATE, NO_TEMPLATE);
    let specification = |kind: ResourceType| {
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags.to_vec())).build()
    };
    let group = async {
        let answer = ec2
            .create_security_group()
            .group_name("gpu-harness-doctor")
            .description("a dry run of gpu-harness doctor")
            .tag_specifications(specification(ResourceType::SecurityGroup))
            .dry_run(true)
            .send()
            .await;
        dry("CreateSecurityGroup", answer, caller)
    };
    let ingress = async {
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).build();
        let answer = ec2
            .authorize_security_group_ingress()
            .group_id(group_of_ours)
            .ip_permissions(rule)
            .dry_run(true)
            .send()
            .await;
        dry("AuthorizeSecurityGroupIngress", answer, caller)
    };
    let template = async {
        let data = RequestLaunchTemplateData::builder().set_image_id(basis.image.clone()).build();
        let answer = ec2
            .create_launch_template()
            .launch_template_name("gpu-harness-doctor")
            .launch_template_data(data)
            .tag_specifications(specification(ResourceType::LaunchTemplate))
            .dry_run(true)
            .send()
            .await;
        dry("CreateLaunchTemplate", answer, caller)
    };
    let fleet = async {
        let template = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_id(template_of_ours)
            .version("$Latest");
        let capacity = TargetCapacitySpecificationRequest::builder().total_target_capacity(1).build();
        let answer = ec2
            .create_fleet()
            .r#type(FleetType::Request)
            .launch_template_configs(
                FleetLaunchTemplateConfigRequest::builder()
                    .launch_template_specification(template.build())
                    .build(),
            )
            .target_capacity_specification(capacity)
            .tag_specifications(specification(ResourceType::Fleet))
            .dry_run(true)
            .send()
            .await;
        dry("CreateFleet", answer, caller)
    };
    let run = join_all(settings.market.purchases(false).iter().map(|purchase| {
        let launch = Launch { cloud, settings, basis, tags: tags.to_vec(), purchase: *purchase };
        async move { pass_role(launch.dry_run(caller).await, settings, caller) }
    }));
    let (group, ingress, template, fleet, run) = tokio::join!(group, ingress, template, fleet, run);
    [vec![group, ingress, template, fleet], run].concat()
}

/// The launch that a fleet would make, as far as it can be tried without one: the same image, type, subnet, disk and
/// metadata options, and above all the same tags on the same kinds, which EC2 refuses where the launch makes no such
/// thing. (By whom a fleet launches is not the caller but its service-linked role; what that one may tag is known.)
struct Launch<'a> {
    cloud: &'a Cloud,
    settings: &'a Ec2Settings,
    basis: &'a Basis,
    tags: Vec<Tag>,
    purchase: Purchase,
}

impl Launch<'_> {
    async fn dry_run(&self, caller: &str) -> Finding {
        let Self { settings, basis, purchase, .. } = self;
        let (Some(image), Some(instance_type)) = (&basis.image, &basis.instance_type) else {
            return Finding::unknown("ec2:RunInstances", "not tried: it takes an image and an instance type");
        };
        let profile = settings
            .instance_profile
            .as_ref()
            .map(|name| IamInstanceProfileSpecification::builder().name(name).build());
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_tokens(HttpTokensState::Required)
            .http_put_response_hop_limit(1)
            .build();
        let market = (*purchase == Purchase::Spot)
            .then(|| InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build());
        let tags = template::tagged(*purchase).iter().map(|kind| {
            TagSpecification::builder().resource_type(kind.clone()).set_tags(Some(self.tags.clone())).build()
        });
        let call = self.cloud.ec2().run_instances().image_id(image);
        let answer = call
            .instance_type(InstanceType::from(instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .set_subnet_id(basis.subnet.clone())
            .set_security_group_ids(settings.security_group.clone().map(|group| vec![group]))
            .set_iam_instance_profile(profile)
            .set_instance_market_options(market)
            .metadata_options(metadata)
            .set_tag_specifications(Some(tags.collect()))
            .dry_run(true)
            .send()
            .await;
        let error = answer.err().map(|error| Ec2Error::of("RunInstances", &error));
        match error {
            // Told by its market: what one of them is refused, the other may be granted.
            Some(error) if error.code() != Some("DryRunOperation") => {
                let mut finding = if error.is_about_parameters() {
                    Finding::failed("ec2:RunInstances", first_sentence(&chain(&error)))
                } else {
                    judge("RunInstances", Some(error), caller)
                };
                finding.said = format!("{purchase}: {}", finding.said);
                finding
            }
            error => judge("RunInstances", error, caller),
        }
    }
}

/// A node with an instance profile is launched only by who may pass on its role.
fn pass_role(finding: Finding, settings: &Ec2Settings, caller: &str) -> Finding {
    match &settings.instance_profile {
        Some(profile) if finding.said.contains("iam:PassRole") => {
            Finding::failed("iam:PassRole", finding.said).hint(format!(
                "allow iam:PassRole for the role of the instance profile {profile} in the policy of {caller}"
            ))
        }
        _ => finding,
    }
}

/// What ends something is tried on something of ours where there is one: a policy may allow it for our tags only.
async fn ending(cloud: &Cloud, ours: &[TaggedResource], caller: &str) -> Vec<Finding> {
    let ec2 = cloud.ec2();
    let id = |kind, none| one_of(ours, kind, none);
    let (instance, group) = (id(ResourceKind::INSTANCE, NO_INSTANCE), id(kinds::SECURITY_GROUP, NO_GROUP));
    let (template, volume) = (id(kinds::LAUNCH_TEMPLATE, NO_TEMPLATE), id(ResourceKind::VOLUME, NO_VOLUME));
    let (request, fleet) = (id(kinds::SPOT_REQUEST, NO_REQUEST), id(kinds::FLEET, NO_FLEET));
    let (terminate, delete_group, delete_template, delete_volume, cancel, delete_fleet, instances, history) = tokio::join!(
        ec2.terminate_instances().instance_ids(instance).dry_run(true).send(),
        ec2.delete_security_group().group_id(group).dry_run(true).send(),
        ec2.delete_launch_template().launch_template_id(template).dry_run(true).send(),
        ec2.delete_volume().volume_id(volume).dry_run(true).send(),
        ec2.cancel_spot_instance_requests().spot_instance_request_ids(request).dry_run(true).send(),
        ec2.delete_fleets().fleet_ids(&fleet).terminate_instances(true).dry_run(true).send(),
        ec2.describe_fleet_instances().fleet_id(&fleet).dry_run(true).send(),
        ec2.describe_fleet_history()
            .fleet_id(&fleet)
            .start_time(aws_sdk_ec2::primitives::DateTime::from_secs(cloud.now().as_second()))
            .dry_run(true)
            .send(),
    );
    vec![
        dry("TerminateInstances", terminate, caller),
        dry("DeleteSecurityGroup", delete_group, caller),
        dry("DeleteLaunchTemplate", delete_template, caller),
        dry("DeleteVolume", delete_volume, caller),
        dry("CancelSpotInstanceRequests", cancel, caller),
        dry("DeleteFleets", delete_fleet, caller),
        dry("DescribeFleetInstances", instances, caller),
        dry("DescribeFleetHistory", history, caller),
    ]
}

/// The tags that a run sets, as far as the policy looks at them.
fn our_tags(patient: &Patient<'_>) -> Vec<Tag> {
    let tag = |name: &str, value: &str| Tag::builder().key(name).value(value).build();
    let owner = Who::find(patient.env).owner;
    vec![tag(tags::RUN, "doctor"), tag(tags::NODE, patient.node.name.as_str()), tag(tags::OWNER, &owner)]
}

/// Something of ours to try a dry run on, or an id that nothing has.
fn one_of(ours: &[TaggedResource], kind: ResourceKind, none: &str) -> String {
    let found = ours.iter().find(|found| found.resource == kind && !found.is_final);
    found.map_or_else(|| none.to_owned(), |found| found.id.clone())
}

/// A call that was made for real.
fn real(name: &str, answer: Result<(), Ec2Error>, caller: &str) -> Finding {
    let about = format!("ec2:{name}");
    match answer {
        Ok(()) => Finding::ok(about, "allowed"),
        Err(error) => super::failed(&about, &error, caller),
    }
}

/// What a dry run's answer says: it never succeeds, it only says what a real call would meet first.
fn dry<T, E>(operation: &'static str, answer: Result<T, SdkError<E, HttpResponse>>, caller: &str) -> Finding
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    judge(operation, answer.err().map(|error| Ec2Error::of(operation, &error)), caller)
}

fn judge(operation: &str, error: Option<Ec2Error>, caller: &str) -> Finding {
    let about = format!("ec2:{operation}");
    let Some(error) = error else { return Finding::ok(about, "allowed") };
    match (error.code(), kind(&error)) {
        (Some("DryRunOperation"), _) => Finding::ok(about, "allowed"),
        (_, Some(RefusalKind::Permission)) => {
            Finding::failed(about.as_str(), first_sentence(&chain(&error))).hint(allow(&about, caller))
        }
        (Some(code), _)
            if error.is_not_found() || code.contains("Malformed") || code.starts_with("Invalid") =>
        {
            Finding::unknown(about, format!("there is nothing to try it on ({code})"))
                .hint("only a run can tell: nothing of gpu-harness is there that a dry run could name")
        }
        _ => Finding::failed(about, first_sentence(&chain(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_that_is_refused_names_the_permission_and_one_on_nothing_is_unknown() {
        let judged = |code: &str| {
            let finding = judge("CreateFleet", Some(Ec2Error::refused("CreateFleet", code, "no")), "arn:me");
            (finding.state, finding.hint.unwrap_or_default())
        };
        assert_eq!(judged("DryRunOperation").0, State::Ok);
        let (state, hint) = judged("UnauthorizedOperation");
        assert!(
            state == State::Failed && hint.contains("ec2:CreateFleet") && hint.contains("arn:me"),
            "{hint}"
        );
        assert_eq!(judged("InvalidLaunchTemplateId.NotFound").0, State::Unknown);
        assert_eq!(judged("InternalError").0, State::Failed);
    }
}
