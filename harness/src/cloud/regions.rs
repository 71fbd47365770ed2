//! In which regions to look for what is ours.

use std::collections::BTreeSet;

use crate::config::{Config, OneOrMany, Provider};
use crate::node::{Node, NodeError, Place};

/// A region by name; `None`: the one that the SDK's own settings name.
pub type Region = Option<String>;

/// The regions asked for, else the node's, else those of all EC2 nodes of the project.
pub fn regions(asked: &[String], node: Option<&str>, config: &Config) -> Result<Vec<Region>, NodeError> {
    if !asked.is_empty() {
        return Ok(asked.iter().cloned().map(Some).collect());
    }
    if let Some(name) = node {
        return Ok(match Node::choose(Some(name), config)?.place {
            Place::Ec2(settings) => listed(settings.regions),
            Place::Local | Place::Ssh { .. } => Vec::new(),
        });
    }
    let nodes = config.nodes.values().filter(|node| node.provider == Provider::Ec2);
    let all: BTreeSet<_> = nodes
        .flat_map(|node| listed(node.region.clone().map(OneOrMany::into_vec).unwrap_or_default()))
        .collect();
    // A project without EC2 nodes may still have left some behind.
    Ok(if all.is_empty() { vec![None] } else { all.into_iter().collect() })
}

/// Where AWS's console is for a region: China and AWS `GovCloud` are partitions with a domain of their own.
pub fn console(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.cn"
    } else if region.starts_with("us-gov-") {
        "amazonaws-us-gov.com"
    } else {
        "aws.amazon.com"
    };
    format!("https://{region}.console.{domain}")
}

/// A node's regions.
pub fn listed(regions: Vec<String>) -> Vec<Region> {
    if regions.is_empty() { vec![None] } else { regions.into_iter().map(Some).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_console() {
        for (region, console_of) in [
            ("eu-west-1", "https://eu-west-1.console.aws.amazon.com"),
            ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
            ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
        ] {
            assert_eq!(console(region), console_of);
        }
    }

    #[test]
    fn the_regions_are_those_asked_for_then_the_nodes_then_all_of_the_project() {
        let config: Config = serde_yaml::from_str(
            "nodes:\n  a: { provider: ec2, region: [eu-west-1, us-east-1] }\n  b: { provider: ec2, region: us-east-1 }\n  \
             c: { provider: ec2 }\n  d: { provider: local }\n",
        )
        .unwrap();
        let told = |asked: &[&str], node, config| {
            let asked = Vec::from_iter(asked.iter().map(ToString::to_string));
            Vec::from_iter(
                regions(&asked, node, config)
                    .unwrap()
                    .into_iter()
                    .map(|name| name.unwrap_or_else(|| "own".into())),
            )
        };
        assert_eq!(told(&["us-west-2"], Some("a"), &config), ["us-west-2"]);
        assert_eq!(told(&[], Some("a"), &config), ["eu-west-1", "us-east-1"]);
        assert_eq!(told(&[], Some("c"), &config), ["own"]);
        assert!(told(&[], Some("d"), &config).is_empty());
        assert_eq!(told(&[], None, &config), ["own", "eu-west-1", "us-east-1"]);
        assert_eq!(told(&[], None, &Config::default()), ["own"]);
        assert!(regions(&[], Some("x"), &config).is_err());
    }
}
