//! `gpu-harness doctor`.

use gpu_suites::exit::Exit;

use super::failure::Failure;
use super::{project, runtime};
use crate::doctor;
use crate::node::NodeSpec;
use crate::report::finding;
use crate::report::look::Look;

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For a node of provider ec2: credentials, each permission that a run needs (by dry runs), quotas, image, zones, prices. It
makes and changes nothing. For a node of provider ssh: the connection, the host key, and what its agent says.

Exit codes: 0 nothing failed, 2 usage error, 3 something failed.")]
pub(super) struct Doctor {
    /// The node: local, ssh://[user@]host[:port], or a name in gpu-harness.yaml
    #[arg(long, value_name = "NODE", env = "GPU_HARNESS_NODE")]
    node: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Wide enough for what is said, and narrow enough for every terminal.
const WIDTH: usize = 80;

impl Doctor {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let node = NodeSpec::choose(self.node.as_deref(), &project()?)?;
        let runtime = runtime()?;
        let findings = runtime.block_on(doctor::examine(&node, &super::here()?.env));
        runtime.shutdown_background();
        if self.json {
            crate::text::streams::say(&format!("{:#}\n", finding::json(&findings)));
        } else {
            let look = Look { colour: console::colors_enabled(), width: Some(WIDTH) };
            crate::text::streams::say(&finding::text(&findings, look, WIDTH));
        }
        Ok(doctor::exit(&findings))
    }
}
