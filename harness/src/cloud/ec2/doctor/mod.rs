//! What an EC2 node would lack, found out before it is asked for: nothing is made, launched or changed.
//!
//! Permissions are tried by dry runs: EC2 then checks the caller's policy and stops. What a dry run cannot reach is said
//! to be unknown, not well.

mod credentials;
mod ground;
mod permissions;
mod roles;

use crate::config::ec2::Ec2Settings;
use super::cloud::{Cloud, CloudError};
use super::refusal::RefusalKind;
use crate::cloud::regions::listed;
use crate::node::Node;
use crate::report::finding::Finding;
use crate::text::chain;

/// Examines a node of provider ec2 in each of its regions.
pub async fn findings(node: &Node, settings: &Ec2Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let regions = listed(settings.regions.clone());
    let several = regions.len() > 1;
    for (number, region) in regions.iter().enumerate() {
        let cloud = match Cloud::connect(region.as_deref()).await {
            Ok(cloud) => cloud,
            Err(error) => {
                findings.push(Finding::failed("region", chain(&error)));
                continue;
            }
        };
        // Credentials and roles are the account's; the rest is each region's own.
        let Some(caller) = credentials::caller(&cloud, &mut findings, number == 0).await else { break };
        if number == 0 {
            findings.extend(roles::service_linked(&cloud).await);
        }
        if several {
            findings.push(Finding::ok("region", cloud.region()));
        }
        let basis = ground::examine(&cloud, settings, &caller, &mut findings).await;
        let tried = Box::pin(permissions::try_each(&cloud, node, settings, &basis, &caller));
        findings.extend(tried.await);
    }
    findings.push(way_out(settings));
    findings
}

/// What only a launch can tell.
fn way_out(settings: &Ec2Settings) -> Finding {
    Finding::unknown("ssh", format!("port {} of the node was not tried: there is no node yet", settings.port)).hint(
        "a run says when the node does not answer; a firewall on this side shows so: ssh -v some-host-outside",
    )
}

/// The kind of a failed call.
fn kind(error: &CloudError) -> Option<RefusalKind> {
    error.refusal().map(|refusal| refusal.kind)
}

/// A call that was made for real and failed.
fn failed(about: &str, error: &CloudError, caller: &str) -> Finding {
    let finding = Finding::failed(about, first_sentence(&chain(error)));
    if kind(error) == Some(RefusalKind::Permission) { finding.hint(allow(about, caller)) } else { finding }
}

/// What to do about a missing permission.
fn allow(action: &str, caller: &str) -> String {
    format!("allow {action} in the policy of {caller}; docs/iam.md has the whole policy")
}

/// EC2's refusals end with an encoded blob of a thousand characters.
fn first_sentence(said: &str) -> String {
    said.split(" Encoded authorization failure message").next().unwrap_or(said).trim().to_owned()
}
