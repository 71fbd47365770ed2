//! Which of an account's quotas an instance counts against.

use super::Purchase;

/// A quota of an AWS account, in each region its own; it counts virtual processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quota {
    /// Its code, as Service Quotas knows it.
    pub code: &'static str,
    pub name: &'static str,
}

const G_SPOT: Quota = Quota { code: "L-3819A6DF", name: "All G and VT Spot Instance Requests" };
const G_ON_DEMAND: Quota = Quota { code: "L-DB2E81BA", name: "Running On-Demand G and VT instances" };
const P_SPOT: Quota = Quota { code: "L-7212CCBC", name: "All P4, P3 and P2 Spot Instance Requests" };
const P5_SPOT: Quota = Quota { code: "L-C4BD4855", name: "All P5 Spot Instance Requests" };
const STANDARD_SPOT: Quota =
    Quota { code: "L-34B43A08", name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests" };
const STANDARD_ON_DEMAND: Quota =
    Quota { code: "L-1216C47A", name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances" };
const P_ON_DEMAND: Quota = Quota { code: "L-417A185B", name: "Running On-Demand P instances" };

impl Quota {
    /// The quota that an instance of this type counts against; `None` where that is not known here.
    pub(super) fn of(instance_type: &str, purchase: Purchase) -> Option<Self> {
        let family = instance_type.split('.').next().unwrap_or_default();
        let series = family.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
        let generation = family.get(series.len()..)?.chars().next()?;
        match (series, generation, purchase) {
            ("g" | "gr", _, Purchase::Spot) => Some(G_SPOT),
            ("g" | "gr", _, Purchase::OnDemand) => Some(G_ON_DEMAND),
            ("p", '2'..='4', Purchase::Spot) => Some(P_SPOT),
            ("p", '5', Purchase::Spot) => Some(P5_SPOT),
            ("p", _, Purchase::OnDemand) => Some(P_ON_DEMAND),
            ("a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z", _, purchase) => {
                Some(match purchase {
                    Purchase::Spot => STANDARD_SPOT,
                    Purchase::OnDemand => STANDARD_ON_DEMAND,
                })
            }
            _ => None,
        }
    }

    /// Whether it is of machines with GPUs, of which a new account may have none.
    pub(super) fn is_of_gpus(self) -> bool {
        ![STANDARD_SPOT, STANDARD_ON_DEMAND].contains(&self)
    }

    /// Where a person raises it.
    pub(super) fn console(self, region: &str) -> String {
        format!("{}/servicequotas/home/services/ec2/quotas/{}", console(region), self.code)
    }

    /// The command that asks for `vcpus` of it.
    pub(super) fn command(self, region: &str, vcpus: u32) -> String {
        format!(
            "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {} --region {region} --desired-value {vcpus}",
            self.code
        )
    }
}

/// Where AWS's console is for a region: China and AWS `GovCloud` are partitions with a domain of their own.
pub(super) fn console(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.cn"
    } else if region.starts_with("us-gov-") {
        "amazonaws-us-gov.com"
    } else {
        "aws.amazon.com"
    };
    format!("https://{region}.console.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_counts_against_the_quota_of_its_market() {
        for (instance_type, spot, on_demand) in [
            ("g4dn.xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("g6e.48xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("gr6.4xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("p3.2xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("p4de.24xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("p5en.48xlarge", Some("L-C4BD4855"), Some("L-417A185B")),
            ("p6-b200.48xlarge", None, Some("L-417A185B")),
            ("m7i.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("c7a.xlarge", Some("L-34B43A08"), Some("L-1216C47A")),
            ("im4gn.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("inf2.xlarge", None, None),
            ("x2idn.16xlarge", None, None),
            ("", None, None),
            ("p", None, None),
        ] {
            let code = |purchase| Quota::of(instance_type, purchase).map(|quota| quota.code);
            assert_eq!(
                (code(Purchase::Spot), code(Purchase::OnDemand)),
                (spot, on_demand),
                "{instance_type}"
            );
        }
    }

    #[test]
    fn each_partition_has_its_own_console() {
        for (region, console_of) in [
            ("eu-west-1", "https://eu-west-1.console.aws.amazon.com"),
            ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
            ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
        ] {
            assert_eq!(console(region), console_of);
        }
    }
}
