//! What an EC2 node would lack, found out before it is asked for: nothing is made, launched or changed.
//!
//! Permissions are tried by dry runs: EC2 then checks the caller's policy and stops. What a dry run cannot reach is said
//! to be unknown, not well.

mod credentials;
mod permissions;
mod region;
mod roles;

use super::Ec2Settings;
use super::cloud::{Cloud, Ec2Error};
use super::refusal::RefusalKind;
use crate::cloud::provider::Patient;
use crate::report::finding::Finding;
use crate::text::chain;

/// Examines a region for a node. Without credentials there is no use in looking at the next.
pub(super) async fn examine(
    cloud: &Cloud,
    settings: &Ec2Settings,
    patient: &Patient<'_>,
    findings: &mut Vec<Finding>,
) -> bool {
    // Credentials and roles are the account's; the rest is each region's own.
    let is_first = patient.number == 0;
    let caller = credentials::caller(cloud, patient.env, findings, is_first).await;
    let Some(caller) = caller else { return false };
    if is_first {
        findings.extend(roles::service_linked(cloud).await);
    }
    if settings.regions.len() > 1 {
        findings.push(Finding::ok("region", cloud.region()));
    }
    let basis = region::examine(cloud, settings, &caller, findings).await;
    let tried = Box::pin(permissions::try_each(cloud, settings, patient, &basis, &caller));
    findings.extend(tried.await);
    true
}

fn kind(error: &Ec2Error) -> Option<RefusalKind> {
    error.refusal().map(|refusal| refusal.kind)
}

/// A call that was made for real and failed.
fn failed(about: &str, error: &Ec2Error, caller: &str) -> Finding {
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
