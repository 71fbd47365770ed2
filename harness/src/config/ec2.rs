//! What a user asks of an EC2 node: the settings of `provider: ec2` in `gpu-harness.yaml`, made definite.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::{Deref, DerefMut};

use gpu_suites::unit::ByteSize;
use serde::Deserialize;

use super::cloud::{CloudSettings, CloudSettingsError, Usd, cloud_keys};
use super::need::CpuNeed;

/// Where AWS tells a caller its own address.
const CALLER_ADDRESS: &str = "https://checkip.amazonaws.com";
/// What a node without GPUs has at least where nothing is said of it: within the quota of a new account (5 vCPUs), and
/// enough for libtorch.
const CPU_NODE: CpuNeed = CpuNeed { count: NonZeroU32::new(4), memory: Some(ByteSize(8 << 30)) };
/// The root volume of a node that boots Ubuntu's image, whose own is of 8 GiB: a libtorch and its archive fill that.
const UBUNTU_VOLUME: ByteSize = ByteSize(30 << 30);

cloud_keys! {
    /// The keys of a node of provider ec2; [`Ec2Settings`] says what each means.
    Ec2Config {
        #[serde(default)]
        types: Vec<String>,
        #[serde(default)]
        image: Option<ImageConfig>,
        #[serde(default)]
        subnets: Vec<String>,
        #[serde(default)]
        security_group: Option<String>,
        /// Where the caller's address is learnt.
        #[serde(default)]
        caller_address: Option<String>,
        /// Size of the root volume.
        #[serde(default)]
        volume: Option<ByteSize>,
        /// MiB/s at which the volume is filled from its snapshot.
        #[serde(default)]
        volume_initialization_rate: Option<NonZeroU16>,
        #[serde(default)]
        instance_profile: Option<String>,
        #[serde(default)]
        prices: BTreeMap<String, Usd>,
    }
}

/// A node that is to be had from EC2. What all clouds have is read as if it were its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Ec2Settings {
    /// What all clouds have.
    pub cloud: CloudSettings,
    /// Instance types in the order of the user's liking; empty: any that meets the need.
    pub types: Vec<String>,
    pub image: ImageChoice,
    /// Subnets; empty: the default VPC's, one for each zone.
    pub subnets: Vec<String>,
    /// The security group; `None`: one is made for the run that lets in the caller's address only.
    pub security_group: Option<String>,
    /// Where the caller's address is asked for (a URL), or an address or CIDR itself.
    pub caller_address: String,
    /// Size of the root volume; `None`: the image's own.
    pub volume: Option<ByteSize>,
    /// `VolumeInitializationRate` in MiB/s: how fast the snapshot is brought to the volume. Costs extra.
    pub volume_initialization_rate: Option<NonZeroU16>,
    /// Name of the instance profile, where the suites need AWS credentials on the node.
    pub instance_profile: Option<String>,
    /// On-demand prices in US dollars an hour that replace those of the built-in table.
    pub prices: BTreeMap<String, Usd>,
}

impl Deref for Ec2Settings {
    type Target = CloudSettings;

    fn deref(&self) -> &CloudSettings {
        &self.cloud
    }
}

impl DerefMut for Ec2Settings {
    fn deref_mut(&mut self) -> &mut CloudSettings {
        &mut self.cloud
    }
}

/// How the user names an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageConfig {
    #[serde(default)]
    id: Option<String>,
    /// Name of an SSM parameter that holds an AMI's id.
    #[serde(default)]
    ssm: Option<String>,
    /// Pattern of the AMI's name (`*`, `?`); the newest is taken.
    #[serde(default)]
    name: Option<String>,
    /// The account that owns images of that name; default: yours (`self`).
    #[serde(default)]
    owner: Option<String>,
}

/// What a node boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageChoice {
    /// AWS's Deep Learning Base AMI for the instance's processor architecture: Ubuntu with NVIDIA's driver.
    DeepLearning,
    /// Canonical's Ubuntu, for a node without GPUs: nothing that is not needed has to boot.
    Ubuntu,
    Id(String),
    /// The AMI that an SSM parameter names.
    Ssm(String),
    /// The newest AMI of such a name.
    Name {
        pattern: String,
        /// An account id, `self` or `amazon`.
        owner: String,
    },
}

impl Ec2Settings {
    /// The settings that `config` gives, with their defaults.
    pub fn of(config: &Ec2Config) -> Result<Self, CloudSettingsError> {
        let mut cloud = config.cloud()?;
        if let Some(tag) = cloud.tags.keys().find(|tag| tag.starts_with("aws:")) {
            return Err(CloudSettingsError::Own(format!(
                "tag `{tag}` begins with `aws:`, which is not yours to set"
            )));
        }
        let has_gpus = cloud.need.gpu.is_some();
        if !has_gpus && config.cpu.is_none() && config.types.is_empty() {
            cloud.need.cpu = CPU_NODE;
        }
        let usual = if has_gpus { ImageChoice::DeepLearning } else { ImageChoice::Ubuntu };
        let image = config.image.as_ref().map_or(Ok(usual), image)?;
        let volume = config.volume.or((image == ImageChoice::Ubuntu).then_some(UBUNTU_VOLUME));
        Ok(Self {
            cloud,
            types: config.types.clone(),
            image,
            subnets: config.subnets.clone(),
            security_group: config.security_group.clone(),
            caller_address: config.caller_address.clone().unwrap_or_else(|| CALLER_ADDRESS.to_owned()),
            volume,
            volume_initialization_rate: config.volume_initialization_rate,
            instance_profile: config.instance_profile.clone(),
            prices: config.prices.clone(),
        })
    }
}

/// What is wrong where the image is named in two ways, or in none.
const IMAGE: &str = "`image:` needs exactly one of `id`, `ssm` and `name` (`owner` goes with `name`); leave it out for AWS's Deep Learning AMI";

fn image(config: &ImageConfig) -> Result<ImageChoice, CloudSettingsError> {
    match (&config.id, &config.ssm, &config.name, &config.owner) {
        (Some(id), None, None, None) => Ok(ImageChoice::Id(id.clone())),
        (None, Some(parameter), None, None) => Ok(ImageChoice::Ssm(parameter.clone())),
        (None, None, Some(pattern), owner) => Ok(ImageChoice::Name {
            pattern: pattern.clone(),
            owner: owner.clone().unwrap_or_else(|| "self".to_owned()),
        }),
        _ => Err(CloudSettingsError::Own(IMAGE.to_owned())),
    }
}

/// The settings of a node that says this besides its provider.
#[cfg(test)]
pub(crate) fn settings(more: &str) -> Result<Ec2Settings, CloudSettingsError> {
    Ec2Settings::of(&serde_yaml::from_str(&format!("cache: /c\n{more}")).unwrap())
}

#[cfg(test)]
mod tests {
    use super::super::cloud::Market;
    use super::*;

    #[test]
    fn a_node_that_says_nothing_else_is_one_gpu_on_spot_and_on_demand_where_there_is_none() {
        let plain = settings("").unwrap();
        assert_eq!(
            (plain.market, plain.need.gpu.as_ref().unwrap().count.get()),
            (Market::SpotThenOnDemand, 1)
        );
        assert_eq!(
            (&plain.image, plain.user.as_str(), plain.port),
            (&ImageChoice::DeepLearning, "ubuntu", 22)
        );
        assert_eq!((&plain.need.cpu, plain.volume), (&CpuNeed::default(), None));
        assert_eq!(settings("region: eu-west-1").unwrap().regions, ["eu-west-1"]);
        assert_eq!(settings("region: [eu-west-1, us-east-1]").unwrap().regions.len(), 2);
    }

    #[test]
    fn a_node_without_gpus_boots_plain_ubuntu_and_is_four_processors_unless_it_says_otherwise() {
        let cpus = |text: &str| settings(text).unwrap().need.cpu.count.map(NonZeroU32::get);
        let plain = settings("gpu: none").unwrap();
        assert_eq!((&plain.need.gpu, plain.need.cpu), (&None, CPU_NODE));
        assert_eq!((&plain.image, plain.volume), (&ImageChoice::Ubuntu, Some(UBUNTU_VOLUME)));
        assert_eq!(cpus("gpu: none\ncpu: {count: 16}"), Some(16));
        assert_eq!(cpus("gpu: none\ntypes: [t3.small]"), None, "who names a type knows what it has");
        let own = settings("gpu: none\nimage: {id: ami-1}").unwrap();
        assert_eq!((own.image, own.volume), (ImageChoice::Id("ami-1".into()), None));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_with_what_to_write() {
        for (text, said) in [
            ("image: {id: ami-1, ssm: /x}", "exactly one of"),
            ("image: {owner: self}", "exactly one of"),
            ("lease: 5s", "write 20s or more"),
            ("ttl: 1m", "write 5m or more"),
            ("tags: {'gpu-harness:run': x}", "not yours to set"),
        ] {
            let error = settings(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(serde_yaml::from_str::<Ec2Config>("max-price: -1").is_err());
    }
}
