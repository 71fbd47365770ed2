//! The providers that this program has.

use std::collections::BTreeSet;

use gpu_suites::exit::Exit;

#[cfg(feature = "ec2")]
use super::ec2;
use super::error::CloudError;
use super::provider::Region;
use crate::config::cloud::CloudNode;
use crate::config::{Config, Provider};
use crate::node::{NodeError, NodeSpec, Origin};
use crate::text::Explain;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("this build of gpu-harness has no {0}; build it with its feature `{0}`")]
    NotBuilt(Provider),
}

impl Explain for ConnectError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud(error) => error.hint(),
            Self::Node(error) => error.hint(),
            Self::NotBuilt(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Cloud(error) => error.exit(),
            Self::Node(_) | Self::NotBuilt(_) => Exit::Usage,
        }
    }
}

/// A region by name; `None`: the one that the cloud's own settings name.
pub type Name = Option<String>;

/// Whether this program was built with it.
pub fn is_built(provider: Provider) -> bool {
    match provider {
        Provider::Local | Provider::Ssh => true,
        Provider::Ec2 => cfg!(feature = "ec2"),
    }
}

/// A node's regions, in their order; nothing is sent yet.
pub async fn connect(settings: &CloudNode) -> Result<Vec<Region>, ConnectError> {
    let mut connected = Vec::new();
    for region in listed(&settings.regions) {
        connected.push(connect_in(settings, region.as_deref()).await?);
    }
    Ok(connected)
}

/// One region, for a node of these settings.
#[cfg_attr(not(feature = "ec2"), expect(unused_variables, reason = "no provider that is built has regions"))]
pub async fn connect_in(settings: &CloudNode, region: Option<&str>) -> Result<Region, ConnectError> {
    match settings {
        #[cfg(feature = "ec2")]
        CloudNode::Ec2(settings) => Ok(std::sync::Arc::new(ec2::Ec2::connect(settings, region).await?)),
        #[cfg(not(feature = "ec2"))]
        CloudNode::Ec2(_) => Err(ConnectError::NotBuilt(Provider::Ec2)),
    }
}

/// The regions asked for, else the node's, else those of all nodes of the project that a cloud makes.
pub async fn everywhere(
    asked: &[String],
    node: Option<&str>,
    config: &Config,
) -> Result<Vec<Region>, ConnectError> {
    let mut connected = Vec::new();
    for (settings, regions) in places(asked, node, config)? {
        for region in regions {
            connected.push(connect_in(&settings, region.as_deref()).await?);
        }
    }
    Ok(connected)
}

/// Each of these regions; where none is named, the one that the cloud's own settings name.
pub fn listed(regions: &[String]) -> Vec<Name> {
    if regions.is_empty() { vec![None] } else { regions.iter().cloned().map(Some).collect() }
}

/// Each cloud in which to look, and where.
fn places(
    asked: &[String],
    node: Option<&str>,
    config: &Config,
) -> Result<Vec<(CloudNode, BTreeSet<Name>)>, NodeError> {
    let names = node.map_or_else(|| config.nodes.keys().map(String::as_str).collect(), |node| vec![node]);
    let mut places: Vec<(CloudNode, BTreeSet<Name>)> = Vec::new();
    for name in names {
        let chosen = NodeSpec::choose(Some(name), config);
        // What is wrong with a node that is there is no reason to leave anything in a cloud.
        let Origin::Cloud(settings) = (match chosen {
            Ok(chosen) => chosen.origin,
            Err(NodeError::Lease { .. }) => continue,
            Err(error) => return Err(error),
        }) else {
            continue;
        };
        let regions = listed(&settings.regions);
        match places.iter_mut().find(|(known, _)| known.provider() == settings.provider()) {
            Some((known, places)) => {
                known.know_prices_of(&settings);
                places.extend(regions);
            }
            None => places.push((*settings, regions.into_iter().collect())),
        }
    }
    if places.is_empty() && node.is_none() {
        // A project without such nodes may still have left some behind.
        places.extend(CloudNode::of_each_provider().map(|settings| (settings, BTreeSet::from([None]))));
    }
    if !asked.is_empty() {
        let asked = BTreeSet::from_iter(listed(asked));
        for (_, regions) in &mut places {
            regions.clone_from(&asked);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_are_those_asked_for_then_the_nodes_then_all_of_the_project() {
        let config: Config = serde_yaml::from_str(
            "nodes:\n  a: { provider: ec2, region: [eu-west-1, us-east-1] }\n  b: { provider: ec2, region: us-east-1 }\n  \
             c: { provider: ec2 }\n  d: { provider: local }\n",
        )
        .unwrap();
        let told = |asked: &[&str], node, config: &Config| {
            let asked = Vec::from_iter(asked.iter().map(ToString::to_string));
            let places = places(&asked, node, config).unwrap().into_iter();
            Vec::from_iter(
                places.flat_map(|(_, names)| names).map(|name| name.unwrap_or_else(|| "own".into())),
            )
        };
        assert_eq!(told(&["us-west-2"], Some("a"), &config), ["us-west-2"]);
        assert_eq!(told(&[], Some("a"), &config), ["eu-west-1", "us-east-1"]);
        assert_eq!(told(&[], Some("c"), &config), ["own"]);
        assert!(told(&[], Some("d"), &config).is_empty());
        assert_eq!(told(&[], None, &config), ["own", "eu-west-1", "us-east-1"]);
        assert_eq!(told(&[], None, &Config::default()), ["own"]);
        assert_eq!(told(&["us-west-2"], None, &Config::default()), ["us-west-2"]);
        assert!(places(&[], Some("x"), &config).is_err());
    }
}
