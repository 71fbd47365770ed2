//! The roles by which EC2 acts for the account: without them a fleet launches nothing.
//!
//! A fleet of type `request` launches by `AWSServiceRoleForEC2Fleet`, and spot instances by `AWSServiceRoleForEC2Spot`
//! (EC2 User Guide, "EC2 Fleet prerequisites"). AWS makes them at the first use in its console, or by one command.

use crate::cloud::ec2::cloud::{Cloud, Ec2Error};
use crate::report::finding::Finding;

/// A role and the service that it is for.
const ROLES: [(&str, &str); 2] = [
    ("AWSServiceRoleForEC2Fleet", "ec2fleet.amazonaws.com"),
    ("AWSServiceRoleForEC2Spot", "spot.amazonaws.com"),
];

/// Whether each is there.
pub(super) async fn service_linked(cloud: &Cloud) -> Vec<Finding> {
    let iam = cloud.iam();
    let mut findings = Vec::new();
    for (role, service) in ROLES {
        let about = format!("role {}", role.trim_start_matches("AWSServiceRoleFor"));
        let asked = iam.get_role().role_name(role).send().await;
        findings.push(match asked.map_err(|error| Ec2Error::of("GetRole", &error)) {
            Ok(_) => Finding::ok(about, format!("{role} is there")),
            Err(error) if error.code() == Some("NoSuchEntity") => Finding::failed(
                about,
                format!("{role} is not there: EC2 cannot launch for a fleet without it"),
            )
            .hint(format!(
                "once for the account: aws iam create-service-linked-role --aws-service-name {service}"
            )),
            Err(error) => Finding::unknown(
                about,
                format!("cannot be looked up ({})", error.code().unwrap_or("no answer")),
            )
            .hint(format!("allow iam:GetRole, or look with: aws iam get-role --role-name {role}")),
        });
    }
    findings
}
