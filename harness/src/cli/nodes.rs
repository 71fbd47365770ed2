//! `gpu-harness nodes`.

#[cfg(not(feature = "ec2"))]
use super::failure::Failure;
#[cfg(not(feature = "ec2"))]
use gpu_suites::exit::Exit;

/// Flags of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The API is asked, not this machine's files: nodes of every run of the account are listed, whoever started it.")]
pub(super) struct Nodes {
    /// Look in the regions of this node of gpu-harness.yaml [default: of all its EC2 nodes]
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

#[cfg(not(feature = "ec2"))]
impl Nodes {
    #[expect(clippy::unused_self, reason = "the build with EC2 uses it")]
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        super::no_ec2()
    }
}

#[cfg(feature = "ec2")]
mod with_ec2 {
    use futures_util::future::try_join_all;
    use gpu_suites::exit::Exit;

    use super::Nodes;
    use crate::cli::failure::Failure;
    use crate::cli::table::Table;
    use crate::cli::{project, runtime, say};
    use crate::ec2::cloud::{Cloud, CloudError};
    use crate::ec2::living::{Living, living};
    use crate::ec2::regions;

    impl Nodes {
        pub(in crate::cli) fn execute(self) -> Result<Exit, Failure> {
            let config = project()?;
            let regions = regions::regions(&self.regions, self.node.as_deref(), &config)?;
            let prices = config.nodes.values().flat_map(|node| node.prices.clone()).collect();
            let runtime = runtime()?;
            let nodes = runtime.block_on(async {
                let each = regions.iter().map(async |region| {
                    let cloud = Cloud::connect(region.as_deref()).await?;
                    living(&cloud, &prices).await
                });
                Ok::<_, CloudError>(try_join_all(each).await?.concat())
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

    fn text(nodes: &[Living]) -> String {
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
                node.cost.map(|cost| format!("${cost:.2}")).unwrap_or_default(),
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
        use crate::ec2::found::{Found, Instance, Owner};

        #[test]
        fn a_node_is_told_with_its_age_its_end_and_its_cost() {
            let found = Found {
                resource: ResourceKind::Instance,
                id: "i-0123456789abcdef0".into(),
                region: "us-east-1".into(),
                state: "running".into(),
                is_final: false,
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
            let live = Living {
                found,
                age: Some(Span(Duration::from_secs(754))),
                remaining_seconds: Some(1_800),
                usd_per_hour: Some(0.42),
                cost: Some(0.087_966),
            };
            let over = Living { remaining_seconds: Some(-90), cost: None, ..live.clone() };
            insta::assert_snapshot!(text(&[live, over]));
        }
    }
}
