//! What a region has for us, looked up before anything is made: types, zones, subnets, an image, prices.
//!
//! Two rounds of calls side by side: the second needs the first one's answers (the image's id, the zones). Everything
//! that makes a launch impossible is found here, and each message says what to write in gpu-harness.yaml.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ec2::types::{
    ArchitectureType, DeviceType, Filter, GpuDeviceMemoryInfo, GpuInfo, InstanceTypeInfo, LocationType,
    MemoryInfo, VCpuInfo,
};
use gpu_suites::exit::Exit;
use gpu_suites::unit::ByteSize;

use super::candidates::{Choice, For, GpuFacts, Processor, TypeFacts, choose};
use super::capped::{self, SpotPrices};
use super::cloud::{Cloud, Ec2Error};
use super::ingress::{AddressError, caller};
use super::left_out::NoneFits;
use super::{Ec2Settings, ImageChoice, Purchase, prices};
use crate::cloud::error::CloudError;
use crate::config::need::NodeNeed;
use crate::text::Explain;

/// The parameter in which AWS keeps the id of its newest Deep Learning Base AMI.
pub const DEEP_LEARNING: &str =
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id";
/// The parameter in which Canonical keeps the id of its newest Ubuntu.
pub const UBUNTU: &str = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
/// The families with accelerators; `DescribeInstanceTypes` has no filter for those themselves.
const ACCELERATED: [&str; 2] = ["g*", "p*"];
/// The families that a node without GPUs is chosen from: current, for any work, and at full speed for as long as it takes,
/// which burstable ones are not.
const PLAIN: [&str; 8] = ["c6a.*", "c6i.*", "c7a.*", "c7i.*", "m6a.*", "m6i.*", "m7a.*", "m7i.*"];

/// What a region has for us.
#[derive(Debug, Clone)]
pub struct RegionCatalog {
    pub region: String,
    pub facts: Vec<TypeFacts>,
    pub image: Image,
    pub subnets: Vec<Subnet>,
    /// The addresses that are let in; `None` where the user names a security group.
    pub ingress: Option<String>,
    /// What spot costs an hour now, by type and zone.
    pub spot: SpotPrices,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub name: String,
    pub root_device: String,
    /// The size of the snapshot behind it: no root volume can be smaller.
    pub min_size: Option<ByteSize>,
    pub processor: Processor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub vpc: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("{region} has no default VPC: name subnets that the internet reaches in `subnets:`")]
    NoDefaultVpc { region: String },
    #[error(
        "the subnets belong to different VPCs ({}): name subnets of one VPC in `subnets:`, since the security group \
         belongs to one", .vpcs.join(", ")
    )]
    SeveralVpcs { vpcs: Vec<String> },
    #[error("{region} has no image {image}")]
    NoImage {
        region: String,
        /// As it was asked for.
        image: String,
        hint: &'static str,
    },
    #[error("image {image} {why}: name another in `image:`")]
    Image { image: String, why: String },
    /// Nobody says from where the node is to be reached.
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    NoneFits(#[from] NoneFits),
}

impl From<Ec2Error> for LookUpError {
    fn from(error: Ec2Error) -> Self {
        Self::Cloud(error.into())
    }
}

impl Explain for LookUpError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud(error) => error.hint(),
            Self::NoImage { hint, .. } => Some((*hint).to_owned()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

impl LookUpError {
    /// Whether another region may have what this one lacks.
    pub fn is_worth_another_region(&self) -> bool {
        match self {
            Self::Cloud(error) => error.is_worth_another_region(),
            Self::NoDefaultVpc { .. } | Self::NoImage { .. } | Self::Image { .. } | Self::NoneFits(_) => true,
            Self::SeveralVpcs { .. } | Self::Address(_) => false,
        }
    }
}

/// What the first round of calls has told.
#[derive(Debug, Clone)]
pub struct Offer {
    facts: Vec<TypeFacts>,
    image: AskedImage,
    subnets: Vec<Subnet>,
    ingress: Option<String>,
}

/// How the image is asked for in the second round.
#[derive(Debug, Clone)]
enum AskedImage {
    Id(String),
    Name { pattern: String, owner: String },
}

pub async fn look_up(
    cloud: &Cloud,
    settings: &Ec2Settings,
    need: &NodeNeed,
) -> Result<RegionCatalog, LookUpError> {
    Offer::look_up(cloud, settings).await?.catalog(cloud, settings, need).await
}

impl RegionCatalog {
    /// Which types will do, paid for in this way. `left`: the US dollars that may be spent on it, where there is a limit.
    pub fn choose(
        &self,
        settings: &Ec2Settings,
        need: &NodeNeed,
        purchase: Purchase,
        left: Option<f64>,
    ) -> Result<Choice, NoneFits> {
        let wanted = For { settings, need, purchase, region: &self.region };
        let choice = choose(&self.facts, wanted)?;
        match left {
            Some(left) => capped::within(choice, wanted, &self.spot, left),
            None => Ok(choice),
        }
    }
}

impl Offer {
    pub async fn look_up(cloud: &Cloud, settings: &Ec2Settings) -> Result<Self, LookUpError> {
        let (image, types, offers, subnets, ingress) = tokio::try_join!(
            asked_image(cloud, &settings.image),
            types(cloud, settings),
            offers(cloud, settings),
            subnets(cloud, settings),
            ingress(settings),
        )?;
        let zones: HashMap<&str, Vec<String>> = subnets.iter().fold(HashMap::new(), |mut zones, subnet| {
            for name in offers.get(&subnet.zone).into_iter().flatten() {
                zones.entry(name.as_str()).or_default().push(subnet.zone.clone());
            }
            zones
        });
        let facts = types.iter().filter_map(|info| {
            let name = info.instance_type()?.as_str();
            facts(info, zones.get(name).cloned().unwrap_or_default())
        });
        Ok(Self { facts: facts.collect(), image, subnets, ingress })
    }

    pub fn vpc(&self) -> Result<&str, LookUpError> {
        let vpcs: BTreeSet<&str> = self.subnets.iter().map(|subnet| subnet.vpc.as_str()).collect();
        match Vec::from_iter(vpcs).as_slice() {
            [vpc] => Ok(vpc),
            vpcs => {
                Err(LookUpError::SeveralVpcs { vpcs: vpcs.iter().map(|vpc| (*vpc).to_owned()).collect() })
            }
        }
    }

    pub async fn catalog(
        self,
        cloud: &Cloud,
        settings: &Ec2Settings,
        need: &NodeNeed,
    ) -> Result<RegionCatalog, LookUpError> {
        let purchases = settings.market.purchases(false);
        let choices =
            Vec::from_iter(purchases.iter().map(|way| {
                choose(&self.facts, For { settings, need, purchase: *way, region: cloud.region() })
            }));
        // One way of paying that has something is enough.
        if let ([Err(none), ..], true) = (choices.as_slice(), choices.iter().all(Result::is_err)) {
            return Err(none.clone().into());
        }
        let on_spot = purchases.iter().zip(choices).find(|(way, _)| **way == Purchase::Spot);
        let names =
            on_spot.and_then(|(_, choice)| choice.ok()).map(|choice| choice.candidates).unwrap_or_default();
        let names = names.into_iter().map(|candidate| candidate.name).collect();
        let prices = async { Ok(prices::spot(cloud, names, cloud.now()).await?) };
        let (image, spot) = tokio::try_join!(image(cloud, &self.image), prices)?;
        let region = cloud.region().to_owned();
        Ok(RegionCatalog {
            region,
            facts: self.facts,
            image,
            subnets: self.subnets,
            ingress: self.ingress,
            spot,
        })
    }
}

/// The names or patterns of the types that come into question. As a filter, an unknown name fails no call.
fn named(settings: &Ec2Settings) -> Filter {
    let owned = |names: &[&str]| Vec::from_iter(names.iter().copied().map(str::to_owned));
    let names = match (settings.types.as_slice(), &settings.need.gpu) {
        ([], Some(_)) => owned(&ACCELERATED),
        ([], None) => owned(&PLAIN),
        (named, _) => named.to_vec(),
    };
    Filter::builder().name("instance-type").set_values(Some(names)).build()
}

async fn types(cloud: &Cloud, settings: &Ec2Settings) -> Result<Vec<InstanceTypeInfo>, LookUpError> {
    let pages =
        cloud.ec2().describe_instance_types().filters(named(settings)).into_paginator().items().send();
    let all = pages.try_collect().await;
    Ok(all.map_err(|error| Ec2Error::of("DescribeInstanceTypes", &error))?)
}

async fn offers(cloud: &Cloud, settings: &Ec2Settings) -> Result<HashMap<String, Vec<String>>, LookUpError> {
    let asked = cloud.ec2().describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
    let pages = asked.filters(named(settings)).into_paginator().items().send();
    let all = pages.try_collect().await;
    let all = all.map_err(|error| Ec2Error::of("DescribeInstanceTypeOfferings", &error))?;
    let mut zones: HashMap<String, Vec<String>> = HashMap::new();
    for offer in all {
        if let (Some(zone), Some(name)) = (offer.location, offer.instance_type) {
            zones.entry(zone).or_default().push(name.as_str().to_owned());
        }
    }
    Ok(zones)
}

/// The user's subnets, or the default VPC's; the first of each zone, since a fleet takes a type and zone once.
async fn subnets(cloud: &Cloud, settings: &Ec2Settings) -> Result<Vec<Subnet>, LookUpError> {
    let asked = cloud.ec2().describe_subnets();
    let asked = if settings.subnets.is_empty() {
        asked.filters(Filter::builder().name("default-for-az").values("true").build())
    } else {
        asked.set_subnet_ids(Some(settings.subnets.clone()))
    };
    let all = asked.into_paginator().items().send().try_collect().await;
    let all = all.map_err(|error| Ec2Error::of("DescribeSubnets", &error))?;
    let mut found: Vec<Subnet> = Vec::new();
    for subnet in all {
        let (Some(id), Some(zone), Some(vpc)) = (subnet.subnet_id, subnet.availability_zone, subnet.vpc_id)
        else {
            continue;
        };
        if found.iter().all(|other| other.zone != zone) {
            found.push(Subnet { id, zone, vpc });
        }
    }
    if found.is_empty() {
        return Err(LookUpError::NoDefaultVpc { region: cloud.region().to_owned() });
    }
    Ok(found)
}

async fn ingress(settings: &Ec2Settings) -> Result<Option<String>, LookUpError> {
    match &settings.security_group {
        Some(_) => Ok(None),
        None => Ok(Some(caller(&settings.caller_address).await?)),
    }
}

async fn asked_image(cloud: &Cloud, choice: &ImageChoice) -> Result<AskedImage, LookUpError> {
    match choice {
        ImageChoice::DeepLearning => {
            let hint =
                "AWS keeps its Deep Learning AMI under that name in most regions; name an image in `image:`";
            parameter(cloud, DEEP_LEARNING, hint).await
        }
        ImageChoice::Ubuntu => {
            let hint =
                "Canonical keeps its Ubuntu under that name in most regions; name an image in `image:`";
            parameter(cloud, UBUNTU, hint).await
        }
        ImageChoice::Ssm(name) => {
            parameter(cloud, name, "check the name of the SSM parameter in `image:`").await
        }
        ImageChoice::Id(id) => Ok(AskedImage::Id(id.clone())),
        ImageChoice::Name { pattern, owner } => {
            Ok(AskedImage::Name { pattern: pattern.clone(), owner: owner.clone() })
        }
    }
}

async fn parameter(cloud: &Cloud, name: &str, hint: &'static str) -> Result<AskedImage, LookUpError> {
    let none = || LookUpError::NoImage { region: cloud.region().to_owned(), image: name.to_owned(), hint };
    let asked = cloud.ssm().get_parameter().name(name).send().await;
    let answer = match asked.map_err(|error| Ec2Error::of("GetParameter", &error)) {
        Ok(answer) => answer,
        Err(error) if error.code().is_some_and(|code| code.starts_with("ParameterNotFound")) => {
            return Err(none());
        }
        Err(error) => return Err(error.into()),
    };
    let value = answer.parameter.and_then(|parameter| parameter.value).ok_or_else(none)?;
    if value.starts_with("ami-") { Ok(AskedImage::Id(value)) } else { Err(none()) }
}

async fn image(cloud: &Cloud, wanted: &AskedImage) -> Result<Image, LookUpError> {
    let asked = cloud.ec2().describe_images();
    let (asked, name, hint) = match wanted {
        AskedImage::Id(id) => (
            asked.image_ids(id),
            id.as_str(),
            "an AMI's id is of one region, and private ones have to be shared",
        ),
        AskedImage::Name { pattern, owner } => {
            let by = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
            let asked = asked.owners(owner).filters(by("name", pattern)).filters(by("state", "available"));
            (asked, pattern.as_str(), "check `name:` and `owner:` in `image:`")
        }
    };
    let none = || LookUpError::NoImage { region: cloud.region().to_owned(), image: name.to_owned(), hint };
    let pages = asked.into_paginator().items().send().try_collect().await;
    let images = match pages.map_err(|error| Ec2Error::of("DescribeImages", &error)) {
        Ok(images) => images,
        Err(error) if error.code().is_some_and(|code| code.starts_with("InvalidAMIID")) => return Err(none()),
        Err(error) => return Err(error.into()),
    };
    // Creation dates are ISO 8601 in UTC: the greatest is the newest.
    let newest = images.into_iter().max_by(|a, b| a.creation_date.cmp(&b.creation_date)).ok_or_else(none)?;
    read_image(&newest)
}

fn read_image(image: &aws_sdk_ec2::types::Image) -> Result<Image, LookUpError> {
    let id = image.image_id().unwrap_or_default().to_owned();
    let wrong = |why: String| LookUpError::Image { image: id.clone(), why };
    let state = image.state().map_or("unknown", |state| state.as_str());
    if state != "available" {
        return Err(wrong(format!("is {state}")));
    }
    let architecture = image.architecture().map_or("unknown", |kind| kind.as_str());
    if architecture != Processor::X86_64.name() {
        return Err(wrong(format!("is for {architecture}; gpu-agent is built for x86_64 only")));
    }
    if image.root_device_type() != Some(&DeviceType::Ebs) {
        return Err(wrong("does not boot from an EBS volume".to_owned()));
    }
    let root = image.root_device_name().ok_or_else(|| wrong("names no root device".to_owned()))?;
    let disks = image.block_device_mappings();
    let gib =
        disks.iter().find(|disk| disk.device_name() == Some(root)).and_then(|disk| disk.ebs()?.volume_size());
    Ok(Image {
        name: image.name().unwrap_or_default().to_owned(),
        root_device: root.to_owned(),
        min_size: gib.and_then(|gib| u64::try_from(gib).ok()).map(|gib| ByteSize(gib << 30)),
        processor: Processor::X86_64,
        id,
    })
}

/// So many MiB; what is not told is none.
fn mebibytes(told: Option<i64>) -> ByteSize {
    ByteSize(told.and_then(|mib| u64::try_from(mib).ok()).unwrap_or(0) << 20)
}

/// What is told of a type, in our words; `None` for one whose processor is neither of the two.
fn facts(info: &InstanceTypeInfo, zones: Vec<String>) -> Option<TypeFacts> {
    let architectures = info.processor_info()?.supported_architectures();
    let processor = if architectures.contains(&ArchitectureType::X8664) {
        Processor::X86_64
    } else if architectures.contains(&ArchitectureType::Arm64) {
        Processor::Arm64
    } else {
        return None;
    };
    let gpus = info.gpu_info().map(GpuInfo::gpus).unwrap_or_default().iter().map(|gpu| {
        let count = gpu.logical_gpu_count().or(gpu.count()).and_then(|count| u32::try_from(count).ok());
        let mib = gpu.memory_info().and_then(GpuDeviceMemoryInfo::size_in_mib);
        GpuFacts {
            name: gpu.name().unwrap_or_default().to_owned(),
            manufacturer: gpu.manufacturer().unwrap_or_default().to_owned(),
            count: count.unwrap_or(1),
            memory: mebibytes(mib.map(i64::from)),
            fractional: gpu.gpu_partition_size().is_some_and(|part| part < 1.0),
        }
    });
    let vcpus = info.v_cpu_info().and_then(VCpuInfo::default_v_cpus);
    let mib = info.memory_info().and_then(MemoryInfo::size_in_mib);
    Some(TypeFacts {
        name: info.instance_type()?.as_str().to_owned(),
        processor,
        gpus: gpus.collect(),
        vcpus: vcpus.and_then(|vcpus| u32::try_from(vcpus).ok()).unwrap_or(0),
        memory: mebibytes(mib),
        markets: info
            .supported_usage_classes()
            .iter()
            .filter_map(|class| Purchase::of(class.as_str()))
            .collect(),
        zones,
    })
}
