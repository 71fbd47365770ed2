//! `gpu-harness.yaml`: the nodes that a project knows by name.

pub mod ec2;
mod location;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_suites::gpu::GpuNeed;
use gpu_suites::id::{CaseId, NodeName};
use gpu_suites::load::{self, LoadError};
use gpu_suites::unit::{ByteSize, Span};
use serde::Deserialize;

use ec2::{ImageConfig, Market, Usd};
pub use location::Location;

/// The file's name; it is looked for in the working folder and the folders above it.
pub const FILE_NAME: &str = "gpu-harness.yaml";

/// A project's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The node that `run` uses where `--node` is not given; else `local`.
    pub default: Option<NodeName>,
    /// The nodes by name.
    pub nodes: BTreeMap<String, NodeConfig>,
    /// Where the history lies that `run` adds to and judges by; a relative folder is below the file's.
    pub history: Option<Location>,
    /// What a regression does to the build.
    pub regression: OnRegression,
    /// Whether what the node can do at best is measured first.
    pub canary: CanaryWhen,
    /// Which way metrics are better whose names do not say so, by patterns of names.
    pub metrics: BTreeMap<String, Better>,
    /// Cases whose failures do not fail the build for now.
    pub quarantine: Vec<QuarantineConfig>,
    /// Who is told when something changes from one run to the next.
    pub notify: Vec<NotifyConfig>,
    /// The file, where there is one.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// When a run has a canary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryWhen {
    /// Where it is judged by a history, and a case needs libtorch on the node anyway.
    #[default]
    Auto,
    /// Wherever it is judged by a history.
    On,
    /// Never.
    Off,
}

/// What a confirmed regression does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRegression {
    /// The run fails.
    #[default]
    Fail,
    /// It is said.
    Warn,
    /// Nothing is judged.
    Off,
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It is kept and not judged.
    Ignore,
}

/// A case in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuarantineConfig {
    /// `suite::case`.
    pub case: CaseId,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: jiff::civil::Date,
    /// The line of the file on which it stands.
    #[serde(skip)]
    pub line: Option<usize>,
}

/// A service that is told of changes. Its address is a secret, so that the file only names where it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotifyConfig {
    /// The environment variable that holds the address.
    pub url_env: String,
    /// The environment variable that holds the secret (`whsec_…`) to sign with.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// What the service takes.
    #[serde(default)]
    pub format: NotifyFormat,
}

/// What a service takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyFormat {
    /// All of it as JSON.
    #[default]
    Json,
    /// A text, as Slack's incoming webhooks take it.
    Slack,
}

/// A node of the project's own. Which settings belong to which provider is checked where the node is chosen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeConfig {
    /// How the node is had.
    pub provider: Provider,
    /// The agent's folder on the node; default: `~/.cache/gpu-harness` there.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// Where libtorch is on the node; default: the agent looks for it.
    #[serde(default)]
    pub libtorch: Option<PathBuf>,
    /// How long the node goes on without hearing from the harness.
    #[serde(default)]
    pub lease: Option<Span>,

    /// `ssh://[user@]host[:port]`, for the provider `ssh`.
    #[serde(default)]
    pub address: Option<String>,
    /// The private key file to use, for the provider `ssh`.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// The `known_hosts` file to verify the host by, for the provider `ssh`; default: OpenSSH's.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,

    /// One region, or several in order. This and all that follows is for the provider `ec2`; [`ec2::Ec2Settings`] says
    /// what each means.
    #[serde(default)]
    pub region: Option<OneOrMany>,
    /// Instance types.
    #[serde(default)]
    pub types: Vec<String>,
    /// The GPUs.
    #[serde(default)]
    pub gpu: Option<GpuNeed>,
    /// Spot or on-demand.
    #[serde(default)]
    pub market: Option<Market>,
    /// What it boots.
    #[serde(default)]
    pub image: Option<ImageConfig>,
    /// Subnets.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Security group.
    #[serde(default)]
    pub security_group: Option<String>,
    /// Where the caller's address is learnt.
    #[serde(default)]
    pub caller_address: Option<String>,
    /// Size of the root volume.
    #[serde(default)]
    pub volume: Option<ByteSize>,
    /// MiB/s at which the volume is filled from its snapshot.
    #[serde(default)]
    pub volume_initialization_rate: Option<NonZeroU16>,
    /// Instance profile.
    #[serde(default)]
    pub instance_profile: Option<String>,
    /// ssh user.
    #[serde(default)]
    pub user: Option<String>,
    /// ssh port.
    #[serde(default)]
    pub port: Option<NonZeroU16>,
    /// Hard end of the node.
    #[serde(default)]
    pub ttl: Option<Span>,
    /// How long it may boot.
    #[serde(default)]
    pub boot_timeout: Option<Span>,
    /// US dollars an hour.
    #[serde(default)]
    pub max_price: Option<Usd>,
    /// US dollars a run.
    #[serde(default)]
    pub max_cost: Option<Usd>,
    /// How long to wait for capacity.
    #[serde(default)]
    pub wait: Option<Span>,
    /// Whether the node is handed on.
    #[serde(default)]
    pub reuse: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// On-demand prices.
    #[serde(default)]
    pub prices: BTreeMap<String, Usd>,
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// The lease of a node that says nothing else.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(120);

/// Who has the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// This machine.
    Local,
    /// A machine that is there already and is reached by ssh.
    Ssh,
    /// An instance that is made for the run and given back after it.
    Ec2,
}

impl Config {
    /// Reads the nearest `gpu-harness.yaml` at or above `folder`; none there is an empty one.
    pub fn find(folder: &Path) -> Result<Self, LoadError> {
        match folder.ancestors().map(|above| above.join(FILE_NAME)).find(|path| path.is_file()) {
            Some(path) => Self::read(&path, folder),
            None => Ok(Self::default()),
        }
    }

    /// Reads one file, for a command that was given in `cwd`.
    pub fn read(path: &Path, cwd: &Path) -> Result<Self, LoadError> {
        let mut config: Self = load::document(path, cwd)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.history = config.history.map(|place| place.below(folder));
        for (index, entry) in config.quarantine.iter_mut().enumerate() {
            entry.line = load::line_of(path, &format!("quarantine[{index}].until"), cwd);
        }
        config.path = Some(path.to_owned());
        Ok(config)
    }
}
