//! What an instance type costs on demand in a region: small tables, which the user's own figures replace.
//!
//! Spot prices come from the EC2 API, for each region and zone; on-demand prices do not, and AWS's price list is a file of
//! hundreds of megabytes. The tables are of a few regions and one day. In any other region a price is not known until
//! `prices:` of the node tells it: another region's price would be a wrong one, and money is bounded by it. Only where
//! types are put in an order does the first table stand in for every region.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::InstanceType;
use jiff::Timestamp;

use super::capped::SpotPrices;
use super::cloud::{Cloud, Ec2Error};
use super::{Purchase, Usd};
use crate::cloud::tagged::TaggedResource;

/// The day of the price list that the tables are taken from.
pub const TABLE_DATE: &str = "2026-07-20";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// A built-in table: right for its region on one day.
    Table { date: &'static str, region: &'static str },
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
    pub usd: Usd,
    pub source: PriceSource,
}

/// US dollars an hour on demand for Linux, without taxes and discounts; source: AWS's price list as karpenter repeats it
/// (`pkg/providers/pricing/zz_generated.pricing_aws*.go` in <https://github.com/aws/karpenter-provider-aws>, generated from
/// `pricing:GetProducts`).
const US_EAST_1: [(&str, f64); 71] = [
    ("g3.4xlarge", 1.14),
    ("g3.8xlarge", 2.28),
    ("g3.16xlarge", 4.56),
    ("g3s.xlarge", 0.75),
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
    ("g6e.xlarge", 1.861),
    ("g6e.2xlarge", 2.24208),
    ("g6e.4xlarge", 3.00424),
    ("g6e.8xlarge", 4.52856),
    ("g6e.12xlarge", 10.49264),
    ("g6e.16xlarge", 7.57719),
    ("g6e.24xlarge", 15.06559),
    ("g6e.48xlarge", 30.13118),
    ("g6f.large", 0.202),
    ("g6f.xlarge", 0.2375),
    ("g6f.2xlarge", 0.475),
    ("g6f.4xlarge", 0.95),
    ("g7.2xlarge", 2.52),
    ("g7.4xlarge", 3.04208),
    ("g7.8xlarge", 4.08624),
    ("g7.12xlarge", 7.12832),
    ("g7.24xlarge", 14.25664),
    ("g7.48xlarge", 28.51328),
    ("g7e.2xlarge", 3.36312),
    ("g7e.4xlarge", 3.99816),
    ("g7e.8xlarge", 5.26824),
    ("g7e.12xlarge", 8.28608),
    ("g7e.24xlarge", 16.57216),
    ("g7e.48xlarge", 33.14432),
    ("gr6.4xlarge", 1.5392),
    ("gr6.8xlarge", 2.4464),
    ("gr6f.4xlarge", 1.066),
    ("p3.2xlarge", 3.06),
    ("p3.8xlarge", 12.24),
    ("p3.16xlarge", 24.48),
    ("p3dn.24xlarge", 31.212),
    ("p4d.24xlarge", 21.957_642),
    ("p4de.24xlarge", 27.44705),
    ("p5.4xlarge", 6.88),
    ("p5.48xlarge", 55.04),
    ("p5en.48xlarge", 63.296),
    ("p6-b200.48xlarge", 113.9328),
    ("p6-b300.48xlarge", 142.416),
];

/// In both regions of the government's partition.
const US_GOV: [(&str, f64); 18] = [
    ("g4dn.xlarge", 0.663),
    ("g4dn.2xlarge", 0.948),
    ("g4dn.4xlarge", 1.518),
    ("g4dn.8xlarge", 2.743),
    ("g4dn.12xlarge", 4.931),
    ("g4dn.16xlarge", 5.486),
    ("g6.xlarge", 1.0144),
    ("g6.2xlarge", 1.2322),
    ("g6.4xlarge", 1.66781),
    ("g6.8xlarge", 2.53903),
    ("g6.12xlarge", 5.80003),
    ("g6.16xlarge", 4.28145),
    ("g6.24xlarge", 8.41367),
    ("g6.48xlarge", 16.82734),
    ("gr6.4xlarge", 1.9401),
    ("gr6.8xlarge", 3.08359),
    ("p3dn.24xlarge", 37.454),
    ("p6-b200.48xlarge", 136.71936),
];

/// In its west alone.
const US_GOV_WEST_1: [(&str, f64); 12] = [
    ("g3.4xlarge", 1.32),
    ("g3.8xlarge", 2.64),
    ("g3.16xlarge", 5.28),
    ("g3s.xlarge", 0.868),
    ("g4dn.metal", 9.862),
    ("p3.2xlarge", 3.672),
    ("p3.8xlarge", 14.688),
    ("p3.16xlarge", 29.376),
    ("p4d.24xlarge", 26.3511),
    ("p5.4xlarge", 8.256),
    ("p5.48xlarge", 66.048),
    ("p5en.48xlarge", 75.9552),
];

/// In its east alone.
const US_GOV_EAST_1: [(&str, f64); 1] = [("p6-b300.48xlarge", 170.9)];

/// Families without GPUs, by what their size `large` costs, from the same list; their other sizes cost in proportion.
const PLAIN_US_EAST_1: [(&str, f64); 8] = [
    ("c6a", 0.0765),
    ("c6i", 0.085),
    ("c7a", 0.10264),
    ("c7i", 0.08925),
    ("m6a", 0.0864),
    ("m6i", 0.096),
    ("m7a", 0.11592),
    ("m7i", 0.1008),
];

/// In both regions of the government's partition.
const PLAIN_US_GOV: [(&str, f64); 4] = [("c6i", 0.102), ("c7i", 0.1071), ("m6i", 0.121), ("m7i", 0.12705)];

/// Types or families, and US dollars an hour.
type Table = [(&'static str, f64)];

/// What a region's instances cost.
struct PriceList {
    region: &'static str,
    types: &'static [&'static Table],
    families: &'static Table,
}

/// The regions whose prices are known here.
const LISTS: [PriceList; 3] = [
    PriceList { region: "us-east-1", types: &[&US_EAST_1], families: &PLAIN_US_EAST_1 },
    PriceList { region: "us-gov-west-1", types: &[&US_GOV, &US_GOV_WEST_1], families: &PLAIN_US_GOV },
    PriceList { region: "us-gov-east-1", types: &[&US_GOV, &US_GOV_EAST_1], families: &PLAIN_US_GOV },
];

impl PriceList {
    fn of(&self, instance_type: &str) -> Option<f64> {
        let by_type = self.types.iter().find_map(|table| within(table, instance_type));
        by_type.or_else(|| {
            let (family, size) = instance_type.split_once('.')?;
            Some(within(self.families, family)? * in_larges(size)?)
        })
    }
}

/// How many times a `large` a size is; `None` of bare metal and of sizes that are smaller.
fn in_larges(size: &str) -> Option<f64> {
    match size.strip_suffix("xlarge") {
        Some("") => Some(2.0),
        Some(times) => Some(2.0 * f64::from(times.parse::<u16>().ok()?)),
        None => (size == "large").then_some(1.0),
    }
}

/// The on-demand price of a type in a region: the user's, for `REGION/TYPE` or for `TYPE` everywhere, else the table's of
/// that region. Another region's is none.
pub fn on_demand(instance_type: &str, region: &str, users: &BTreeMap<String, Usd>) -> Option<OnDemandPrice> {
    let here = users.get(&format!("{region}/{instance_type}"));
    if let Some(&usd) = here.or_else(|| users.get(instance_type)) {
        return Some(OnDemandPrice { usd, source: PriceSource::User });
    }
    let list = LISTS.iter().find(|list| list.region == region)?;
    let source = PriceSource::Table { date: TABLE_DATE, region: list.region };
    Some(OnDemandPrice { usd: Usd(list.of(instance_type)?), source })
}

/// US dollars an hour of these instances now, by id.
pub(super) async fn of_living(
    cloud: &Cloud,
    instances: &[TaggedResource],
    users: &BTreeMap<String, Usd>,
) -> HashMap<String, Usd> {
    let types = instances.iter().filter_map(|found| Some(found.instance.as_ref()?.instance_type.clone()));
    let spot = spot(cloud, types.collect(), cloud.now()).await.unwrap_or_default();
    let price = |found: &TaggedResource| {
        let instance = found.instance.clone()?;
        let usd = if instance.market == Purchase::Spot.name() {
            spot.get(&(instance.instance_type, instance.zone)).copied()
        } else {
            on_demand(&instance.instance_type, &found.region, users).map(|price| price.usd)
        };
        Some((found.id.clone(), usd?))
    };
    instances.iter().filter_map(price).collect()
}

pub(super) async fn spot(
    cloud: &Cloud,
    types: BTreeSet<String>,
    now: Timestamp,
) -> Result<SpotPrices, Ec2Error> {
    if types.is_empty() {
        return Ok(SpotPrices::new());
    }
    let pages = cloud
        .ec2()
        .describe_spot_price_history()
        .set_instance_types(Some(types.iter().map(|name| InstanceType::from(name.as_str())).collect()))
        .product_descriptions("Linux/UNIX")
        // From now to now: the price that holds.
        .start_time(DateTime::from_secs(now.as_second()))
        .into_paginator()
        .items()
        .send();
    let all = pages.try_collect().await.map_err(|error| Ec2Error::of("DescribeSpotPriceHistory", &error))?;
    let prices = all.into_iter().filter_map(|price| {
        let pool = (price.instance_type()?.as_str().to_owned(), price.availability_zone()?.to_owned());
        Some((pool, Usd(price.spot_price()?.parse().ok()?)))
    });
    Ok(prices.collect())
}

/// About what a type costs, to put types in an order where nobody knows better: no money is reckoned by it.
pub fn about(instance_type: &str) -> Option<f64> {
    LISTS[0].of(instance_type)
}

fn within(table: &[(&str, f64)], instance_type: &str) -> Option<f64> {
    table.iter().find(|(name, _)| *name == instance_type).map(|(_, dollars)| *dollars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_the_users_or_that_regions_and_never_another_regions() {
        let users = BTreeMap::from([
            ("g6.xlarge".to_owned(), Usd(0.5)),
            ("eu-west-1/g6.xlarge".to_owned(), Usd(0.6)),
            ("z9.metal".to_owned(), Usd(7.0)),
        ]);
        for (name, region, expected) in [
            ("g6.xlarge", "us-east-1", Some("$0.50 (`prices:`)")),
            ("g6.xlarge", "eu-west-1", Some("$0.60 (`prices:`)")),
            ("z9.metal", "eu-west-1", Some("$7.00 (`prices:`)")),
            ("g5.xlarge", "us-east-1", Some("$1.01 (table of 2026-07-20 for us-east-1)")),
            ("g4dn.xlarge", "us-gov-west-1", Some("$0.66 (table of 2026-07-20 for us-gov-west-1)")),
            ("g5.xlarge", "eu-west-1", None),
            ("g4dn.xlarge", "us-gov-east-1", Some("$0.66 (table of 2026-07-20 for us-gov-east-1)")),
            ("g4dn.metal", "us-gov-west-1", Some("$9.86 (table of 2026-07-20 for us-gov-west-1)")),
            ("g4dn.metal", "us-gov-east-1", None),
            ("g5.xlarge", "us-gov-west-1", None),
            ("z8.metal", "us-east-1", None),
            ("c7i.large", "us-east-1", Some("$0.0892 (table of 2026-07-20 for us-east-1)")),
            ("m7i.xlarge", "us-east-1", Some("$0.20 (table of 2026-07-20 for us-east-1)")),
            ("c7a.32xlarge", "us-east-1", Some("$6.57 (table of 2026-07-20 for us-east-1)")),
            ("m7i.48xlarge", "us-gov-east-1", Some("$12.20 (table of 2026-07-20 for us-gov-east-1)")),
            ("c7i.metal-24xl", "us-east-1", None),
            ("c7i.2xlarge", "eu-west-1", None),
        ] {
            let said =
                on_demand(name, region, &users).map(|price| format!("{} ({})", price.usd, price.source));
            assert_eq!(said.as_deref(), expected, "{name} in {region}");
        }
        assert!(about("g5.xlarge").is_some());
    }

    #[test]
    fn each_table_names_each_type_once_at_a_price_that_can_be() {
        for PriceList { region, types, families } in LISTS {
            let table = [types.concat(), families.to_vec()].concat();
            let names = std::collections::BTreeSet::from_iter(table.iter().map(|(name, _)| name));
            assert_eq!(names.len(), table.len(), "{region}");
            assert!(table.iter().all(|&(_, dollars)| Usd::try_from(dollars).is_ok()), "{region}");
        }
    }
}
