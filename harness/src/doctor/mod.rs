//! Tells what a node would lack before it is asked for: `gpu-harness doctor --node NAME`.
//!
//! Every answer is one [`Finding`](crate::report::finding::Finding): ok, failed, or unknown where it cannot be known from here. What is not looked at
//! is said too: a doctor who is silent about what he did not examine is believed to have found it well.

mod here;
mod ssh;

use gpu_suites::exit::Exit;

use crate::cloud::provider::Patient;
use crate::cloud::providers;
use crate::config::cloud::CloudNode;
use crate::here::Env;
use crate::node::{NodeSpec, Origin};
use crate::report::finding::{Finding, State};
use crate::text::chain;

/// Examines a node; makes and changes nothing in any cloud.
pub async fn examine(node: &NodeSpec, env: &Env) -> Vec<Finding> {
    let mut findings = here::programs(env);
    match &node.origin {
        Origin::There(place) => findings.extend(ssh::findings(&node.at(place.clone()), env).await),
        Origin::Cloud(settings) => cloud(node, settings, env, &mut findings).await,
    }
    findings
}

/// What the cloud says in each of the node's regions.
async fn cloud(node: &NodeSpec, settings: &CloudNode, env: &Env, findings: &mut Vec<Finding>) {
    for (number, region) in providers::listed(&settings.regions).iter().enumerate() {
        match providers::connect_in(settings, region.as_deref()).await {
            Ok(cloud) => {
                if !cloud.doctor(&Patient { node, env, number }, findings).await {
                    break;
                }
            }
            Err(error) => findings.push(Finding::failed("region", chain(&error))),
        }
    }
    // What only a launch can tell.
    let untried = format!("port {} of the node was not tried: there is no node yet", settings.port);
    findings.push(Finding::unknown("ssh", untried).hint(
        "a run says when the node does not answer; a firewall on this side shows so: ssh -v some-host-outside",
    ));
}

/// What the command ends with: 3 where something failed.
pub fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|finding| finding.state == State::Failed) {
        Exit::Infrastructure
    } else {
        Exit::AllPassed
    }
}
