//! `gpu-harness selfcheck`: what a node has, told by its own agent.

use gpu_suites::exit::Exit;

use super::failure::Failure;
use super::runtime;
use crate::node::NodeSpec;
use crate::node::remote::Remote;
use crate::run::{RunError, connect};
use crate::session::selfcheck;

/// Flags of `selfcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Selfcheck {
    /// The node: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE", env = "GPU_HARNESS_NODE")]
    node: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Selfcheck {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let node = NodeSpec::choose(self.node.as_deref(), &super::project()?).and_then(|node| node.there());
        let node = node.map_err(RunError::from)?;
        let env = super::here()?.env;
        let runtime = runtime()?;
        let text = runtime.block_on(async {
            let transport = connect(&node, &env).await.map_err(crate::node::remote::RemoteError::from)?;
            let remote = Remote::new(node, transport, &env)?;
            selfcheck::selfcheck(&remote, self.json).await
        });
        runtime.shutdown_background();
        crate::text::streams::say(&text?);
        Ok(Exit::AllPassed)
    }
}
