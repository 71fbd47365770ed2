//! How everything that was made for a node is given back, and how that is proved.
//!
//! A thing is gone when the cloud has shown its end ([`Evidence`]): a final state, a deletion that was carried out, or
//! no sight of it through five minutes of asking. One look that does not find it proves nothing. What fails is tried
//! again until the node's end, at which the cloud ends it by itself; what is there even then, or may be, is told, and
//! never called gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use gpu_suites::event::ResourceKind;
use jiff::Timestamp;
use tokio::time::sleep;

use super::error::CloudError;
use super::kind::{Goes, which};
use super::ledger::{Evidence, Ledger, UnconfirmedCall};
use super::life::InstanceState;
use super::observe::{self, InstanceSeen};
use super::provider::{End, EndState, Provider};
use crate::text::chain;

/// Between two rounds, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(4));
/// A no that does not pass by itself, such as a missing permission, is heard this often before it is believed.
const REFUSALS: u32 = 5;
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
    pub resource: ResourceKind,
    /// The cloud's name for it; for a call that was never answered, what it would be found by.
    pub id: String,
    pub why: String,
    /// Whether nobody knows if it was ever made: the call that was to make it was never answered.
    pub is_in_doubt: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub instance: String,
    pub launched_at: Timestamp,
    /// When it began to end, by the cloud's account.
    pub ended_at: Timestamp,
}

impl Bill {
    /// How long it was there from a time on, or from its launch, if that was later.
    pub fn since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.launched_at.max(at).duration_until(self.ended_at)).unwrap_or_default()
    }

    pub fn lasted(&self) -> Duration {
        self.since(self.launched_at)
    }
}

/// What an instance that is there needs no longer is ended at once: it may hold the instance's keys.
pub async fn drop_what_launched(cloud: &dyn Provider, ledger: &Ledger) -> Result<(), CloudError> {
    for kind in which(cloud.kinds(), |goes| goes == Goes::OnceLaunched) {
        for id in ledger.left_of(kind) {
            let end = cloud.end(kind, &id).await?;
            end.note(ledger, kind, &id, (cloud.region(), cloud.now()));
        }
    }
    Ok(())
}

/// Gives back everything in the ledger; returns when all is gone, when the rest is refused for good, or at `deadline` by
/// the cloud's clock.
pub async fn release(cloud: &dyn Provider, ledger: &Ledger, deadline: Timestamp) -> Released {
    let mut release = Release {
        cloud,
        ledger,
        refusals: BTreeMap::new(),
        deleted: BTreeSet::new(),
        bills: BTreeMap::new(),
    };
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
    cloud: &'a dyn Provider,
    ledger: &'a Ledger,
    /// Why a thing is still there, and how often a no was heard that does not pass.
    refusals: BTreeMap<Key, (String, u32)>,
    /// What the cloud has said that it would delete.
    deleted: BTreeSet<String>,
    bills: BTreeMap<String, Bill>,
}

impl Release<'_> {
    /// What makes things goes first, what others use last.
    async fn round(&mut self) {
        self.clear_up().await;
        for kind in which(self.cloud.kinds(), Goes::is_before) {
            self.end_all(kind).await;
        }
        self.instances().await;
        if self.ledger.left_of(ResourceKind::INSTANCE).is_empty() {
            for kind in which(self.cloud.kinds(), Goes::is_after) {
                self.end_all(kind).await;
            }
        }
    }

    /// Looks what the calls have made whose answers never came.
    async fn clear_up(&mut self) {
        for doubt in self.ledger.doubts() {
            let UnconfirmedCall { resource, by } = &doubt;
            let traces = match self.cloud.traces(&doubt).await {
                Ok(traces) => traces,
                Err(error) => {
                    self.failed(*resource, by, &error);
                    continue;
                }
            };
            for instance in &traces.instances {
                instance.note(self.ledger, self.cloud.region());
            }
            if traces.ids.is_empty() {
                self.ledger.made_nothing(&doubt, self.cloud.now());
                continue;
            }
            for id in &traces.ids {
                self.ledger.made(*resource, id, self.cloud.region());
            }
            self.ledger.is_cleared(&doubt);
        }
    }

    async fn end_all(&mut self, kind: ResourceKind) {
        let (cloud, ids) = (self.cloud, self.ledger.left_of(kind));
        let ended = join_all(ids.iter().map(|id| cloud.end(kind, id))).await;
        for (id, ended) in ids.iter().zip(ended) {
            let mut end = match ended {
                Ok(end) => end,
                Err(error) => {
                    self.failed(kind, id, &error);
                    continue;
                }
            };
            match &end.state {
                EndState::NotShown => end.state = self.absence(id),
                EndState::Deleted => {
                    self.deleted.insert(id.clone());
                }
                EndState::Waits(why) => {
                    self.refusals.entry((kind, id.clone())).or_default().0.clone_from(why);
                }
                EndState::Refused(error) => self.failed(kind, id, error),
                EndState::Gone(_) | EndState::Asked => {}
            }
            end.note(self.ledger, kind, id, (cloud.region(), cloud.now()));
        }
    }

    /// What it says of a thing that it is not shown: one whose end has begun is gone, and any other may be too young.
    fn absence(&self, id: &str) -> EndState {
        if self.deleted.contains(id) {
            EndState::Gone("deleted".to_owned())
        } else if self.ledger.went_with_its_instance(id) {
            EndState::Gone("deleted with its instance".to_owned())
        } else {
            EndState::NotShown
        }
    }

    async fn instances(&mut self) {
        let ids = self.ledger.left_of(ResourceKind::INSTANCE);
        let seen = match observe::instances(self.cloud, &ids).await {
            Ok(seen) => seen,
            Err(error) => {
                self.all_failed(ResourceKind::INSTANCE, &error);
                Vec::new()
            }
        };
        for instance in &seen {
            instance.note(self.ledger, self.cloud.region());
            self.bill(instance);
        }
        // Also those that were not seen: an API that tells nothing may still end something.
        let due = ids.iter().filter(|id| !seen.iter().any(|seen| seen.id == **id && seen.ends));
        let cloud = self.cloud;
        let asked =
            join_all(due.map(|id| async move { (id, cloud.end(ResourceKind::INSTANCE, id).await) })).await;
        for (id, asked) in asked {
            match asked {
                Ok(End { state: EndState::NotShown, .. }) => {
                    self.ledger.heard(ResourceKind::INSTANCE, id, Evidence::Absent(self.cloud.now()));
                }
                Ok(End { state: EndState::Refused(error), .. }) | Err(error) => {
                    self.failed(ResourceKind::INSTANCE, id, &error);
                }
                Ok(_) => {}
            }
        }
        for instance in seen {
            if instance.state == InstanceState::Terminated {
                let ended = Evidence::Ended(&instance.state_name);
                self.ledger.heard(ResourceKind::INSTANCE, &instance.id, ended);
            } else {
                let key = (ResourceKind::INSTANCE, instance.id);
                self.refusals.entry(key).or_insert_with(|| (format!("it is {}", instance.state_name), 0));
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

    fn all_failed(&mut self, resource: ResourceKind, error: &CloudError) {
        for id in self.ledger.left_of(resource) {
            self.failed(resource, &id, error);
        }
    }

    fn failed(&mut self, resource: ResourceKind, id: &str, error: &CloudError) {
        let passes = error.is_transient() || error.is_busy() || error.is_not_found();
        let no = self.refusals.entry((resource, id.to_owned())).or_default();
        no.0 = chain(error);
        no.1 += u32::from(!passes);
    }

    /// Whether each thing that is left was refused for good.
    fn is_hopeless(&self) -> bool {
        let refused = |key: &Key| self.refusals.get(key).is_some_and(|(_, refusals)| *refusals >= REFUSALS);
        let left = self.ledger.left().into_iter().map(|made| (made.resource, made.id));
        let keys: Vec<Key> =
            left.chain(self.ledger.doubts().into_iter().map(|doubt| (doubt.resource, doubt.by))).collect();
        !keys.is_empty()
            && keys.iter().all(|key| refused(key) || self.waits_for_a_refused_one(key.0, &refused))
    }

    /// What goes last waits for its instance.
    fn waits_for_a_refused_one(&self, resource: ResourceKind, refused: &dyn Fn(&Key) -> bool) -> bool {
        let waits = which(self.cloud.kinds(), Goes::is_after).any(|kind| kind == resource);
        let instances = self.ledger.left_of(ResourceKind::INSTANCE);
        waits && instances.into_iter().any(|id| refused(&(ResourceKind::INSTANCE, id)))
    }

    fn told(self) -> Released {
        let why = |resource, id: &str| match self.refusals.get(&(resource, id.to_owned())) {
            _ if self.ledger.is_absent(resource, id) => {
                "the cloud does not show it, which proves nothing of a thing \
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
            let tried = self.refusals.get(&(doubt.resource, doubt.by.clone()));
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
