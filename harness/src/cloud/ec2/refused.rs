//! What each pool said where there was nothing to be had, as a person reads it.

use std::collections::BTreeSet;

use super::quota::Quota;
use super::refusal::{Refusal, RefusalKind};
use super::{Purchase, Usd};

/// The answer of one pool: an instance type in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRefusal {
    /// The type; `None`: all that were asked for.
    pub instance_type: Option<String>,
    /// The zone; `None`: all.
    pub zone: Option<String>,
    pub refusal: Refusal,
}

/// What one round of asking in one region came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Round {
    pub region: String,
    pub purchase: Purchase,
    /// The types that were asked for, in their order.
    pub types: Vec<String>,
    /// In how many zones.
    pub zones: usize,
    /// What was to be paid at most an hour.
    pub max_price: Option<Usd>,
    pub refusals: Vec<PoolRefusal>,
}

impl Round {
    /// One clause for each kind of answer, the most hopeful first.
    pub(super) fn clauses(&self) -> Vec<String> {
        let kinds = BTreeSet::from_iter(self.refusals.iter().map(|one| one.refusal.kind));
        if kinds.is_empty() {
            let Self { purchase, region, .. } = self;
            return vec![format!(
                "no {purchase} {} came in {} of {region}, and AWS does not say why",
                self.types.join(" or "),
                zones(self.zones)
            )];
        }
        kinds.into_iter().map(|kind| self.part(kind)).collect()
    }

    fn part(&self, kind: RefusalKind) -> String {
        let of_kind = || self.refusals.iter().filter(move |one| one.refusal.kind == kind);
        let types =
            Vec::from_iter(self.types.iter().map(String::as_str).filter(|name| {
                of_kind().any(|one| one.instance_type.as_deref().is_none_or(|of| of == *name))
            }));
        let named = BTreeSet::from_iter(of_kind().filter_map(|one| one.zone.as_deref()));
        let everywhere = of_kind().any(|one| one.zone.is_none());
        let places = zones(if everywhere { self.zones } else { named.len() });
        let (types, Self { region, purchase, .. }) = (shortened(&types), self);
        match kind {
            RefusalKind::Capacity => format!("no {purchase} capacity for {types} in {places} of {region}"),
            RefusalKind::Price => match self.max_price {
                Some(price) => format!("no {types} for {price} an hour or less in {places} of {region}"),
                None => format!("the {purchase} price of {types} is too high in {places} of {region}"),
            },
            RefusalKind::Quota => {
                format!("the quota for {purchase} {types} in {region} is used up{}", self.quotas(kind))
            }
            RefusalKind::Throttling => format!("AWS takes no more calls for now in {region}"),
            RefusalKind::Permission => format!("{region} does not allow it ({})", self.codes(kind)),
            RefusalKind::Configuration => {
                format!("{types} cannot be had like this in {places} of {region} ({})", self.codes(kind))
            }
            RefusalKind::Other => format!("{region} refused {types} ({})", self.codes(kind)),
        }
    }

    fn quotas(&self, kind: RefusalKind) -> String {
        let of_kind = self.refusals.iter().filter(|one| one.refusal.kind == kind);
        let names = of_kind.flat_map(|one| match &one.instance_type {
            Some(name) => vec![name],
            None => self.types.iter().collect(),
        });
        let codes = BTreeSet::from_iter(
            names.filter_map(|name| Quota::of(name, self.purchase)).map(|quota| quota.code),
        );
        if codes.is_empty() { String::new() } else { format!(" ({})", Vec::from_iter(codes).join(", ")) }
    }

    fn codes(&self, kind: RefusalKind) -> String {
        let of_kind = self.refusals.iter().filter(|one| one.refusal.kind == kind);
        Vec::from_iter(BTreeSet::from_iter(of_kind.map(|one| one.refusal.code.as_str()))).join(", ")
    }
}

fn zones(count: usize) -> String {
    if count == 1 { "1 zone".to_owned() } else { format!("{count} zones") }
}

/// More names than this tell a reader nothing.
const NAMES: usize = 4;

/// The names, or the first of them and how many more there are.
pub(super) fn shortened(types: &[&str]) -> String {
    match types {
        [] => "any type".to_owned(),
        _ if types.len() <= NAMES => types.join(", "),
        _ => format!("{} and {} other types", types[..NAMES - 1].join(", "), types.len() - (NAMES - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::waiting;

    fn pool(instance_type: &str, zone: &str, code: &str) -> PoolRefusal {
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PoolRefusal { instance_type: named(instance_type), zone: named(zone), refusal: Refusal::of(code, "") }
    }

    fn round(purchase: Purchase, refusals: Vec<PoolRefusal>) -> Round {
        Round {
            region: "us-east-1".into(),
            purchase,
            types: vec!["g6.xlarge".into(), "g5.xlarge".into()],
            zones: 3,
            max_price: None,
            refusals,
        }
    }

    fn reason(rounds: &[Round]) -> String {
        waiting::reason(rounds.iter().flat_map(Round::clauses))
    }

    #[test]
    fn whoever_waits_is_told_what_for_and_where() {
        use Purchase::{OnDemand, Spot};
        let zones = ["us-east-1a", "us-east-1b", "us-east-1c"];
        let capacity = "InsufficientInstanceCapacity";
        let everywhere = |code: &str| {
            Vec::from_iter(
                zones.iter().flat_map(|zone| ["g6.xlarge", "g5.xlarge"].map(|name| pool(name, zone, code))),
            )
        };
        let many = ["g4dn.xlarge", "g6.xlarge", "g5.xlarge", "g6.2xlarge", "g6e.xlarge", "g5.2xlarge"];
        let said = [
            reason(&[round(Spot, everywhere(capacity))]),
            reason(&[round(Spot, vec![pool("g6.xlarge", "us-east-1b", capacity)])]),
            reason(&[round(OnDemand, vec![pool("", "", capacity)])]),
            reason(&[Round {
                types: many.map(str::to_owned).to_vec(),
                ..round(Spot, vec![pool("", "", capacity)])
            }]),
            reason(&[round(Spot, everywhere("MaxSpotInstanceCountExceeded"))]),
            reason(&[round(OnDemand, vec![pool("g6.xlarge", "us-east-1a", "VcpuLimitExceeded")])]),
            reason(&[Round { max_price: Some(Usd(0.3)), ..round(Spot, everywhere("SpotMaxPriceTooLow")) }]),
            reason(&[round(Spot, everywhere("SpotMaxPriceTooLow"))]),
            reason(&[round(
                Spot,
                vec![
                    pool("g6.xlarge", "us-east-1a", capacity),
                    pool("g6.xlarge", "us-east-1b", "UnfulfillableCapacity"),
                    pool("g5.xlarge", "us-east-1a", "MaxSpotInstanceCountExceeded"),
                    pool("g5.xlarge", "us-east-1c", "Unsupported"),
                ],
            )]),
            reason(&[round(Spot, everywhere(capacity)), round(OnDemand, everywhere(capacity))]),
            reason(&[
                round(Spot, everywhere(capacity)),
                Round {
                    region: "eu-west-1".into(),
                    ..round(Spot, vec![pool("", "", "RequestLimitExceeded")])
                },
            ]),
            reason(&[round(Spot, Vec::new())]),
            reason(&[round(
                Spot,
                vec![pool("", "", "InternalError"), pool("", "", "UnauthorizedOperation")],
            )]),
            reason(&[]),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }
}
