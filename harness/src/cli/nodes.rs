//! `gpu-harness nodes`.

use futures_util::future::try_join_all;
use gpu_suites::exit::Exit;

use super::failure::Failure;
use super::table::Table;
use super::{project, runtime, say};
use crate::cloud::live_nodes::{LiveNode, live_nodes};
use crate::cloud::providers::{self, ConnectError};
use crate::text::figures::dollars;

/// Flags of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The API is asked, not this machine's files: nodes of every run of the account are listed, whoever started it.")]
pub(super) struct Nodes {
    /// Look in the regions of this node of gpu-harness.yaml [default: of all that a cloud makes]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Look in this region; may be given several times
    #[arg(long = "region", value_name = "REGION", conflicts_with = "node")]
    regions: Vec<String>,
    /// Only what this owner has started: a repository in CI (github:acme/trees), user@machine elsewhere
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Nodes {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let config = project()?;
        let runtime = runtime()?;
        let nodes = runtime.block_on(async {
            let regions = providers::everywhere(&self.regions, self.node.as_deref(), &config).await?;
            let each = try_join_all(regions.iter().map(|region| live_nodes(&**region))).await?;
            Ok::<_, ConnectError>(each.concat())
        });
        runtime.shutdown_background();
        let mut nodes = nodes?;
        if self.owner.is_some() {
            nodes.retain(|node| node.found.owner.owner == self.owner);
        }
        if self.json {
            say(&format!("{:#}\n", serde_json::json!({ "nodes": nodes })));
        } else {
            say(&text(&nodes));
        }
        Ok(Exit::AllPassed)
    }
}

fn text(nodes: &[LiveNode]) -> String {
    if nodes.is_empty() {
        return "no node of gpu-harness lives\n".to_owned();
    }
    let mut table = Table::new([
        "run",
        "node",
        "instance",
        "type",
        "zone",
        "market",
        "state",
        "age",
        "expires in",
        "cost",
        "owner",
        "pipeline",
    ]);
    for node in nodes {
        let instance = node.found.instance.clone().unwrap_or_default();
        let owner = node.found.owner.clone();
        table.row([
            owner.run,
            owner.node.unwrap_or_default(),
            node.found.id.clone(),
            instance.instance_type,
            instance.zone,
            instance.market,
            node.found.state.clone(),
            node.age.map(|age| age.to_string()).unwrap_or_default(),
            node.expires_in(),
            node.cost.map(dollars).unwrap_or_default(),
            owner.owner.unwrap_or_default(),
            owner.pipeline.unwrap_or_default(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gpu_suites::event::ResourceKind;
    use gpu_suites::unit::Span;

    use super::*;
    use crate::cloud::tagged::{Instance, Owner, TaggedResource};

    #[test]
    fn a_node_is_told_with_its_age_its_end_and_its_cost() {
        let found = TaggedResource {
            resource: ResourceKind::INSTANCE,
            id: "i-0123456789abcdef0".into(),
            region: "us-east-1".into(),
            state: "running".into(),
            is_final: false,
            waits: None,
            owner: Owner {
                run: "20261123-100000-1a2b3c4d".into(),
                node: Some("cheap".into()),
                owner: Some("bitbucket:team/models".into()),
                pipeline: None,
                expires_at: None,
            },
            made_at: None,
            instance: Some(Instance {
                instance_type: "g6.xlarge".into(),
                zone: "us-east-1a".into(),
                market: "spot".into(),
            }),
        };
        let live = LiveNode {
            found,
            age: Some(Span(Duration::from_secs(754))),
            remaining_seconds: Some(1_800),
            usd_per_hour: Some(0.42),
            cost: Some(0.087_966),
        };
        let over = LiveNode { remaining_seconds: Some(-90), cost: None, ..live.clone() };
        insta::assert_snapshot!(text(&[live, over]));
    }
}
