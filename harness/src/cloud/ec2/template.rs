//! How an instance is to be made: the launch template's content.
//!
//! It is as closed as an instance can be and still do its work: the metadata service only by token and from the host
//! itself, the disk encrypted and gone with the instance, and a shutdown from inside is its end.

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplatesMonitoringRequest, RequestLaunchTemplateData,
    ResourceType, ShutdownBehavior, Tag, VolumeType,
};

use super::look_up::Image;
use super::{Ec2Settings, Purchase};
use crate::cloud::user_data::UserData;

/// What is tagged when an instance is launched in this way, and no more: a fleet launches by its service-linked role,
/// whose policy (`AWSEC2FleetServiceRolePolicy`, v3, which no account can change) allows `ec2:CreateTags` on these only,
/// and EC2 refuses tags for spot requests where the launch makes none. A tag on the network interface would be
/// `UnauthorizedOperation` for the role, and no instance.
pub(super) fn tagged(purchase: Purchase) -> &'static [ResourceType] {
    match purchase {
        Purchase::OnDemand => &[ResourceType::Instance, ResourceType::Volume],
        Purchase::Spot => &[ResourceType::Instance, ResourceType::Volume, ResourceType::SpotInstancesRequest],
    }
}

pub(super) struct TemplateSpec<'a> {
    pub(super) settings: &'a Ec2Settings,
    pub(super) purchase: Purchase,
    pub(super) image: &'a Image,
    pub(super) security_group: &'a str,
    pub(super) user_data: &'a UserData,
    pub(super) tags: &'a [Tag],
}

impl TemplateSpec<'_> {
    pub(super) fn build(&self) -> RequestLaunchTemplateData {
        let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
            .http_tokens(LaunchTemplateHttpTokensState::Required)
            .http_put_response_hop_limit(1)
            .build();
        let profile =
            self.settings.instance_profile.as_ref().map(|name| {
                LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(name).build()
            });
        let tags = tagged(self.purchase).iter().map(|what| {
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(what.clone())
                .set_tags(Some(self.tags.to_vec()))
                .build()
        });
        RequestLaunchTemplateData::builder()
            .image_id(&self.image.id)
            .block_device_mappings(self.root())
            .security_group_ids(self.security_group)
            .metadata_options(metadata)
            .monitoring(LaunchTemplatesMonitoringRequest::builder().enabled(false).build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_iam_instance_profile(profile)
            .user_data(self.user_data.base64().as_str())
            .set_tag_specifications(Some(tags.collect()))
            .build()
    }

    fn root(&self) -> LaunchTemplateBlockDeviceMappingRequest {
        // No volume can be smaller than its snapshot.
        let bytes = self.settings.volume.map(|size| size.max(self.image.min_size.unwrap_or(size)));
        let gib = bytes.and_then(|bytes| i32::try_from(bytes.0.div_ceil(1 << 30)).ok());
        let disk = LaunchTemplateEbsBlockDeviceRequest::builder()
            .encrypted(true)
            .delete_on_termination(true)
            .volume_type(VolumeType::Gp3)
            .set_volume_size(gib)
            .set_volume_initialization_rate(
                self.settings.volume_initialization_rate.map(|rate| i32::from(rate.get())),
            )
            .build();
        LaunchTemplateBlockDeviceMappingRequest::builder()
            .device_name(&self.image.root_device)
            .ebs(disk)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gpu_suites::unit::ByteSize;

    use super::super::candidates::Processor;
    use super::*;
    use crate::cloud::keys::NodeKeys;
    use crate::cloud::user_data::Life;

    fn built(settings: &str) -> RequestLaunchTemplateData {
        built_for(settings, Purchase::OnDemand)
    }

    fn built_for(settings: &str, purchase: Purchase) -> RequestLaunchTemplateData {
        let settings = crate::config::ec2::settings(settings).unwrap();
        let image = Image {
            id: "ami-1".into(),
            name: "one".into(),
            root_device: "/dev/sda1".into(),
            min_size: Some(ByteSize(50 << 30)),
            processor: Processor::X86_64,
        };
        let life = Life {
            ttl: Duration::from_secs(600),
            boot: Duration::from_secs(60),
            lease: Duration::from_secs(60),
        };
        let user_data = UserData::new(life, &NodeKeys::new().unwrap());
        let tags = [Tag::builder().key("gpu-harness:run").value("r").build()];
        let (settings, image, user_data) = (&settings, &image, &user_data);
        TemplateSpec { settings, purchase, image, security_group: "sg-1", user_data, tags: &tags }.build()
    }

    #[test]
    fn an_instance_is_closed_encrypted_and_ends_with_its_shutdown() {
        let data = built("");
        let metadata = data.metadata_options().unwrap();
        assert_eq!(metadata.http_tokens(), Some(&LaunchTemplateHttpTokensState::Required));
        assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
        assert_eq!(data.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Terminate));
        let disk = data.block_device_mappings()[0].ebs().unwrap();
        assert_eq!(
            (disk.encrypted(), disk.delete_on_termination(), disk.volume_size()),
            (Some(true), Some(true), None)
        );
    }

    #[test]
    fn a_launch_tags_what_the_fleets_role_may_tag_and_a_spot_request_where_there_is_one() {
        // The statement of AWSEC2FleetServiceRolePolicy on ec2:CreateTags.
        let the_role_may = ["instance", "spot-instances-request", "volume"];
        for (purchase, wanted) in [
            (Purchase::OnDemand, &["instance", "volume"][..]),
            (Purchase::Spot, &["instance", "volume", "spot-instances-request"]),
        ] {
            let data = built_for("", purchase);
            let tagged = data.tag_specifications().iter().filter_map(|tags| tags.resource_type());
            let tagged = Vec::from_iter(tagged.map(ResourceType::as_str));
            assert_eq!(tagged, wanted, "{purchase}");
            assert!(tagged.iter().all(|kind| the_role_may.contains(kind)), "{tagged:?}");
        }
    }

    #[test]
    fn a_volume_is_never_smaller_than_the_images_snapshot() {
        for (settings, gib) in [("volume: 10GiB", 50), ("volume: 80GiB", 80)] {
            let disk = built(settings).block_device_mappings()[0].ebs().unwrap().clone();
            assert_eq!(disk.volume_size(), Some(gib), "{settings}");
        }
    }

    #[test]
    fn the_nodes_private_key_is_shown_in_no_debug_output() {
        let data = built("");
        let shown = format!("{data:?}");
        assert!(!shown.contains(data.user_data().unwrap()) && shown.contains("Redacted"), "{shown}");
    }
}
