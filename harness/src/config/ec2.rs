//! What a user asks of an EC2 node: the settings of `provider: ec2` in `gpu-harness.yaml`, made definite.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use gpu_suites::gpu::GpuNeed;
use gpu_suites::unit::{ByteSize, Span};
use serde::Deserialize;

use crate::config::{DEFAULT_LEASE, NodeConfig, OneOrMany};

/// Where AWS tells a caller its own address.
const CALLER_ADDRESS: &str = "https://checkip.amazonaws.com";

/// A node that is to be had from EC2.
#[derive(Debug, Clone, PartialEq)]
pub struct Ec2Settings {
    /// The regions, tried in this order; empty: the SDK's own (`AWS_REGION`, the profile's).
    pub regions: Vec<String>,
    /// Instance types in the order of the user's liking; empty: any that meets the need.
    pub types: Vec<String>,
    /// The GPUs that the node is to have, besides what the suites ask for.
    pub gpu: GpuNeed,
    /// Spot or on-demand.
    pub market: Market,
    /// What it boots.
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
    /// The image's default user.
    pub user: String,
    /// The ssh port.
    pub port: u16,
    /// The node's hard end, counted from the launch; `None`: from the suites' own limits.
    pub ttl: Option<Duration>,
    /// How long the node goes on without hearing from the harness.
    pub lease: Duration,
    /// A node that is not reachable by ssh after this long is given back and another had.
    pub boot_timeout: Duration,
    /// US dollars an hour that an instance may cost.
    pub max_price: Option<Usd>,
    /// US dollars that a run may cost.
    pub max_cost: Option<Usd>,
    /// How long to go on asking where there is no capacity.
    pub wait: Duration,
    /// Whether runs of the same job on this machine hand the node on to one another.
    pub reuse: bool,
    /// The user's own tags, on everything that is made.
    pub tags: BTreeMap<String, String>,
    /// On-demand prices in US dollars an hour that replace those of the built-in table.
    pub prices: BTreeMap<String, Usd>,
}

/// US dollars.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Usd(pub f64);

impl TryFrom<f64> for Usd {
    type Error = String;

    fn try_from(dollars: f64) -> Result<Self, String> {
        if dollars.is_finite() && dollars > 0.0 {
            Ok(Self(dollars))
        } else {
            Err(format!("{dollars} is no amount of US dollars: write a number above 0, such as 0.85"))
        }
    }
}

impl std::fmt::Display for Usd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 0.1 { write!(f, "${:.4}", self.0) } else { write!(f, "${:.2}", self.0) }
    }
}

/// How an instance is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spot only.
    Spot,
    /// On-demand only.
    OnDemand,
    /// Spot; on-demand where no region has spot capacity, and after several reclaims in a short time.
    #[default]
    SpotThenOnDemand,
}

/// How the user names an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageConfig {
    /// An AMI's id.
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
    /// An AMI.
    Id(String),
    /// The AMI that an SSM parameter names.
    Ssm(String),
    /// The newest AMI of such a name.
    Name {
        /// The pattern.
        pattern: String,
        /// An account id, `self` or `amazon`.
        owner: String,
    },
}

/// Why the settings of a node of provider ec2 make no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ec2SettingsError {
    /// The image is named in two ways, or in none.
    #[error(
        "`image:` needs exactly one of `id`, `ssm` and `name` (`owner` goes with `name`); leave it out for AWS's Deep Learning AMI"
    )]
    Image,
    /// The lease would end a node that is well.
    #[error(
        "`lease: {0}` is too short for a node in a cloud: write 20s or more; within it a cut connection has to come back"
    )]
    Lease(Span),
    /// The node would end before it could run anything.
    #[error("`ttl: {0}` is too short: booting alone takes minutes; write 5m or more")]
    Ttl(Span),
    /// A tag of the user's would replace one of ours.
    #[error("tag `{0}` begins with `gpu-harness:` or `aws:`, which are not yours to set")]
    Tag(String),
}

impl Ec2Settings {
    /// The settings that `config` gives, with their defaults.
    pub fn of(config: &NodeConfig) -> Result<Self, Ec2SettingsError> {
        let lease = config.lease.map_or(DEFAULT_LEASE, |lease| lease.0);
        if lease < MIN_LEASE {
            return Err(Ec2SettingsError::Lease(Span(lease)));
        }
        if let Some(ttl) = config.ttl.filter(|ttl| ttl.0 < MIN_TTL) {
            return Err(Ec2SettingsError::Ttl(ttl));
        }
        let foreign = |tag: &&String| ["gpu-harness:", "aws:"].iter().any(|prefix| tag.starts_with(prefix));
        if let Some(tag) = config.tags.keys().find(foreign) {
            return Err(Ec2SettingsError::Tag(tag.clone()));
        }
        Ok(Self {
            regions: config.region.clone().map(OneOrMany::into_vec).unwrap_or_default(),
            types: config.types.clone(),
            gpu: config.gpu.clone().unwrap_or_default(),
            market: config.market.unwrap_or_default(),
            image: config.image.as_ref().map_or(Ok(ImageChoice::DeepLearning), image)?,
            subnets: config.subnets.clone(),
            security_group: config.security_group.clone(),
            caller_address: config.caller_address.clone().unwrap_or_else(|| CALLER_ADDRESS.to_owned()),
            volume: config.volume,
            volume_initialization_rate: config.volume_initialization_rate,
            instance_profile: config.instance_profile.clone(),
            user: config.user.clone().unwrap_or_else(|| "ubuntu".to_owned()),
            port: config.port.map_or(22, NonZeroU16::get),
            ttl: config.ttl.map(|ttl| ttl.0),
            lease,
            boot_timeout: config.boot_timeout.map_or(BOOT_TIMEOUT, |timeout| timeout.0),
            max_price: config.max_price,
            max_cost: config.max_cost,
            wait: config.wait.map_or(WAIT, |wait| wait.0),
            reuse: config.reuse.unwrap_or(false),
            tags: config.tags.clone(),
            prices: config.prices.clone(),
        })
    }
}

/// Below this a short cut would cost the node.
const MIN_LEASE: Duration = Duration::from_secs(20);
/// Below this no node does anything useful.
const MIN_TTL: Duration = Duration::from_secs(300);
/// "Not online after 8 minutes" is a hung boot in others' experience (oxidecomputer/buildomat).
const BOOT_TIMEOUT: Duration = Duration::from_secs(480);
/// How long a run waits for capacity where nothing else is said.
const WAIT: Duration = Duration::from_secs(600);

fn image(config: &ImageConfig) -> Result<ImageChoice, Ec2SettingsError> {
    match (&config.id, &config.ssm, &config.name, &config.owner) {
        (Some(id), None, None, None) => Ok(ImageChoice::Id(id.clone())),
        (None, Some(parameter), None, None) => Ok(ImageChoice::Ssm(parameter.clone())),
        (None, None, Some(pattern), owner) => Ok(ImageChoice::Name {
            pattern: pattern.clone(),
            owner: owner.clone().unwrap_or_else(|| "self".to_owned()),
        }),
        _ => Err(Ec2SettingsError::Image),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> Result<Ec2Settings, Ec2SettingsError> {
        Ec2Settings::of(&serde_yaml::from_str(&format!("provider: ec2\n{more}")).unwrap())
    }

    #[test]
    fn a_node_that_says_nothing_else_is_one_gpu_on_spot_and_on_demand_where_there_is_none() {
        let plain = settings("").unwrap();
        assert_eq!((plain.market, plain.gpu.count.get()), (Market::SpotThenOnDemand, 1));
        assert_eq!((plain.image, plain.user.as_str(), plain.port), (ImageChoice::DeepLearning, "ubuntu", 22));
        assert_eq!(settings("region: eu-west-1").unwrap().regions, ["eu-west-1"]);
        assert_eq!(settings("region: [eu-west-1, us-east-1]").unwrap().regions.len(), 2);
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
        assert!(serde_yaml::from_str::<NodeConfig>("provider: ec2\nmax-price: -1").is_err());
    }
}
