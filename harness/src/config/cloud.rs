//! What a user asks of a node that a cloud makes, whichever cloud it is.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use gpu_suites::unit::Span;
use serde::Deserialize;

use super::ec2::{Ec2Config, Ec2Settings};
use super::need::NodeNeed;
use super::node::Provider;
use crate::text::figures;

/// The keys of a node that a cloud makes: those of every cloud, and its provider's own.
macro_rules! cloud_keys {
    ($(#[$doc:meta])* $name:ident { $( $(#[$key:meta])* $field:ident : $type:ty ),* $(,)? }) => {
        $crate::config::node::node_keys! {
            $(#[$doc])*
            $name {
                /// The regions; [`CloudSettings`](crate::config::cloud::CloudSettings) says what this and what follows means.
                #[serde(default)]
                region: Option<$crate::config::OneOrMany>,
                #[serde(default)]
                gpu: Option<$crate::config::need::GpuKey>,
                #[serde(default)]
                cpu: Option<$crate::config::need::CpuNeed>,
                #[serde(default)]
                market: Option<$crate::config::cloud::Market>,
                #[serde(default)]
                user: Option<String>,
                #[serde(default)]
                port: Option<std::num::NonZeroU16>,
                /// Hard end of the node.
                #[serde(default)]
                ttl: Option<gpu_suites::unit::Span>,
                /// How long it may boot.
                #[serde(default)]
                boot_timeout: Option<gpu_suites::unit::Span>,
                /// US dollars an hour.
                #[serde(default)]
                max_price: Option<$crate::config::cloud::Usd>,
                /// US dollars a run.
                #[serde(default)]
                max_cost: Option<$crate::config::cloud::Usd>,
                /// How long to wait for capacity.
                #[serde(default)]
                wait: Option<gpu_suites::unit::Span>,
                /// Whether the node is handed on.
                #[serde(default)]
                reuse: Option<bool>,
                #[serde(default)]
                tags: std::collections::BTreeMap<String, String>,
                $( $(#[$key])* $field: $type, )*
            }
        }

        impl $name {
            /// What all clouds have, with its defaults.
            fn cloud(&self) -> Result<$crate::config::cloud::CloudSettings, $crate::config::cloud::CloudSettingsError> {
                $crate::config::cloud::check(self.machine().lease(), self.ttl, &self.tags)?;
                let region = self.region.clone();
                Ok($crate::config::cloud::CloudSettings {
                    regions: region.map($crate::config::OneOrMany::into_vec).unwrap_or_default(),
                    need: $crate::config::need::NodeNeed::of(self.gpu.as_ref(), self.cpu),
                    market: self.market.unwrap_or_default(),
                    user: self.user.clone().unwrap_or_else(|| "ubuntu".to_owned()),
                    port: self.port.map_or(22, std::num::NonZeroU16::get),
                    ttl: self.ttl.map(|ttl| ttl.0),
                    boot_timeout: self.boot_timeout.map_or($crate::config::cloud::BOOT_TIMEOUT, |time| time.0),
                    max_price: self.max_price,
                    max_cost: self.max_cost,
                    wait: self.wait.map_or($crate::config::cloud::WAIT, |wait| wait.0),
                    reuse: self.reuse.unwrap_or(false),
                    tags: self.tags.clone(),
                })
            }
        }
    };
}
pub(super) use cloud_keys;

/// What a user asks of a node of any cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudSettings {
    /// The regions, tried in this order; empty: the one that the cloud's own settings name.
    pub regions: Vec<String>,
    /// What the node has to be, besides what the suites ask for.
    pub need: NodeNeed,
    pub market: Market,
    /// The image's default user.
    pub user: String,
    pub port: u16,
    /// The node's hard end, counted from the launch; `None`: from the suites' own limits.
    pub ttl: Option<Duration>,
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
}

/// A node that is made for the run, by its provider.
#[derive(Debug, Clone, PartialEq)]
pub enum CloudNode {
    /// Amazon EC2.
    Ec2(Ec2Settings),
}

impl CloudNode {
    pub fn provider(&self) -> Provider {
        match self {
            Self::Ec2(_) => Provider::Ec2,
        }
    }

    /// A node of each provider about which nothing else is said.
    pub fn of_each_provider() -> impl Iterator<Item = Self> {
        Ec2Settings::of(&Ec2Config::default()).map(Self::Ec2).into_iter()
    }

    /// Takes over what the user knows of prices of another node of the same provider.
    pub fn know_prices_of(&mut self, other: &Self) {
        match (self, other) {
            (Self::Ec2(one), Self::Ec2(other)) => one.prices.extend(other.prices.clone()),
        }
    }
}

impl Deref for CloudNode {
    type Target = CloudSettings;

    fn deref(&self) -> &CloudSettings {
        match self {
            Self::Ec2(settings) => settings,
        }
    }
}

impl DerefMut for CloudNode {
    fn deref_mut(&mut self) -> &mut CloudSettings {
        match self {
            Self::Ec2(settings) => settings,
        }
    }
}

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
        f.write_str(&figures::dollars(self.0))
    }
}

/// How an instance is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    Spot,
    OnDemand,
    /// Spot; on-demand where no region has spot capacity, and after several reclaims in a short time.
    #[default]
    SpotThenOnDemand,
}

/// Why the settings of a node of a cloud make no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CloudSettingsError {
    /// The lease would end a node that is well.
    #[error(
        "`lease: {0}` is too short for a node in a cloud: write 20s or more; within it a cut connection has to come back"
    )]
    Lease(Span),
    /// The node would end before it could run anything.
    #[error("`ttl: {0}` is too short: booting alone takes minutes; write 5m or more")]
    Ttl(Span),
    /// A tag of the user's would replace one of ours.
    #[error("tag `{0}` begins with `gpu-harness:`, which is not yours to set")]
    Tag(String),
    /// Something that its provider alone knows.
    #[error("{0}")]
    Own(String),
}

/// Below this a short cut would cost the node.
const MIN_LEASE: Duration = Duration::from_secs(20);
/// Below this no node does anything useful.
const MIN_TTL: Duration = Duration::from_secs(300);
/// "Not online after 8 minutes" is a hung boot in others' experience (oxidecomputer/buildomat).
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_secs(480);
/// How long a run waits for capacity where nothing else is said.
pub(super) const WAIT: Duration = Duration::from_secs(600);

/// Whether it makes sense.
pub(super) fn check(
    lease: Duration,
    ttl: Option<Span>,
    tags: &BTreeMap<String, String>,
) -> Result<(), CloudSettingsError> {
    if lease < MIN_LEASE {
        return Err(CloudSettingsError::Lease(Span(lease)));
    }
    if let Some(ttl) = ttl.filter(|ttl| ttl.0 < MIN_TTL) {
        return Err(CloudSettingsError::Ttl(ttl));
    }
    match tags.keys().find(|tag| tag.starts_with("gpu-harness:")) {
        Some(tag) => Err(CloudSettingsError::Tag(tag.clone())),
        None => Ok(()),
    }
}
