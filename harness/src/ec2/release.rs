//! How everything that was made for a node is given back, and how that is proved.
//!
//! A thing is gone when the cloud has shown its end ([`Evidence`]): a final state, a deletion that was carried out, or
//! no sight of it through five minutes of asking. One look that does not find it proves nothing. What fails is tried
//! again until the node's end, at which the cloud ends it by itself; what is there even then, or may be, is told, and
//! never called gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::types::Filter;
use futures_util::future::join_all;
use gpu_suites::event::ResourceKind;
use jiff::Timestamp;
use tokio::time::sleep;

use super::cloud::{Cloud, CloudError};
use super::doubts::clear_up;
use super::fleet;
use super::ledger::{Evidence, Ledger};
use super::life::InstanceState;
use super::observe::{self, InstanceSeen};
use crate::failure::chain;

/// Between two rounds, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(4));
/// A no that does not pass by itself, such as a missing permission, is heard this often before it is believed.
const NOES: u32 = 5;
/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Released {
    /// What is still there, as far as anybody knows.
    pub left: Vec<Leftover>,
    /// For how long each instance was paid.
    pub bills: Vec<Bill>,
}

/// A thing that is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub resource: ResourceKind,
    /// The cloud's name for it; for a call that was never answered, what it would be found by.
    pub id: String,
    /// Why it is still there.
    pub why: String,
    /// Whether nobody knows if it was ever made: the call that was to make it was never answered.
    pub is_in_doubt: bool,
}

/// What an instance is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The instance.
    pub instance: String,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// When it began to end, by the cloud's account.
    pub ended_at: Timestamp,
}

impl Bill {
    /// How long it was there from a time on, or from its launch, if that was later.
    pub fn since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.launched_at.max(at).duration_until(self.ended_at)).unwrap_or_default()
    }

    /// How long that is.
    pub fn lasted(&self) -> Duration {
        self.since(self.launched_at)
    }
}

/// Deletes the launch templates, which an instance that is there needs no longer.
pub async fn drop_template(cloud: &Cloud, ledger: &Ledger) -> Result<(), CloudError> {
    for id in ledger.left_of(ResourceKind::LaunchTemplate) {
        let asked = cloud.ec2().delete_launch_template().launch_template_id(&id).send().await.map(drop);
        let asked = asked.map_err(|error| CloudError::of("DeleteLaunchTemplate", &error));
        ledger.heard(ResourceKind::LaunchTemplate, &id, deleted(cloud, asked)?);
    }
    Ok(())
}

/// Gives back everything in the ledger; returns when all is gone, when the rest is refused for good, or at `deadline` by
/// the cloud's clock.
pub async fn release(cloud: &Cloud, ledger: &Ledger, deadline: Timestamp) -> Released {
    let mut release =
        Release { cloud, ledger, noes: BTreeMap::new(), deleted: BTreeSet::new(), bills: BTreeMap::new() };
    let mut pause = PAUSE.0;
    loop {
        release.round().await;
        if ledger.is_clear() || release.is_hopeless() || cloud.now() >= deadline {
            return release.told();
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

type Key = (ResourceKind, String);

struct Release<'a> {
    cloud: &'a Cloud,
    ledger: &'a Ledger,
    /// Why a thing is still there, and how often a no was heard that does not pass.
    noes: BTreeMap<Key, (String, u32)>,
    /// The volumes whose deletion EC2 has said that it would carry out.
    deleted: BTreeSet<String>,
    bills: BTreeMap<String, Bill>,
}

impl Release<'_> {
    /// What makes things goes first, what others use last.
    async fn round(&mut self) {
        let doubts = clear_up(self.cloud, self.ledger).await;
        let fleets = self.ledger.left_of(ResourceKind::Fleet);
        let ended = join_all(fleets.iter().map(|id| fleet::end(self.cloud, self.ledger, id))).await;
        let template = drop_template(self.cloud, self.ledger).await;
        for (doubt, error) in doubts {
            self.failed(doubt.resource, &doubt.by, &error);
        }
        for (id, ended) in fleets.iter().zip(ended) {
            self.note(ResourceKind::Fleet, id, ended);
        }
        if let Err(error) = template {
            for id in self.ledger.left_of(ResourceKind::LaunchTemplate) {
                self.failed(ResourceKind::LaunchTemplate, &id, &error);
            }
        }
        self.instances().await;
        if self.ledger.left_of(ResourceKind::Instance).is_empty() {
            self.spot_requests().await;
            self.volumes().await;
            self.security_groups().await;
        }
    }

    async fn instances(&mut self) {
        let ids = self.ledger.left_of(ResourceKind::Instance);
        let seen = match observe::instances(self.cloud, &ids).await {
            Ok(seen) => seen,
            Err(error) => {
                self.all_failed(ResourceKind::Instance, &error);
                Vec::new()
            }
        };
        for instance in &seen {
            instance.note(self.ledger, self.cloud.region());
            self.bill(instance);
        }
        // Also those that were not seen: an API that tells nothing may still end something.
        let ends = |seen: &InstanceSeen| matches!(seen.state_name.as_str(), "shutting-down" | "terminated");
        let due = ids.iter().filter(|id| !seen.iter().any(|seen| seen.id == **id && ends(seen)));
        let cloud = self.cloud;
        let asked = join_all(due.map(|id| async move { (id, terminate(cloud, id).await) })).await;
        for (id, asked) in asked {
            match asked {
                Err(error) if error.is_not_found() => {
                    self.ledger.heard(ResourceKind::Instance, id, Evidence::Absent(self.cloud.now()));
                }
                Err(error) => self.failed(ResourceKind::Instance, id, &error),
                Ok(()) => {}
            }
        }
        for instance in seen {
            if instance.state == InstanceState::Terminated {
                let ended = Evidence::Ended(&instance.state_name);
                self.ledger.heard(ResourceKind::Instance, &instance.id, ended);
            } else {
                let key = (ResourceKind::Instance, instance.id);
                self.noes.entry(key).or_insert_with(|| (format!("it is {}", instance.state_name), 0));
            }
        }
    }

    /// The end counts from the first sight of it, unless the cloud says when.
    fn bill(&mut self, seen: &InstanceSeen) {
        let now = self.cloud.now();
        let launched_at = seen.launched_at.unwrap_or(now);
        let bill = self.bills.entry(seen.id.clone()).or_insert_with(|| Bill {
            instance: seen.id.clone(),
            launched_at,
            ended_at: now,
        });
        match (seen.state, seen.ended_at) {
            (InstanceState::Pending | InstanceState::Running, _) => bill.ended_at = now,
            (_, Some(ended_at)) => bill.ended_at = ended_at,
            (_, None) => {}
        }
    }

    async fn spot_requests(&mut self) {
        let kind = ResourceKind::SpotRequest;
        let ids = self.ledger.left_of(kind);
        if ids.is_empty() {
            return;
        }
        let filter = Filter::builder().name("spot-instance-request-id").set_values(Some(ids.clone())).build();
        let asked = self.cloud.ec2().describe_spot_instance_requests().filters(filter);
        let asked = asked.into_paginator().items().send().try_collect().await;
        let shown = match asked.map_err(|error| CloudError::of("DescribeSpotInstanceRequests", &error)) {
            Ok(shown) => shown,
            Err(error) => return self.all_failed(kind, &error),
        };
        let state = |id: &str| {
            let mut requests = shown.iter();
            let found = requests.find(|request| request.spot_instance_request_id() == Some(id));
            found.map(|request| request.state().map_or("unknown", |state| state.as_str()))
        };
        for id in &ids {
            match state(id) {
                None => self.ledger.heard(kind, id, Evidence::Absent(self.cloud.now())),
                Some(word @ ("closed" | "cancelled" | "failed")) => {
                    self.ledger.heard(kind, id, Evidence::Ended(word));
                }
                // Its instance has ended: it is about to close, or would have another launched.
                Some(_) => {
                    self.ledger.heard(kind, id, Evidence::Shown);
                    let call = self.cloud.ec2().cancel_spot_instance_requests().spot_instance_request_ids(id);
                    let asked = call.send().await.map(drop);
                    let asked = asked.map_err(|error| CloudError::of("CancelSpotInstanceRequests", &error));
                    self.note(kind, id, asked);
                }
            }
        }
    }

    async fn volumes(&mut self) {
        let kind = ResourceKind::Volume;
        let ids = self.ledger.left_of(kind);
        if ids.is_empty() {
            return;
        }
        let filter = Filter::builder().name("volume-id").set_values(Some(ids.clone())).build();
        let asked = self.cloud.ec2().describe_volumes().filters(filter);
        let asked = asked.into_paginator().items().send().try_collect().await;
        let shown = match asked.map_err(|error| CloudError::of("DescribeVolumes", &error)) {
            Ok(shown) => shown,
            Err(error) => return self.all_failed(kind, &error),
        };
        for id in &ids {
            let found = shown.iter().find(|volume| volume.volume_id() == Some(id));
            match found.map(|volume| volume.state().map_or("unknown", |state| state.as_str())) {
                None => self.ledger.heard(kind, id, self.absence(id)),
                Some("deleted") => self.ledger.heard(kind, id, Evidence::Ended("deleted")),
                // It should have gone with its instance.
                Some("available" | "error") => {
                    let asked = self.cloud.ec2().delete_volume().volume_id(id).send().await.map(drop);
                    let asked = asked.map_err(|error| CloudError::of("DeleteVolume", &error));
                    if asked.is_ok() {
                        self.deleted.insert(id.clone());
                    }
                    self.ledger.heard(kind, id, Evidence::Shown);
                    self.note(kind, id, asked);
                }
                Some(_) => self.ledger.heard(kind, id, Evidence::Shown),
            }
        }
    }

    /// What it says of a volume that it is not shown: one whose end has begun is gone, and any other may be too young.
    fn absence(&self, volume: &str) -> Evidence<'static> {
        if self.deleted.contains(volume) {
            Evidence::Ended("deleted")
        } else if self.ledger.went_with_its_instance(volume) {
            Evidence::Ended("deleted with its instance")
        } else {
            Evidence::Absent(self.cloud.now())
        }
    }

    async fn security_groups(&mut self) {
        let kind = ResourceKind::SecurityGroup;
        for id in self.ledger.left_of(kind) {
            let asked = self.cloud.ec2().delete_security_group().group_id(&id).send().await.map(drop);
            let asked = asked.map_err(|error| CloudError::of("DeleteSecurityGroup", &error));
            if matches!(&asked, Err(error) if error.is_busy()) {
                // Something lives in it that nobody has told of yet.
                match observe::of_group(self.cloud, &id).await {
                    Ok(seen) => {
                        for seen in &seen {
                            seen.note(self.ledger, self.cloud.region());
                        }
                    }
                    Err(error) => self.failed(kind, &id, &error),
                }
            }
            match deleted(self.cloud, asked) {
                Ok(evidence) => self.ledger.heard(kind, &id, evidence),
                Err(error) => self.failed(kind, &id, &error),
            }
        }
    }

    fn note(&mut self, resource: ResourceKind, id: &str, asked: Result<(), CloudError>) {
        if let Err(error) = asked {
            self.failed(resource, id, &error);
        }
    }

    fn all_failed(&mut self, resource: ResourceKind, error: &CloudError) {
        for id in self.ledger.left_of(resource) {
            self.failed(resource, &id, error);
        }
    }

    fn failed(&mut self, resource: ResourceKind, id: &str, error: &CloudError) {
        let passes = error.is_transient() || error.is_busy() || error.is_not_found();
        let no = self.noes.entry((resource, id.to_owned())).or_default();
        no.0 = chain(error);
        no.1 += u32::from(!passes);
    }

    /// Whether each thing that is left was refused for good.
    fn is_hopeless(&self) -> bool {
        let refused = |key: &Key| self.noes.get(key).is_some_and(|(_, noes)| *noes >= NOES);
        let left = self.ledger.left().into_iter().map(|made| (made.resource, made.id));
        let keys: Vec<Key> =
            left.chain(self.ledger.doubts().into_iter().map(|doubt| (doubt.resource, doubt.by))).collect();
        !keys.is_empty()
            && keys.iter().all(|key| refused(key) || self.waits_for_a_refused_one(key.0, &refused))
    }

    /// A security group, volume or spot request waits for its instance.
    fn waits_for_a_refused_one(&self, resource: ResourceKind, refused: &dyn Fn(&Key) -> bool) -> bool {
        let waits = [ResourceKind::SecurityGroup, ResourceKind::Volume, ResourceKind::SpotRequest]
            .contains(&resource);
        let instances = self.ledger.left_of(ResourceKind::Instance);
        waits && instances.into_iter().any(|id| refused(&(ResourceKind::Instance, id)))
    }

    fn told(self) -> Released {
        let why = |resource, id: &str| match self.noes.get(&(resource, id.to_owned())) {
            _ if self.ledger.is_absent(resource, id) => {
                "EC2 does not show it, which proves nothing of a thing \
                that was made minutes ago: whether it is gone is not known"
                    .to_owned()
            }
            Some((why, _)) => why.clone(),
            None => "it was asked to go, and the cloud still shows it".to_owned(),
        };
        let left = self.ledger.left().into_iter().map(|made| Leftover {
            why: why(made.resource, &made.id),
            resource: made.resource,
            id: made.id,
            is_in_doubt: false,
        });
        let doubts = self.ledger.doubts().into_iter().map(|doubt| {
            let tried = self.noes.get(&(doubt.resource, doubt.by.clone()));
            let tried = tried.map_or("nothing is to be found of it", |(why, _)| why.as_str());
            Leftover {
                why: format!(
                    "the call that was to make it was never answered, and whether it was made is not known: {tried}"
                ),
                resource: doubt.resource,
                id: doubt.by,
                is_in_doubt: true,
            }
        });
        Released { left: left.chain(doubts).collect(), bills: self.bills.into_values().collect() }
    }
}

/// What a deleting call says of the thing: carried out, it is gone.
fn deleted(cloud: &Cloud, asked: Result<(), CloudError>) -> Result<Evidence<'static>, CloudError> {
    match asked {
        Ok(()) => Ok(Evidence::Ended("deleted")),
        Err(error) if error.is_not_found() => Ok(Evidence::Absent(cloud.now())),
        Err(error) => Err(error),
    }
}

/// Ends an instance at once: without `Force` and `SkipOsShutdown`, EC2 waits for its system to shut down, and bills for
/// that. Where it does not take the two (they came in 2025, and not to every partition and instance type), it is asked
/// without them.
pub(super) async fn terminate(cloud: &Cloud, id: &str) -> Result<(), CloudError> {
    let call = cloud.ec2().terminate_instances().instance_ids(id);
    let at_once = call.clone().force(true).skip_os_shutdown(true).send().await.map(drop);
    match at_once.map_err(|error| CloudError::of("TerminateInstances", &error)) {
        Err(error) if error.is_about_parameters() => {
            let asked = call.send().await.map(drop);
            asked.map_err(|error| CloudError::of("TerminateInstances", &error))
        }
        ended => ended,
    }
}
