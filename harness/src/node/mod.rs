//! Which node: `local`, `ssh://[user@]host[:port]`, or a name in `gpu-harness.yaml`.

pub(crate) mod answer;
pub mod health;
pub mod remote;

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::id::NodeName;

use crate::config::ec2::{Ec2Settings, Ec2SettingsError};
use crate::config::{Config, DEFAULT_LEASE, NodeConfig, Provider};
use crate::text::Explain;

/// No network renews faster than this.
const LEAST_LEASE: Duration = Duration::from_secs(1);

/// A node that can be had.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What the user calls it.
    pub name: NodeName,
    /// How it is reached.
    pub place: Place,
    /// The agent's folder there, where it is not the default one.
    pub cache: Option<PathBuf>,
    /// Where libtorch is there, where the user says so.
    pub libtorch: Option<PathBuf>,
    /// How long the node goes on without hearing from the harness.
    pub lease: Duration,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// This machine.
    Local,
    /// A machine that is reached by ssh.
    Ssh {
        /// `ssh://[user@]host[:port]`.
        address: String,
        /// The key file to use, where the user says so.
        identity: Option<PathBuf>,
        /// The `known_hosts` file, where it is not OpenSSH's.
        known_hosts: Option<PathBuf>,
    },
    /// An EC2 instance that is yet to be had.
    Ec2(Box<Ec2Settings>),
}

/// Why there is no such node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The name is nowhere defined.
    #[error("no node is named `{name}`; {}", name_known(.known))]
    Unknown {
        /// The name.
        name: NodeName,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The node's settings lack something.
    #[error(
        "node `{name}` has provider ssh and no address; add `address: ssh://user@host` to it in gpu-harness.yaml"
    )]
    NoAddress {
        /// The node.
        name: NodeName,
    },
    /// The lease is over before it can be renewed.
    #[error("node `{name}`: a `lease` of less than 1s is over before it is renewed; leave it out for 2m")]
    Lease {
        /// The node.
        name: NodeName,
    },
    /// The node's settings make no sense.
    #[error("node `{name}`: {problem}")]
    Ec2 {
        /// The node.
        name: NodeName,
        /// What is wrong.
        problem: Ec2SettingsError,
    },
}

impl Explain for NodeError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn name_known(names: &[String]) -> String {
    if names.is_empty() {
        return "write local, ssh://[user@]host[:port], or define it under `nodes:` in gpu-harness.yaml"
            .to_owned();
    }
    format!("there are local, ssh://[user@]host[:port], and in gpu-harness.yaml: {}", names.join(", "))
}

impl Node {
    /// The node that `--node` names, else the project's default, else this machine.
    pub fn choose(asked: Option<&str>, config: &Config) -> Result<Self, NodeError> {
        let name =
            asked.map(NodeName::from).or_else(|| config.default.clone()).unwrap_or_else(|| "local".into());
        if name.as_str().starts_with("ssh://") {
            let address = name.0.clone();
            return Ok(Self::plain(name, Place::Ssh { address, identity: None, known_hosts: None }));
        }
        match config.nodes.get(name.as_str()) {
            Some(settings) => Self::configured(name, settings),
            None if name.as_str() == "local" => Ok(Self::plain(name, Place::Local)),
            None => Err(NodeError::Unknown { name, known: config.nodes.keys().cloned().collect() }),
        }
    }

    fn plain(name: NodeName, place: Place) -> Self {
        Self { name, place, cache: None, libtorch: None, lease: DEFAULT_LEASE }
    }

    fn configured(name: NodeName, settings: &NodeConfig) -> Result<Self, NodeError> {
        let place = match settings.provider {
            Provider::Ec2 => {
                let settings = Ec2Settings::of(settings)
                    .map_err(|problem| NodeError::Ec2 { name: name.clone(), problem })?;
                Place::Ec2(Box::new(settings))
            }
            Provider::Local => Place::Local,
            Provider::Ssh => Place::Ssh {
                address: settings
                    .address
                    .clone()
                    .ok_or_else(|| NodeError::NoAddress { name: name.clone() })?,
                identity: settings.identity.as_deref().map(from_home),
                known_hosts: settings.known_hosts.as_deref().map(from_home),
            },
        };
        let lease = settings.lease.map_or(DEFAULT_LEASE, |lease| lease.0);
        if lease < LEAST_LEASE {
            return Err(NodeError::Lease { name });
        }
        Ok(Self { name, place, cache: settings.cache.clone(), libtorch: settings.libtorch.clone(), lease })
    }
}

/// The path with a leading `~/` replaced by the user's home.
fn from_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(below), Some(home)) => PathBuf::from(home).join(below),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_the_asked_one_then_the_default_then_this_machine() {
        let config: Config =
            serde_yaml::from_str("default: lab\nnodes:\n  lab: { provider: ssh, address: ssh://gpu-box }\n")
                .unwrap();
        let none = Config::default();
        let place = |asked, config| Node::choose(asked, config).unwrap().place;
        assert_eq!(place(None, &none), Place::Local);
        assert!(matches!(place(None, &config), Place::Ssh { address, .. } if address == "ssh://gpu-box"));
        assert_eq!(place(Some("local"), &config), Place::Local);
        assert!(
            matches!(place(Some("ssh://me@h:2"), &none), Place::Ssh { address, .. } if address == "ssh://me@h:2")
        );
        let home = std::env::var("HOME").unwrap();
        assert_eq!(from_home(Path::new("~/.ssh/lab")), Path::new(&home).join(".ssh/lab"));
        assert_eq!(from_home(Path::new("keys/lab")), Path::new("keys/lab"));
        let message = Node::choose(Some("lba"), &config).unwrap_err().to_string();
        assert!(message.contains("no node is named `lba`") && message.contains("lab"), "{message}");
    }
}
