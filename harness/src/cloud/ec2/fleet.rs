//! What becomes of a fleet: an instance, or a no from every pool.
//!
//! A fleet of type `request` is answered at once and looks for capacity by itself; what it found, and what each pool
//! said, has to be asked for. One that is given up may have launched an instance in that very moment, so giving up is
//! never just going away.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{ActiveInstance, FleetActivityStatus, FleetStateCode, HistoryRecordEntry};
use backon::{ConstantBuilder, Retryable as _};
use gpu_suites::event::ResourceKind;
use tokio::time::{Instant, sleep};

use super::ask::{Pool, RequestedFleet};
use super::cloud::{Cloud, Ec2Error};
use super::kinds;
use super::observe;
use super::refusal::Refusal;
use super::refused::PoolRefusal;
use crate::cloud::error::Fault as _;
use crate::cloud::ledger::Ledger;
use crate::cloud::life::InstanceState;
use crate::cloud::provider::{End, EndState};

/// Between two looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));
/// The history is asked for from this long before the fleet was made: clocks are compared in whole seconds.
const BEFORE: i64 = 300;
/// How often giving up is tried again here; after that it is left to the release.
const RETRIES: usize = 2;

/// What became of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// It has launched this instance.
    Instance(String),
    Refused(Refused),
}

/// What each pool said. Whoever gets this has to [`abandon`] the fleet: it still looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// The answers; never empty.
    pub by_pool: Vec<PoolRefusal>,
}

/// Looks until there is an instance, every pool has refused, or the patience is at its end.
pub async fn follow(
    cloud: &Cloud,
    ledger: &Ledger,
    asked: &RequestedFleet,
    patience: Duration,
) -> Result<Followed, Ec2Error> {
    let until = Instant::now() + patience;
    let mut pause = PAUSE.0;
    loop {
        match Box::pin(look(cloud, ledger, asked)).await {
            Ok(FleetStatus { instance: Some(id), .. }) => return Ok(Followed::Instance(id)),
            Ok(seen) if seen.is_over(&asked.pools) => {
                return Ok(Followed::Refused(Refused { by_pool: seen.refused }));
            }
            Ok(seen) if Instant::now() >= until => {
                return Ok(Followed::Refused(Refused { by_pool: or_silence(seen.refused, patience) }));
            }
            // A fleet that is not known yet says nothing; whoever gives it up goes on looking for it.
            Err(error) if Instant::now() >= until && error.is_not_found() => {
                return Ok(Followed::Refused(Refused { by_pool: or_silence(Vec::new(), patience) }));
            }
            Err(error) if Instant::now() >= until || !(error.is_transient() || error.is_not_found()) => {
                return Err(error);
            }
            Ok(_) | Err(_) => {}
        }
        sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

struct FleetStatus {
    instance: Option<String>,
    refused: Vec<PoolRefusal>,
    says_error: bool,
}

impl FleetStatus {
    /// Whether nothing more is to be hoped for from this attempt.
    fn is_over(&self, pools: &[Pool]) -> bool {
        let said = |pool: &Pool| {
            self.refused.iter().any(|refused| {
                refused.instance_type.as_ref().is_none_or(|name| *name == pool.instance_type)
                    && refused.zone.as_ref().is_none_or(|zone| *zone == pool.zone)
            })
        };
        // What is too young to be known will be, and the fleet tries again.
        let is_settled = self.refused.iter().any(|refused| !refused.refusal.may_be_youth());
        is_settled && (self.says_error || pools.iter().all(said))
    }
}

async fn look(cloud: &Cloud, ledger: &Ledger, asked: &RequestedFleet) -> Result<FleetStatus, Ec2Error> {
    let since = DateTime::from_secs(asked.at.as_second() - BEFORE);
    let (instances, history, fleets) = tokio::join!(
        active(cloud, &asked.fleet),
        history(cloud, &asked.fleet, since),
        cloud.ec2().describe_fleets().fleet_ids(&asked.fleet).send(),
    );
    // An instance counts even where the other two calls fail.
    let mut first = None;
    for instance in &instances? {
        let Some(id) = instance.instance_id() else { continue };
        ledger.made(ResourceKind::INSTANCE, id, cloud.region());
        if let Some(request) = instance.spot_instance_request_id().filter(|id| !id.is_empty()) {
            ledger.made(kinds::SPOT_REQUEST, request, cloud.region());
        }
        first.get_or_insert_with(|| id.to_owned());
    }
    if first.is_some() {
        return Ok(FleetStatus { instance: first, refused: Vec::new(), says_error: false });
    }
    let history = history?;
    let fleets = fleets.map_err(|error| Ec2Error::of("DescribeFleets", &error))?;
    let status = fleets.fleets().first().and_then(|fleet| fleet.activity_status());
    Ok(FleetStatus {
        instance: None,
        refused: refusals(&history, &asked.pools),
        says_error: status == Some(&FleetActivityStatus::Error),
    })
}

/// What a fleet has launched. The SDK has no pages for this call and the next.
async fn active(cloud: &Cloud, fleet: &str) -> Result<Vec<ActiveInstance>, Ec2Error> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let asked = cloud.ec2().describe_fleet_instances().fleet_id(fleet).set_next_token(token).send().await;
        let answer = asked.map_err(|error| Ec2Error::of("DescribeFleetInstances", &error))?;
        all.extend(answer.active_instances.unwrap_or_default());
        token = answer.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// What a fleet tells of itself, the oldest first.
async fn history(cloud: &Cloud, fleet: &str, since: DateTime) -> Result<Vec<HistoryRecordEntry>, Ec2Error> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let asked = cloud.ec2().describe_fleet_history().fleet_id(fleet).start_time(since);
        let answer = asked.set_next_token(token).send().await;
        let answer = answer.map_err(|error| Ec2Error::of("DescribeFleetHistory", &error))?;
        all.extend(answer.history_records.unwrap_or_default());
        token = answer.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Silence is an answer too.
fn or_silence(refused: Vec<PoolRefusal>, patience: Duration) -> Vec<PoolRefusal> {
    if !refused.is_empty() {
        return refused;
    }
    let message = format!("the fleet launched nothing in {} s and says no reason", patience.as_secs());
    let refusal = Refusal::of("UnfulfillableCapacity", &message);
    vec![PoolRefusal { instance_type: None, zone: None, refusal }]
}

/// The refusals in a fleet's history, the newest of each pool.
fn refusals(history: &[HistoryRecordEntry], pools: &[Pool]) -> Vec<PoolRefusal> {
    let mut seen = BTreeSet::new();
    let newest_first = history.iter().rev().filter_map(|entry| {
        let kind = entry.event_type()?.as_str();
        let told = entry.event_information()?;
        let (sub_type, text) =
            (told.event_sub_type().unwrap_or_default(), told.event_description().unwrap_or_default());
        let is_refusal =
            kind.eq_ignore_ascii_case("error") || kind == "service-error" || sub_type == "launchSpecUnusable";
        is_refusal.then(|| read(sub_type, text, pools))
    });
    let mut newest: Vec<_> = newest_first
        .filter(|refused| seen.insert((refused.instance_type.clone(), refused.zone.clone())))
        .collect();
    newest.reverse();
    newest
}

/// One entry: `g6.xlarge, ami-1, Linux/UNIX, us-east-1a: InsufficientInstanceCapacity: …`. Where the text names no
/// code, the entry's own kind tells.
fn read(sub_type: &str, text: &str, pools: &[Pool]) -> PoolRefusal {
    let words: BTreeSet<&str> =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).collect();
    let named = |name: &str| words.contains(name);
    let refusal = Refusal::in_text(text).unwrap_or_else(|| {
        let code = match sub_type {
            "spotInstanceCountLimitExceeded" => "MaxSpotInstanceCountExceeded",
            "launchSpecTemporarilyBlacklisted" | "allLaunchSpecsTemporarilyBlacklisted" => {
                "UnfulfillableCapacity"
            }
            "launchSpecUnusable" if text.contains("less than Spot market price") => "SpotMaxPriceTooLow",
            "launchSpecUnusable" => "Unsupported",
            other => other,
        };
        Refusal::of(code, text)
    });
    PoolRefusal {
        instance_type: pools
            .iter()
            .find(|pool| named(&pool.instance_type))
            .map(|pool| pool.instance_type.clone()),
        zone: pools.iter().find(|pool| named(&pool.zone)).map(|pool| pool.zone.clone()),
        refusal,
    }
}

/// Gives a fleet up. What it launched all the same is written down and ended; what cannot be done now stays in the
/// ledger for the release.
pub async fn abandon(cloud: &Cloud, ledger: &Ledger, fleet: &str) -> Result<(), Ec2Error> {
    let pauses = ConstantBuilder::new().with_delay(PAUSE.1).with_max_times(RETRIES);
    let end = (|| end(cloud, fleet)).retry(pauses).when(Ec2Error::is_transient).await?;
    end.note(ledger, kinds::FLEET, fleet, (cloud.region(), cloud.now()));
    Ok(())
}

/// Ends a fleet, and tells what it has launched and whether it is gone.
pub(super) async fn end(cloud: &Cloud, fleet: &str) -> Result<End, Ec2Error> {
    delete(cloud, fleet).await?;
    // Only now can nothing more come: what there is is all, as soon as EC2 shows it.
    let (instances, state) = tokio::try_join!(observe::of_fleet(cloud, fleet), state(cloud, fleet))?;
    // `deleted` is said when its instances have ended, too; where some are shown that have not, one of both is late.
    let all_ended = instances.iter().all(|seen| seen.state == InstanceState::Terminated);
    let state = match state {
        Some(state @ (FleetStateCode::Deleted | FleetStateCode::Failed)) if all_ended => {
            EndState::Gone(state.as_str().to_owned())
        }
        Some(_) => EndState::Asked,
        None => EndState::NotShown,
    };
    Ok(End { state, instances })
}

/// Ends a fleet and everything that it launched. One that EC2 does not know may be too young: only its state tells that
/// it has ended.
async fn delete(cloud: &Cloud, fleet: &str) -> Result<(), Ec2Error> {
    let asked = cloud.ec2().delete_fleets().fleet_ids(fleet).terminate_instances(true).send().await;
    let answer = asked.map_err(|error| Ec2Error::of("DeleteFleets", &error))?;
    let refused = answer.unsuccessful_fleet_deletions().iter().find_map(|item| item.error());
    match refused.and_then(|error| Some((error.code()?.as_str(), error.message().unwrap_or_default()))) {
        Some((code, message)) if !matches!(code, "fleetIdDoesNotExist" | "fleetNotInDeletableState") => {
            Err(Ec2Error::refused("DeleteFleets", code, message).at(cloud.region()))
        }
        _ => Ok(()),
    }
}

/// A fleet's state; `None` where EC2 does not know it (yet, or any more).
async fn state(cloud: &Cloud, fleet: &str) -> Result<Option<FleetStateCode>, Ec2Error> {
    let asked = cloud.ec2().describe_fleets().fleet_ids(fleet).send().await;
    match asked.map_err(|error| Ec2Error::of("DescribeFleets", &error)) {
        Ok(answer) => Ok(answer.fleets().first().and_then(|fleet| fleet.fleet_state().cloned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{EventInformation, FleetEventType};

    use super::super::refusal::RefusalKind;
    use super::*;

    fn pool(instance_type: &str, zone: &str) -> Pool {
        Pool { instance_type: instance_type.into(), zone: zone.into(), subnet: "subnet-1".into() }
    }

    fn entry(kind: &str, sub_type: &str, text: &str) -> HistoryRecordEntry {
        let told = EventInformation::builder().event_sub_type(sub_type).event_description(text).build();
        HistoryRecordEntry::builder().event_type(FleetEventType::from(kind)).event_information(told).build()
    }

    #[test]
    fn each_pools_answer_is_read_from_the_fleets_history() {
        let pools = [
            pool("g6.xlarge", "us-east-1a"),
            pool("g6.xlarge", "us-east-1b"),
            pool("g5.xlarge", "us-east-1a"),
        ];
        let history = [
            entry("fleetRequestChange", "active", ""),
            entry(
                "error",
                "spotFleetRequestConfigurationInvalid",
                "g6.xlarge, ami-1, Linux/UNIX, us-east-1b: Unsupported: no",
            ),
            entry(
                "error",
                "x",
                "g6.xlarge, ami-1, Linux/UNIX, us-east-1a: InsufficientInstanceCapacity: none",
            ),
            entry(
                "error",
                "allLaunchSpecsTemporarilyBlacklisted",
                "Several attempts to launch instances have failed.",
            ),
            entry(
                "error",
                "x",
                "g6.xlarge, ami-1, Linux/UNIX, us-east-1b: VcpuLimitExceeded: You have requested more",
            ),
            entry(
                "Information",
                "launchSpecUnusable",
                "g5.xlarge, ami-1, Linux/UNIX, us-east-1a, Spot price in either LaunchTemplate or Overrides is less than \
                 Spot market price $0.5",
            ),
        ];
        let read = refusals(&history, &pools);
        let told = Vec::from_iter(read.iter().map(|refused| {
            (refused.instance_type.as_deref(), refused.zone.as_deref(), refused.refusal.kind)
        }));
        let wanted = [
            (Some("g6.xlarge"), Some("us-east-1a"), RefusalKind::Capacity),
            (None, None, RefusalKind::Capacity),
            (Some("g6.xlarge"), Some("us-east-1b"), RefusalKind::Quota),
            (Some("g5.xlarge"), Some("us-east-1a"), RefusalKind::Price),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn it_is_over_when_every_pool_has_refused_and_no_sooner() {
        let pools = [pool("g6.xlarge", "us-east-1a"), pool("g6.xlarge", "us-east-1b")];
        let said = |text: &str| read("error", text, &pools);
        let one = said("g6.xlarge, ami-1, Linux/UNIX, us-east-1a: InsufficientInstanceCapacity: none");
        let other = said("g6.xlarge, ami-1, Linux/UNIX, us-east-1b: InsufficientInstanceCapacity: none");
        let seen = |refused, says_error| FleetStatus { instance: None, refused, says_error };
        assert!(!seen(vec![], true).is_over(&pools));
        assert!(!seen(vec![one.clone()], false).is_over(&pools));
        assert!(seen(vec![one.clone()], true).is_over(&pools));
        assert!(seen(vec![one, other], false).is_over(&pools));
        let young =
            said("g6.xlarge, ami-1, Linux/UNIX, us-east-1a: InvalidGroup.NotFound: sg-1 does not exist");
        assert!(!seen(vec![young], true).is_over(&pools));
    }
}
