//! `gpu-harness.yaml`: the nodes that a project knows by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_suites::id::NodeName;
use gpu_suites::load::{self, LoadError};
use gpu_suites::unit::Span;
use serde::Deserialize;

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
}

/// A node of the project's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeConfig {
    /// How the node is had.
    pub provider: Provider,
    /// `ssh://[user@]host[:port]`, for the provider `ssh`.
    #[serde(default)]
    pub address: Option<String>,
    /// The private key file to use, for the provider `ssh`.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// The `known_hosts` file to verify the host by; default: OpenSSH's.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,
    /// The agent's folder on the node; default: `~/.cache/gpu-harness` there.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// Where libtorch is on the node; default: the agent looks for it.
    #[serde(default)]
    pub libtorch: Option<PathBuf>,
    /// How long the node goes on without hearing from the harness.
    #[serde(default = "default_lease")]
    pub lease: Span,
}

/// The lease of a node that says nothing else.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(120);

fn default_lease() -> Span {
    Span(DEFAULT_LEASE)
}

/// Who has the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// This machine.
    Local,
    /// A machine that is there already and is reached by ssh.
    Ssh,
}

impl Config {
    /// Reads the nearest `gpu-harness.yaml` at or above `folder`; none there is an empty one.
    pub fn find(folder: &Path) -> Result<Self, LoadError> {
        match folder.ancestors().map(|above| above.join(FILE_NAME)).find(|path| path.is_file()) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    /// Reads one file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        load::document(path)
    }
}
