//! What a person can do about a refusal.

use super::candidates::Candidate;
use super::quota::Quota;
use super::quota::console;
use super::refusal::{Refusal, RefusalKind};
use super::{Purchase, Usd};

/// What was asked for when it was refused.
#[derive(Debug, Clone, Copy)]
pub struct FailedRequest<'a> {
    pub region: &'a str,
    pub purchase: Purchase,
    /// The types, one of which was wanted.
    pub candidates: &'a [Candidate],
    pub max_price: Option<Usd>,
}

impl Refusal {
    /// What to do about it, in whole sentences; several lines where there are commands.
    pub fn advice(&self, asked: &FailedRequest<'_>) -> String {
        match self.kind {
            RefusalKind::Capacity => capacity(asked),
            RefusalKind::Quota => quota(asked),
            RefusalKind::Permission => self.permission(),
            RefusalKind::Price => price(asked),
            RefusalKind::Throttling => {
                "AWS takes no more calls from this account for the moment; it is asked again, ever less often. Start fewer runs at once."
                    .to_owned()
            }
            RefusalKind::Configuration => self.configuration(asked),
            RefusalKind::Other if self.is_worth_waiting() => {
                "This is a failure of AWS's own, and such failures pass: it is asked again.".to_owned()
            }
            RefusalKind::Other => {
                "Nothing more is known of this refusal here. `gpu-harness doctor --node NAME` tries each step by itself."
                    .to_owned()
            }
        }
    }

    fn permission(&self) -> String {
        let advice = match self.code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" => {
                "The credentials have expired: get new ones, or let the role's sessions last longer than a run."
            }
            "RequestExpired" => "This machine's clock is wrong by minutes: set it right (`timedatectl`).",
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => {
                "The account has never used spot. Once, somebody who may has to run\n  aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
            }
            "OptInRequired" => {
                "The account has not enabled this region or service: enable it, or name another in `region:`."
            }
            "PendingVerification" | "Blocked" => {
                "AWS holds the account back: see the mail that its owner got, or ask AWS Support."
            }
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
                return self.denied();
            }
            _ => {
                "These credentials are not accepted: `aws sts get-caller-identity` shows who the SDK takes you for."
            }
        };
        advice.to_owned()
    }

    fn denied(&self) -> String {
        let doctor = "`gpu-harness doctor --node NAME` lists every permission that is missing; docs/iam.md has the least policy that works.";
        match self.encoded() {
            Some(encoded) => format!(
                "{doctor} What was denied here is told by\n  aws sts decode-authorization-message --encoded-message {encoded}"
            ),
            None => doctor.to_owned(),
        }
    }

    /// The part of a message that only AWS can read.
    fn encoded(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("ncoded authorization failure message:")?;
        let word = rest.trim_start().split(char::is_whitespace).next()?;
        // It goes into a command line that a person may copy.
        let plain =
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_=+/".contains(c));
        plain.then_some(word)
    }

    fn configuration(&self, asked: &FailedRequest<'_>) -> String {
        let begins = |head: &str| self.code.starts_with(head);
        let region = asked.region;
        let setting = match self.code.as_str() {
            "IdempotentParameterMismatch" => {
                return "This is an error in gpu-harness: it asked twice under one name for different things. Please report it."
                    .to_owned();
            }
            "DefaultVpcDoesNotExist" | "VPCIdNotSpecified" => {
                return format!(
                    "The account has no default VPC in {region}: name `subnets:` of another, or make one with\n  aws ec2 create-default-vpc --region {region}"
                );
            }
            "InsufficientFreeAddressesInSubnet" => {
                return "The subnet has no free address: name more in `subnets:`.".to_owned();
            }
            _ if begins("InvalidAMI") || begins("InvalidImage") => "`image:`",
            _ if begins("InvalidSubnet") => "`subnets:`",
            _ if begins("InvalidGroup") || begins("InvalidSecurityGroup") => "`security-group:`",
            _ if begins("InvalidInstanceType") || begins("Unsupported") => "`types:` and `region:`",
            _ if begins("InvalidIamInstanceProfile") => "`instance-profile:`",
            _ => "the settings",
        };
        format!(
            "Correct {setting} of this node in gpu-harness.yaml; `gpu-harness doctor --node NAME` checks each of them."
        )
    }
}

fn capacity(asked: &FailedRequest<'_>) -> String {
    let market = match asked.purchase {
        Purchase::Spot => "allow on-demand (`market: spot-then-on-demand`), ",
        Purchase::OnDemand => "",
    };
    format!(
        "AWS has none of these machines free there: name more `types:` or regions, {market}or wait longer with `--wait`."
    )
}

fn price(asked: &FailedRequest<'_>) -> String {
    let now = asked.max_price.map_or(String::new(), |price| format!(" (now {price} an hour)"));
    format!(
        "The spot price is above `max-price:`{now}: raise it, name more `types:`, or wait longer with `--wait`."
    )
}

fn quota(asked: &FailedRequest<'_>) -> String {
    // Of each quota the smallest machine, in the order in which they were asked for.
    let mut least: Vec<(Quota, &Candidate)> = Vec::new();
    for candidate in asked.candidates {
        let Some(quota) = Quota::of(&candidate.name, asked.purchase) else { continue };
        match least.iter_mut().find(|(known, _)| *known == quota) {
            Some((_, one)) if candidate.vcpus < one.vcpus => *one = candidate,
            Some(_) => {}
            None => least.push((quota, candidate)),
        }
    }
    let FailedRequest { region, .. } = asked;
    let head = format!("The account may not have so many {} instances in {region} at once.", asked.purchase);
    let raise = least.into_iter().map(|(quota, one)| {
        let (console, command) = (quota.console(region), quota.command(region, one.vcpus));
        format!(
            "\nQuota \"{}\" ({}) counts vCPUs, and {} has {}. Free some, or raise it at\n  {console}\nor with\n  {command}",
            quota.name, quota.code, one.name, one.vcpus
        )
    });
    let raise = String::from_iter(raise);
    if raise.is_empty() {
        return format!(
            "{head} Raise the quota of this family at {}/servicequotas/home/services/ec2/quotas",
            console(region)
        );
    }
    head + &raise
}

#[cfg(test)]
mod tests {
    use gpu_suites::unit::ByteSize;

    use super::*;
    use crate::cloud::ec2::candidates::{CandidateGpus, Processor};

    fn candidate(name: &str, vcpus: u32) -> Candidate {
        Candidate {
            name: name.to_owned(),
            processor: Processor::X86_64,
            gpus: Some(CandidateGpus {
                name: "L4".to_owned(),
                count: 1,
                memory: ByteSize(24 << 30),
                sm: None,
            }),
            vcpus,
            memory: ByteSize(16 << 30),
            on_demand: None,
            zones: vec!["us-east-1a".to_owned()],
        }
    }

    #[test]
    fn each_refusal_comes_with_what_to_do() {
        let candidates =
            [candidate("g6.2xlarge", 8), candidate("g5.xlarge", 4), candidate("p5.48xlarge", 192)];
        let denied = "You are not authorized to perform this operation. User: arn:aws:iam::1:user/ci is not authorized to perform: ec2:CreateFleet. Encoded authorization failure message: AbC-12_3 (Service: Ec2)";
        let said = [
            ("InsufficientInstanceCapacity", "", Purchase::Spot),
            ("InsufficientInstanceCapacity", "", Purchase::OnDemand),
            ("MaxSpotInstanceCountExceeded", "", Purchase::Spot),
            ("VcpuLimitExceeded", "", Purchase::OnDemand),
            ("SpotMaxPriceTooLow", "", Purchase::Spot),
            ("UnauthorizedOperation", denied, Purchase::Spot),
            ("UnauthorizedOperation", "encoded authorization failure message: $(reboot)", Purchase::Spot),
            ("AccessDenied", "", Purchase::Spot),
            ("ExpiredToken", "", Purchase::Spot),
            ("RequestExpired", "", Purchase::Spot),
            ("AuthFailure", "", Purchase::Spot),
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", Purchase::Spot),
            ("OptInRequired", "", Purchase::Spot),
            ("RequestLimitExceeded", "", Purchase::Spot),
            ("IdempotentParameterMismatch", "", Purchase::Spot),
            ("InvalidAMIID.NotFound", "", Purchase::Spot),
            ("DefaultVpcDoesNotExist", "", Purchase::Spot),
            ("InvalidParameterValue", "", Purchase::Spot),
            ("InternalError", "", Purchase::Spot),
            ("NewAndUnheardOf", "", Purchase::Spot),
        ]
        .map(|(code, message, purchase)| {
            let asked = FailedRequest {
                region: "us-east-1",
                purchase,
                candidates: &candidates,
                max_price: Some(Usd(0.4)),
            };
            let advice = Refusal::of(code, message).advice(&asked);
            format!("{code} ({purchase}):\n{advice}")
        });
        insta::assert_snapshot!(said.join("\n\n"));
    }

    #[test]
    fn a_quota_whose_code_is_not_known_is_still_told_where_to_raise() {
        let candidates = [candidate("p6-b200.48xlarge", 192)];
        let asked = FailedRequest {
            region: "us-west-2",
            purchase: Purchase::Spot,
            candidates: &candidates,
            max_price: None,
        };
        let advice = Refusal::of("MaxSpotInstanceCountExceeded", "").advice(&asked);
        assert!(advice.contains("https://us-west-2.console.aws.amazon.com/servicequotas"), "{advice}");
    }
}
