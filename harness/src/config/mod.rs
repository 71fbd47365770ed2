//! `gpu-harness.yaml`: the nodes that a project knows by name.

pub mod cloud;
pub mod ec2;
mod location;
pub mod need;
pub mod node;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gpu_suites::id::{CaseId, NodeName};
use gpu_suites::load::{self, LoadError};
use serde::Deserialize;

pub use location::Location;
pub use node::{DEFAULT_LEASE, NodeConfig, Provider};

/// The file's name; it is looked for in the working folder and the folders above it.
pub const FILE_NAME: &str = "gpu-harness.yaml";

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
    Off,
}

/// What a confirmed regression does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRegression {
    #[default]
    Fail,
    Warn,
    Off,
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    Higher,
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

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
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
