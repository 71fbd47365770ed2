//! Which node: `local`, `ssh://[user@]host[:port]`, or a name in `gpu-harness.yaml`.

pub(crate) mod answer;
pub mod health;
pub mod remote;

use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::id::NodeName;
use gpu_suites::spec::Environment;

use crate::config::cloud::{CloudNode, CloudSettingsError};
use crate::config::ec2::Ec2Settings;
use crate::config::node::Machine;
use crate::config::{Config, NodeConfig, Provider};
use crate::text::Explain;

/// No network renews faster than this.
const LEAST_LEASE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: NodeName,
    pub place: Endpoint,
    /// The agent's folder there, where it is not the default one.
    pub cache: Option<PathBuf>,
    /// Where libtorch is there, where the user says so.
    pub libtorch: Option<PathBuf>,
    /// What it is made ready with.
    pub environment: Environment,
    /// How long the node goes on without hearing from the harness.
    pub lease: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    Local,
    Ssh {
        /// `ssh://[user@]host[:port]`.
        address: String,
        /// The key file to use, where the user says so.
        identity: Option<PathBuf>,
        /// The `known_hosts` file, where it is not OpenSSH's.
        known_hosts: Option<PathBuf>,
    },
}

/// A node as the user wants it: there is none yet where a cloud has to make it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    pub name: NodeName,
    pub origin: Origin,
    /// The agent's folder there, where it is not the default one.
    pub cache: Option<PathBuf>,
    /// Where libtorch is there, where the user says so.
    pub libtorch: Option<PathBuf>,
    /// What it is made ready with.
    pub environment: Environment,
    /// How long the node goes on without hearing from the harness.
    pub lease: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    There(Endpoint),
    /// A cloud makes it.
    Cloud(Box<CloudNode>),
}

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("no node is named `{name}`; {}", name_known(.known))]
    Unknown { name: NodeName, known: Vec<String> },
    /// The lease is over before it can be renewed.
    #[error("node `{name}`: a `lease` of less than 1s is over before it is renewed; leave it out for 2m")]
    Lease { name: NodeName },
    #[error("node `{name}`: {problem}")]
    Cloud { name: NodeName, problem: CloudSettingsError },
    /// The node is made for a run, and there is none before.
    #[error("node `{name}` is made for each run, and there is none before")]
    NotThere { name: NodeName },
}

impl Explain for NodeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotThere { name } => {
                Some(format!("`gpu-harness doctor --node {name}` tells whether one can be had"))
            }
            _ => None,
        }
    }

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

impl NodeSpec {
    /// The node that `--node` names, else the project's default, else this machine.
    pub fn choose(asked: Option<&str>, config: &Config) -> Result<Self, NodeError> {
        let name =
            asked.map(NodeName::from).or_else(|| config.default.clone()).unwrap_or_else(|| "local".into());
        if name.as_str().starts_with("ssh://") {
            let address = name.0.clone();
            return Ok(Self::plain(name, Endpoint::Ssh { address, identity: None, known_hosts: None }));
        }
        match config.nodes.get(name.as_str()) {
            Some(settings) => Self::configured(name, settings),
            None if name.as_str() == "local" => Ok(Self::plain(name, Endpoint::Local)),
            None => Err(NodeError::Unknown { name, known: config.nodes.keys().cloned().collect() }),
        }
    }

    fn plain(name: NodeName, place: Endpoint) -> Self {
        Self::of(name, Origin::There(place), Machine::default())
    }

    fn of(name: NodeName, origin: Origin, machine: Machine) -> Self {
        let lease = machine.lease();
        let Machine { cache, libtorch, environment, .. } = machine;
        Self { name, origin, cache, libtorch, environment, lease }
    }

    fn configured(name: NodeName, settings: &NodeConfig) -> Result<Self, NodeError> {
        let cloud = |settings: Result<CloudNode, CloudSettingsError>| match settings {
            Ok(settings) => Ok(Origin::Cloud(Box::new(settings))),
            Err(problem) => Err(NodeError::Cloud { name: name.clone(), problem }),
        };
        let (origin, machine) = match settings {
            NodeConfig::Local(config) => (Origin::There(Endpoint::Local), config.machine()),
            NodeConfig::Ssh(config) => {
                let place = Endpoint::Ssh {
                    address: config.address.clone(),
                    identity: config.identity.clone(),
                    known_hosts: config.known_hosts.clone(),
                };
                (Origin::There(place), config.machine())
            }
            NodeConfig::Ec2(config) => {
                (cloud(Ec2Settings::of(config).map(CloudNode::Ec2))?, config.machine())
            }
        };
        if machine.lease() < LEAST_LEASE {
            return Err(NodeError::Lease { name });
        }
        Ok(Self::of(name, origin, machine))
    }

    pub fn provider(&self) -> Provider {
        match &self.origin {
            Origin::There(Endpoint::Local) => Provider::Local,
            Origin::There(Endpoint::Ssh { .. }) => Provider::Ssh,
            Origin::Cloud(settings) => settings.provider(),
        }
    }

    /// The node, once it is at this place.
    pub fn at(&self, place: Endpoint) -> Node {
        let Self { name, cache, libtorch, environment, lease, .. } = self.clone();
        Node { name, place, cache, libtorch, environment, lease }
    }

    /// The node, where it is there already.
    pub fn there(&self) -> Result<Node, NodeError> {
        match &self.origin {
            Origin::There(place) => Ok(self.at(place.clone())),
            Origin::Cloud(_) => Err(NodeError::NotThere { name: self.name.clone() }),
        }
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
        let place = |asked, config| NodeSpec::choose(asked, config).unwrap().there().unwrap().place;
        assert_eq!(place(None, &none), Endpoint::Local);
        assert!(matches!(place(None, &config), Endpoint::Ssh { address, .. } if address == "ssh://gpu-box"));
        assert_eq!(place(Some("local"), &config), Endpoint::Local);
        assert!(
            matches!(place(Some("ssh://me@h:2"), &none), Endpoint::Ssh { address, .. } if address == "ssh://me@h:2")
        );
        let message = NodeSpec::choose(Some("lba"), &config).unwrap_err().to_string();
        assert!(message.contains("no node is named `lba`") && message.contains("lab"), "{message}");
    }
}
