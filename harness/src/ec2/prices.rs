//! What an instance type costs on demand: a small table, which the user's own figures replace.
//!
//! Spot prices come from the EC2 API; on-demand prices do not, and AWS's price list is a file of hundreds of megabytes.
//! The table is of one region and one day. It orders types by what they cost and bounds the money of a run; where it
//! has to be exact, `prices:` in `gpu-harness.yaml` says what is paid.

use std::collections::BTreeMap;
use std::fmt;

use super::Usd;

/// The region of [`TABLE`].
pub const TABLE_REGION: &str = "us-east-1";
/// When [`TABLE`] was compared with figures that others published in 2025 and 2026.
pub const TABLE_DATE: &str = "2026-11-23";

/// Where a price is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// The built-in table: right for one region on one day, near elsewhere.
    Table {
        /// The day.
        date: &'static str,
        /// The region.
        region: &'static str,
    },
    /// The user's `prices:`.
    User,
}

impl fmt::Display for PriceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { date, region } => write!(f, "table of {date} for {region}"),
            Self::User => f.write_str("`prices:`"),
        }
    }
}

/// What an instance of a type costs an hour on demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnDemandPrice {
    /// US dollars an hour.
    pub usd: Usd,
    /// Who says so.
    pub source: PriceSource,
}

/// US dollars an hour on demand for Linux in [`TABLE_REGION`], without taxes and discounts; source: AWS's list prices
/// (<https://aws.amazon.com/ec2/pricing/on-demand/>) as price tables in public repositories repeat them. A type whose
/// price no two of them agreed on is not here.
const TABLE: [(&str, f64); 58] = [
    ("g3s.xlarge", 0.75),
    ("g3.4xlarge", 1.14),
    ("g3.8xlarge", 2.28),
    ("g3.16xlarge", 4.56),
    ("g4dn.xlarge", 0.526),
    ("g4dn.2xlarge", 0.752),
    ("g4dn.4xlarge", 1.204),
    ("g4dn.8xlarge", 2.176),
    ("g4dn.12xlarge", 3.912),
    ("g4dn.16xlarge", 4.352),
    ("g4dn.metal", 7.824),
    ("g5.xlarge", 1.006),
    ("g5.2xlarge", 1.212),
    ("g5.4xlarge", 1.624),
    ("g5.8xlarge", 2.448),
    ("g5.12xlarge", 5.672),
    ("g5.16xlarge", 4.096),
    ("g5.24xlarge", 8.144),
    ("g5.48xlarge", 16.288),
    ("g5g.xlarge", 0.42),
    ("g5g.2xlarge", 0.556),
    ("g5g.4xlarge", 0.828),
    ("g5g.8xlarge", 1.372),
    ("g5g.16xlarge", 2.744),
    ("g5g.metal", 2.744),
    ("g6.xlarge", 0.8048),
    ("g6.2xlarge", 0.9776),
    ("g6.4xlarge", 1.3232),
    ("g6.8xlarge", 2.0144),
    ("g6.12xlarge", 4.6016),
    ("g6.16xlarge", 3.3968),
    ("g6.24xlarge", 6.6752),
    ("g6.48xlarge", 13.3504),
    ("gr6.4xlarge", 1.5392),
    ("gr6.8xlarge", 2.4464),
    ("g6e.xlarge", 1.861),
    ("g6e.2xlarge", 2.24208),
    ("g6e.4xlarge", 3.00424),
    ("g6e.8xlarge", 4.52856),
    ("g6e.12xlarge", 10.49264),
    ("g6e.16xlarge", 7.57719),
    ("g6e.24xlarge", 15.06559),
    ("g6e.48xlarge", 30.13118),
    ("g7e.2xlarge", 3.3631),
    ("g7e.4xlarge", 3.9982),
    ("g7e.8xlarge", 5.2682),
    ("g7e.12xlarge", 8.2861),
    ("g7e.24xlarge", 16.5722),
    ("g7e.48xlarge", 33.1443),
    ("p3.2xlarge", 3.06),
    ("p3.8xlarge", 12.24),
    ("p3.16xlarge", 24.48),
    ("p3dn.24xlarge", 31.212),
    ("p4d.24xlarge", 21.957_642),
    ("p4de.24xlarge", 27.447_05),
    ("p5.4xlarge", 6.88),
    ("p5.48xlarge", 55.04),
    ("p5en.48xlarge", 63.296),
];

/// The on-demand price of a type: the user's, else the table's.
pub fn on_demand(instance_type: &str, users: &BTreeMap<String, Usd>) -> Option<OnDemandPrice> {
    if let Some(&usd) = users.get(instance_type) {
        return Some(OnDemandPrice { usd, source: PriceSource::User });
    }
    let (_, dollars) = TABLE.iter().find(|(name, _)| *name == instance_type)?;
    let source = PriceSource::Table { date: TABLE_DATE, region: TABLE_REGION };
    Some(OnDemandPrice { usd: Usd(*dollars), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_price_replaces_the_tables_and_says_so() {
        let users = BTreeMap::from([("g6.xlarge".to_owned(), Usd(0.5)), ("z9.metal".to_owned(), Usd(7.0))]);
        for (name, expected) in [
            ("g6.xlarge", Some("$0.50 (`prices:`)")),
            ("z9.metal", Some("$7.00 (`prices:`)")),
            ("g5.xlarge", Some("$1.01 (table of 2026-11-23 for us-east-1)")),
            ("z8.metal", None),
        ] {
            let said = on_demand(name, &users).map(|price| format!("{} ({})", price.usd, price.source));
            assert_eq!(said.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_table_names_each_type_once_at_a_price_that_can_be() {
        let names = std::collections::BTreeSet::from_iter(TABLE.iter().map(|(name, _)| name));
        assert_eq!(names.len(), TABLE.len());
        assert!(TABLE.iter().all(|&(_, dollars)| Usd::try_from(dollars).is_ok()));
    }
}
