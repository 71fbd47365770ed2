//! Tells what a node would lack before it is asked for: `gpu-harness doctor --node NAME`.
//!
//! Every answer is one [`Finding`](crate::report::finding::Finding): ok, failed, or unknown where it cannot be known from here. What is not looked at
//! is said too: a doctor who is silent about what he did not examine is believed to have found it well.

mod here;
mod ssh;

use gpu_suites::exit::Exit;

use crate::node::{Node, Place};
use crate::report::finding::{Finding, State};

/// Examines a node; makes and changes nothing in any cloud.
pub async fn examine(node: &Node) -> Vec<Finding> {
    let mut findings = here::programs();
    match &node.place {
        Place::Local => findings.extend(ssh::selfcheck(node.clone()).await),
        Place::Ssh { address, .. } => findings.extend(ssh::findings(node, address).await),
        #[cfg(feature = "ec2")]
        Place::Ec2(settings) => findings.extend(Box::pin(crate::cloud::ec2::doctor::findings(node, settings)).await),
        #[cfg(not(feature = "ec2"))]
        Place::Ec2(_) => findings.push(
            Finding::failed("EC2", "this build of gpu-harness has no EC2")
                .hint("build it with its feature `ec2`: cargo build --release -p gpu-harness"),
        ),
    }
    findings
}

/// What the command ends with: 3 where something failed.
pub fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|finding| finding.state == State::Failed) {
        Exit::Infrastructure
    } else {
        Exit::AllPassed
    }
}
