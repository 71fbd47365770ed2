//! What the region has for the node: image, types, zones, prices, and what the account may have of them.
//!
//! It is looked up by the same calls as a run's, so that what is well here is what a run will find.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_servicequotas::types::ServiceQuota;
use gpu_suites::unit::Span;
use jiff::Timestamp;

use super::super::{Ec2Settings, Purchase, Usd};
use super::{allow, failed, first_sentence};
use crate::cloud::ec2::candidates::{Candidate, Choice};
use crate::cloud::ec2::cloud::{Cloud, Ec2Error};
use crate::cloud::ec2::left_out::Why;
use crate::cloud::ec2::look_up::{self, Image, LookUpError, RegionCatalog};
use crate::cloud::ec2::quota::Quota;
use crate::report::finding::Finding;
use crate::text::{Explain as _, chain};

/// What the dry runs need to know of it.
#[derive(Debug, Default)]
pub(super) struct Basis {
    pub(super) image: Option<String>,
    pub(super) instance_type: Option<String>,
    /// A subnet in which it is to be had.
    pub(super) subnet: Option<String>,
}

/// An image that is older than this lacks driver and security updates of a year.
const OLD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Looks the region over.
pub(super) async fn examine(
    cloud: &Cloud,
    settings: &Ec2Settings,
    caller: &str,
    findings: &mut Vec<Finding>,
) -> Basis {
    let looked = look_up::look_up(cloud, settings, &settings.need).await;
    findings.push(super::credentials::clock(cloud));
    let catalog = match looked {
        Ok(catalog) => catalog,
        Err(error) => {
            findings.push(refused(&error, caller));
            findings.push(
                Finding::unknown("the rest", "image, types, prices and quotas were not looked at")
                    .hint("mend the one before, and run doctor again"),
            );
            return Basis::default();
        }
    };
    if let Some(ingress) = &catalog.ingress {
        findings.push(Finding::ok("caller's address", format!("{ingress}: what the security group lets in")));
    }
    findings.push(image(cloud, &catalog.image).await);
    let mut basis = Basis { image: Some(catalog.image.id.clone()), ..Basis::default() };
    for purchase in settings.market.purchases(false) {
        match catalog.choose(settings, &settings.need, *purchase, None) {
            Ok(choice) => {
                findings.push(types(&choice, *purchase));
                findings.extend(under_a_limit(&catalog, &choice, settings, *purchase));
                findings.push(price(&catalog, &choice, settings, *purchase));
                findings.push(quota(cloud, &choice, *purchase, caller).await);
                let first = choice.candidates.first();
                basis.instance_type = basis.instance_type.or_else(|| first.map(|one| one.name.clone()));
                basis.subnet = basis.subnet.or_else(|| {
                    let zones = &first?.zones;
                    catalog
                        .subnets
                        .iter()
                        .find(|subnet| zones.contains(&subnet.zone))
                        .map(|subnet| subnet.id.clone())
                });
            }
            Err(none) => findings.push(Finding::failed(format!("types, {purchase}"), none.to_string())),
        }
    }
    basis
}

/// What could not be looked up, by the name of what a person has to mend.
fn refused(error: &LookUpError, caller: &str) -> Finding {
    match error {
        LookUpError::Cloud(error) => match error.own::<Ec2Error>() {
            Some(error) => {
                let action = error.operation().map_or_else(|| "the API".to_owned(), action);
                failed(&action, error, caller)
            }
            None => Finding::failed("the API", chain(error)),
        },
        LookUpError::NoDefaultVpc { .. } | LookUpError::SeveralVpcs { .. } => {
            Finding::failed("subnets", error.to_string())
        }
        LookUpError::NoImage { .. } | LookUpError::Image { .. } => {
            Finding { hint: error.hint(), ..Finding::failed("image", error.to_string()) }
        }
        LookUpError::Address(error) => Finding::failed("caller's address", chain(error)),
        LookUpError::NoneFits(none) => Finding::failed("types", none.to_string()),
    }
}

/// The permission that an operation of the look-up needs.
fn action(operation: &str) -> String {
    let service = if operation == "GetParameter" { "ssm" } else { "ec2" };
    format!("{service}:{operation}")
}

async fn image(cloud: &Cloud, image: &Image) -> Finding {
    let asked = cloud.ec2().describe_images().image_ids(&image.id).send().await;
    let made =
        asked.ok().and_then(|answer| answer.images().first()?.creation_date()?.parse::<Timestamp>().ok());
    let said = format!("{} {}, {}", image.id, image.name, image.processor);
    let age = made.and_then(|made| Duration::try_from(made.duration_until(cloud.now())).ok());
    match age {
        Some(age) if age > OLD => Finding::ok("image", format!("{said}, {} old", days(age)))
            .hint("it is more than a year old: it lacks a year's updates, and its NVIDIA driver, if any, newer GPUs"),
        Some(age) => Finding::ok("image", format!("{said}, {} old", days(age))),
        None => Finding::ok("image", said),
    }
}

fn days(age: Duration) -> String {
    match age.as_secs() / 86_400 {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn types(choice: &Choice, purchase: Purchase) -> Finding {
    let mut said = String::new();
    for candidate in choice.candidates.iter().take(3) {
        let Candidate { name, gpus, vcpus, memory, .. } = candidate;
        let _ = match gpus {
            Some(gpus) => write!(said, "{name} ({gpus}), "),
            None => write!(said, "{name} ({vcpus} vCPUs, {memory}), "),
        };
    }
    match choice.candidates.len().saturating_sub(3) {
        0 => said.truncate(said.len().saturating_sub(2)),
        more => {
            let _ = write!(said, "and {more} more");
        }
    }
    let mut zones = Vec::from_iter(choice.candidates.iter().flat_map(|candidate| candidate.zones.clone()));
    zones.sort();
    zones.dedup();
    Finding::ok(format!("types, {purchase}"), format!("{said}; in {}", zones.join(", ")))
}

/// What of the choice a run leaves out, with its limit on the money where it has one.
fn under_a_limit(
    catalog: &RegionCatalog,
    choice: &Choice,
    settings: &Ec2Settings,
    purchase: Purchase,
) -> Vec<Finding> {
    let Some(most) = settings.max_cost else { return left_out(choice, settings, purchase) };
    match catalog.choose(settings, &settings.need, purchase, Some(most.0)) {
        Ok(capped) => left_out(&capped, settings, purchase),
        Err(none) => vec![Finding::failed(format!("max-cost, {purchase}"), none.to_string()).hint(
            "give on-demand prices in `prices:` of the node, in US dollars an hour, or raise `max-cost:`",
        )],
    }
}

/// The types that the user named and that will not do.
fn left_out(choice: &Choice, settings: &Ec2Settings, purchase: Purchase) -> Vec<Finding> {
    let named =
        choice.left_out.iter().filter(|one| settings.types.contains(&one.name) && one.why != Why::Enough);
    named
        .map(|one| {
            Finding::failed(format!("types, {purchase}"), one.to_string())
                .hint("a run leaves it out: take it from `types:`, or mend that")
        })
        .collect()
}

/// The cheapest that will do, against what the user would pay.
fn price(catalog: &RegionCatalog, choice: &Choice, settings: &Ec2Settings, purchase: Purchase) -> Finding {
    let about = format!("price, {purchase}");
    let prices = choice.candidates.iter().filter_map(|candidate| {
        let usd = match purchase {
            Purchase::OnDemand => candidate.on_demand?.usd,
            Purchase::Spot => {
                let pools = catalog
                    .spot
                    .iter()
                    .filter(|((name, zone), _)| *name == candidate.name && candidate.zones.contains(zone));
                pools.map(|(_, usd)| *usd).min_by(|a, b| a.0.total_cmp(&b.0))?
            }
        };
        Some((usd, candidate))
    });
    let Some((usd, cheapest)) = prices.min_by(|a, b| a.0.0.total_cmp(&b.0.0)) else {
        return Finding::unknown(about, "nobody knows")
            .hint("give it in `prices:` of the node, in US dollars an hour");
    };
    let source = match (purchase, cheapest.on_demand) {
        (Purchase::OnDemand, Some(price)) => format!(" ({})", price.source),
        _ => String::new(),
    };
    judge_price(Finding::ok(about, format!("{} at {usd} an hour{source}", cheapest.name)), usd, settings)
}

fn judge_price(told: Finding, usd: Usd, settings: &Ec2Settings) -> Finding {
    if let Some(most) = settings.max_price.filter(|most| usd.0 > most.0) {
        return Finding::failed(told.about, format!("{}, above max-price {most}", told.said))
            .hint("raise `max-price:`, or name cheaper types or another region");
    }
    let Some(most) = settings.max_cost else { return told };
    let lasts = Duration::from_secs_f64((most.0 / usd.0 * 3600.0).min(1e9));
    let said = format!("{}; max-cost {most} lasts {}", told.said, Span(Duration::from_secs(lasts.as_secs())));
    if lasts < settings.boot_timeout {
        return Finding::failed(told.about, said)
            .hint("that is less than booting may take: raise `max-cost:`");
    }
    Finding::ok(told.about, said)
}

/// What the account may have at once, against what the smallest type needs.
async fn quota(cloud: &Cloud, choice: &Choice, purchase: Purchase, caller: &str) -> Finding {
    let about = format!("quota, {purchase}");
    let Some(smallest) = choice.candidates.iter().min_by_key(|candidate| candidate.vcpus) else {
        return Finding::unknown(about, "no type will do");
    };
    let Some(quota) = Quota::of(&smallest.name, purchase) else {
        return Finding::unknown(
            about,
            format!("which quota {} counts against is not known here", smallest.name),
        );
    };
    let asked = cloud.quotas().get_service_quota().service_code("ec2").quota_code(quota.code).send().await;
    match asked.map_err(|error| Ec2Error::of("GetServiceQuota", &error)) {
        Ok(answer) => match answer.quota().and_then(ServiceQuota::value) {
            Some(allowed) => judge_quota(about, quota, allowed, smallest, cloud.region()),
            None => Finding::unknown(about, format!("\"{}\" ({}) has no value", quota.name, quota.code)),
        },
        Err(error) => {
            let denied = super::kind(&error) == Some(crate::cloud::ec2::refusal::RefusalKind::Permission);
            let finding = Finding::unknown(about, first_sentence(&chain(&error)));
            if denied {
                finding.hint(allow("servicequotas:GetServiceQuota", caller))
            } else {
                finding.hint(quota.console(cloud.region()))
            }
        }
    }
}

fn judge_quota(about: String, quota: Quota, allowed: f64, smallest: &Candidate, region: &str) -> Finding {
    let needs = smallest.vcpus;
    let said =
        format!("{allowed:.0} vCPUs of \"{}\" ({}); {} needs {needs}", quota.name, quota.code, smallest.name);
    if allowed >= f64::from(needs) {
        Finding::ok(about, said)
    } else {
        let until_then = if quota.is_of_gpus() {
            "\nUntil then a node with `gpu: none` runs what needs no GPU: it counts against another quota"
        } else {
            ""
        };
        Finding::failed(about, said).hint(format!(
            "ask for more:\n{}\nor at {}{until_then}",
            quota.command(region, needs),
            quota.console(region)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::State;

    fn settings(more: &str) -> Ec2Settings {
        crate::config::ec2::settings(more).unwrap()
    }

    #[test]
    fn a_price_is_held_against_what_the_user_would_pay() {
        let judged = |more: &str| {
            let told = Finding::ok("price, spot", "g6.xlarge at $0.40 an hour");
            judge_price(told, Usd(0.4), &settings(more))
        };
        assert_eq!(judged("").state, State::Ok);
        assert_eq!(judged("max-price: 0.40").state, State::Ok);
        assert_eq!(judged("max-price: 0.39").state, State::Failed);
        let lasts = judged("max-cost: 0.20");
        assert!(lasts.state == State::Ok && lasts.said.ends_with("max-cost $0.20 lasts 30m"), "{lasts:?}");
        assert_eq!(judged("max-cost: 0.05").state, State::Failed, "that is 7.5 minutes");
    }

    #[test]
    fn a_quota_that_the_smallest_type_exceeds_names_itself_and_the_command_that_raises_it() {
        let smallest = Candidate {
            name: "g6.xlarge".into(),
            processor: crate::cloud::ec2::candidates::Processor::X86_64,
            gpus: None,
            vcpus: 4,
            memory: gpu_suites::unit::ByteSize(16 << 30),
            on_demand: None,
            zones: vec!["us-east-1a".into()],
        };
        let quota = Quota::of("g6.xlarge", Purchase::Spot).unwrap();
        let judged = |allowed| judge_quota("quota, spot".into(), quota, allowed, &smallest, "us-east-1");
        assert_eq!((judged(4.0).state, judged(3.0).state), (State::Ok, State::Failed));
        let hint = judged(0.0).hint.unwrap();
        for said in ["L-3819A6DF", "--desired-value 4", "`gpu: none`"] {
            assert!(hint.contains(said), "{said} in {hint}");
        }
    }
}
