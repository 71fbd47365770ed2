//! What may be launched under a limit on the money: what costs something that is known, and no more than there is.
//!
//! A fleet launches whichever of its pools it likes, so a limit that one pool escapes is none. A type without a price in
//! that region, and on spot a zone without one, is therefore not asked for; nor is one that would be paid for to the end
//! of the money before it has booted, since it would have the others' time to live cut down with its own.

use std::collections::BTreeMap;

use super::candidates::{Candidate, Choice, For};
use super::left_out::{LeftOut, NoneFits, Why};
use super::{Purchase, Usd};
use crate::cloud::meter::bill;

/// What spot costs an hour now, by type and zone.
pub type SpotPrices = BTreeMap<(String, String), Usd>;

/// The dearest that a candidate can turn out to be; `None` where nobody knows.
pub fn dearest(candidate: &Candidate, purchase: Purchase, spot: &SpotPrices) -> Option<Usd> {
    match purchase {
        Purchase::OnDemand => candidate.on_demand.map(|price| price.usd),
        Purchase::Spot => {
            let known = candidate
                .zones
                .iter()
                .filter_map(|zone| spot.get(&(candidate.name.clone(), zone.clone())).map(|price| price.0));
            known.reduce(f64::max).map(Usd)
        }
    }
}

/// The part of a choice that `left` US dollars may be spent on.
pub fn within(choice: Choice, wanted: For<'_>, spot: &SpotPrices, left: f64) -> Result<Choice, NoneFits> {
    let Choice { candidates, mut left_out, max_price } = choice;
    let mut kept = Vec::new();
    for mut candidate in candidates {
        if wanted.purchase == Purchase::Spot {
            let name = &candidate.name;
            candidate.zones.retain(|zone| spot.contains_key(&(name.clone(), zone.clone())));
        }
        let why = match dearest(&candidate, wanted.purchase, spot) {
            None => Why::NoPrice { purchase: wanted.purchase, region: wanted.region.to_owned() },
            Some(costs) if bill(wanted.settings.boot_timeout, costs) >= left => {
                Why::TooDearToBoot { costs, left }
            }
            Some(_) => {
                kept.push(candidate);
                continue;
            }
        };
        left_out.push(LeftOut { name: candidate.name, why });
    }
    if kept.is_empty() {
        return Err(NoneFits { need: wanted.need.clone(), left_out });
    }
    Ok(Choice { candidates: kept, left_out, max_price })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gpu_suites::unit::ByteSize;

    use super::super::candidates::{GpuFacts, Processor, TypeFacts, choose};
    use super::*;

    fn facts(name: &str) -> TypeFacts {
        TypeFacts {
            name: name.to_owned(),
            processor: Processor::X86_64,
            gpus: vec![GpuFacts {
                name: "L4".to_owned(),
                manufacturer: "NVIDIA".to_owned(),
                count: 1,
                memory: ByteSize(24 << 30),
                fractional: false,
            }],
            vcpus: 4,
            memory: ByteSize(16 << 30),
            markets: vec![Purchase::Spot, Purchase::OnDemand],
            zones: ["a", "b"].map(|zone| format!("x{zone}")).to_vec(),
        }
    }

    /// What may be asked for, and what is said of the rest.
    fn judged(
        region: &str,
        purchase: Purchase,
        spot: &SpotPrices,
        left: f64,
    ) -> Result<Vec<(String, Vec<String>)>, String> {
        let text = "boot-timeout: 6m\nmax-cost: 1\nprices: {g9.known: 2.0, eu-west-1/g6.xlarge: 0.9}";
        let settings = crate::config::ec2::settings(text).unwrap();
        let wanted = For { settings: &settings, need: &settings.need, purchase, region };
        let all = ["g6.xlarge", "g9.known", "p9.unheard", "p5.48xlarge"].map(facts);
        let choice = choose(&all, wanted).unwrap();
        let within = within(choice, wanted, spot, left);
        within
            .map(|choice| choice.candidates.into_iter().map(|one| (one.name, one.zones)).collect())
            .map_err(|none| none.to_string())
    }

    fn names(judged: Result<Vec<(String, Vec<String>)>, String>) -> Vec<String> {
        judged.unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_type_without_a_price_in_that_region_is_never_asked_for_under_a_limit() {
        let none = SpotPrices::new();
        assert_eq!(names(judged("us-east-1", Purchase::OnDemand, &none, 1.0)), ["g6.xlarge", "g9.known"]);
        // us-east-1's price is not eu-west-1's: there the user's own counts, and what the user names nowhere is left.
        assert_eq!(names(judged("eu-west-1", Purchase::OnDemand, &none, 1e6)), ["g6.xlarge", "g9.known"]);
        let refused = judged("us-east-1", Purchase::Spot, &none, 1.0).unwrap_err();
        assert!(refused.contains("EC2 tells no spot price of it in us-east-1"), "{refused}");
    }

    #[test]
    fn on_spot_a_zone_without_a_price_is_not_asked_in() {
        let spot = SpotPrices::from([
            (("g6.xlarge".to_owned(), "xb".to_owned()), Usd(0.4)),
            (("p9.unheard".to_owned(), "xc".to_owned()), Usd(0.1)),
        ]);
        let judged = judged("us-east-1", Purchase::Spot, &spot, 1.0).unwrap();
        assert_eq!(judged, [("g6.xlarge".to_owned(), vec!["xb".to_owned()])]);
    }

    #[test]
    fn what_the_money_does_not_even_boot_is_left_out_by_name_and_the_rest_keeps_its_time() {
        let none = SpotPrices::new();
        // Six minutes of g9.known cost 20 cents.
        assert_eq!(names(judged("us-east-1", Purchase::OnDemand, &none, 0.19)), ["g6.xlarge"]);
        let refused = judged("us-east-1", Purchase::OnDemand, &none, 0.001).unwrap_err();
        for said in ["do not pay for booting it", "p9.unheard", "give it in `prices:`"] {
            assert!(refused.contains(said), "{said} in {refused}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_pool_that_is_asked_for_under_a_limit_has_a_price_that_the_money_boots(
            on_spot: bool,
            left in 0.0..60.0f64,
            priced in proptest::collection::btree_map((0usize..4, 0usize..2), 0.01..80.0f64, 0..8),
        ) {
            let (types, zones) = (["g6.xlarge", "g9.known", "p9.unheard", "p5.48xlarge"], ["xa", "xb"]);
            let spot: SpotPrices = priced
                .into_iter()
                .map(|((kind, zone), usd)| ((types[kind].to_owned(), zones[zone].to_owned()), Usd(usd)))
                .collect();
            let purchase = if on_spot { Purchase::Spot } else { Purchase::OnDemand };
            for (name, zones) in judged("us-east-1", purchase, &spot, left).unwrap_or_default() {
                proptest::prop_assert!(!zones.is_empty());
                for zone in zones {
                    let price = if on_spot {
                        spot.get(&(name.clone(), zone)).copied()
                    } else {
                        let users = std::collections::BTreeMap::from([("g9.known".to_owned(), Usd(2.0))]);
                        super::super::prices::on_demand(&name, "us-east-1", &users).map(|price| price.usd)
                    };
                    proptest::prop_assert!(price.is_some_and(|price| bill(Duration::from_secs(360), price) < left));
                }
            }
        }
    }
}
