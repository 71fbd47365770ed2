//! How a run takes over the node of the run before it, and hands its own on to the one after it.
//!
//! [`super::reuse`] says whose turn it is and keeps the node's file; here the node changes hands. At every moment it is
//! in exactly one of three places: in the ledger of a run that lives, in the file, or in nobody's hands, which is where
//! a run that was killed leaves it, and where its own end and the cloud's take it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gpu_suites::event::{Cost, HandedOn, Node as NodeEvent, NodeState, TakenOver, Waiting, Warning};
use gpu_suites::id::RunId;
use gpu_suites::unit::Span;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::consistency::CONSISTENT;
use super::error::CloudError;
use super::keys::NodeKeys;
use super::ledger::Ledger;
use super::life::InstanceState;
use super::limits::still_needed;
use super::observe::{self, InstanceSeen};
use super::provider::Region;
use super::providers;
use super::provision::books::{Book, SETTLE};
use super::provision::lead_up::Instance;
use super::provision::{Provision, signed};
use super::provisioned::ProvisionedNode;
use super::reuse::{self, Job, LeftNode, Turn};
use super::{Usd, meter};
use crate::text::chain;

/// How often a run looks whether it is its turn.
const LOOK: Duration = Duration::from_millis(250);
/// How often a person is told that it is not.
const TELL: Duration = Duration::from_secs(15);
/// A node that has just been used answers at once; in this time it may also have lost its way for a moment.
pub(super) const REACHED: Duration = Duration::from_secs(3 * 60);
/// A node that a part of the cloud does not show is asked for as long: by then its lease is nearly over.
const SHOWN: SignedDuration = SignedDuration::from_mins(3);

impl Provision {
    /// Where the runs of the job take turns: waits for this one's, and takes over the node that was left to it.
    /// `None`: the run has to have its own.
    pub(super) async fn take_over(&mut self) -> Option<ProvisionedNode> {
        let job = self.order.job.take()?;
        self.turn = self.await_turn(&job).await.unwrap_or_else(|error| {
            self.warn(format!("cannot take turns with other runs of this job: {error}"));
            None
        });
        let left = match self.turn.as_ref()?.node() {
            Ok(left) => left?,
            Err(error) => {
                self.warn(format!("what the run before says of its node cannot be read: {error}"));
                None?
            }
        };
        let instance = left.instance.clone();
        match self.adopt(left).await {
            Ok(ready) => Some(ready),
            Err(why) => {
                self.warn(format!("{instance}, which the run before has left, is not used: {why}"));
                None
            }
        }
    }

    async fn await_turn(&self, job: &Job) -> io::Result<Option<Turn>> {
        if let Some(turn) = job.turn()? {
            return Ok(Some(turn));
        }
        let _place = job.wait()?;
        let (begun, mut told) = (Instant::now(), None);
        let node = &self.order.node.name;
        loop {
            let left = self.order.settings.wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let waited = Span(begun.elapsed());
                self.warn(format!(
                    "another run of this job has used node {node} for {waited}: this run has its own"
                ));
                return Ok(None);
            }
            if told.is_none_or(|told: Instant| told.elapsed() >= TELL) {
                told = Some(Instant::now());
                let until = Timestamp::now().saturating_add(signed(left)).unwrap_or(Timestamp::MAX);
                let reason = format!("another run of this job uses node {node}");
                self.tell(Waiting {
                    node: node.clone(),
                    reason,
                    seconds: TELL.min(left).as_secs_f64(),
                    until,
                });
            }
            sleep(LOOK.min(left)).await;
            if let Some(turn) = job.turn()? {
                return Ok(Some(turn));
            }
        }
    }

    /// Makes the node this run's, and leads it up; one that will not do is given back.
    async fn adopt(&mut self, left: LeftNode) -> Result<ProvisionedNode, String> {
        let cloud = self.cloud_of(&left).await?;
        let seen = observe::instances(&*cloud, std::slice::from_ref(&left.instance)).await;
        // From here to the ledger there is no waiting: nobody can drop this in between, and the file tells of it until
        // the ledger does.
        // One that the cloud does not show may only not be known yet; past its end it is no more.
        let is_over = cloud.now() > left.expires_at.saturating_add(CONSISTENT).unwrap_or(Timestamp::MAX);
        let is_there = !(is_over && matches!(&seen, Ok(seen) if seen.is_empty()));
        let Some(ledger) = self.take(&left, &cloud, is_there) else {
            return Err("it no longer exists".to_owned());
        };
        let (instance, run) = (left.instance.clone(), left.run.clone());
        self.tell(TakenOver { node: self.order.node.name.clone(), instance, run });
        let seen = match seen {
            Ok(seen) if seen.is_empty() => observe::within(&*cloud, &left.instance, SHOWN).await,
            seen => seen.map(|seen| seen.into_iter().next()),
        };
        let led = match seen {
            Ok(Some(seen)) => self.lead_on(&left, &cloud, &ledger, seen).await,
            Ok(None) => Err(format!("the cloud does not show it through {} minutes", SHOWN.as_mins())),
            Err(error) => Err(chain(&error)),
        };
        if led.is_err() {
            self.books.give_back(&ledger, left.expires_at);
        }
        led
    }

    async fn cloud_of(&self, left: &LeftNode) -> Result<Region, String> {
        if let Some(cloud) = self.clouds.iter().find(|cloud| cloud.region() == left.region) {
            return Ok(cloud.clone());
        }
        let connected = providers::connect_in(&self.order.settings, Some(&left.region)).await;
        connected.map_err(|error| chain(&error))
    }

    /// Moves what belongs to the node from the file into a ledger, where the node is there.
    fn take(&mut self, left: &LeftNode, cloud: &Region, is_there: bool) -> Option<Ledger> {
        let ledger = is_there.then(|| self.books.open(cloud.clone()));
        for (resource, id) in left.resources.iter().filter(|_| is_there) {
            ledger.as_ref()?.made(*resource, id, &left.region);
        }
        if let Some(Err(error)) = self.turn.as_ref().map(Turn::forget) {
            // No other run reads it while this one has the turn.
            self.warn(format!("failed to remove the file that tells of {}: {error}", left.instance));
        }
        ledger
    }

    /// Begins to give back the node that was left to a run that does not come; gives its name.
    pub(super) async fn give_back_left(&mut self) -> Option<String> {
        let job = self.order.job.take()?;
        // Where another run has the turn, the node is its affair.
        self.turn = job.turn().ok().flatten();
        let left = self.turn.as_ref()?.node().ok().flatten()?;
        match self.cloud_of(&left).await {
            Ok(cloud) => {
                if let Some(ledger) = self.take(&left, &cloud, true) {
                    self.books.give_back(&ledger, left.expires_at);
                }
            }
            Err(why) => self.warn(format!("{} is left until its own end: {why}", left.instance)),
        }
        Some(left.instance.clone())
    }

    /// From a node that the cloud shows to one that can be used.
    async fn lead_on(
        &mut self,
        left: &LeftNode,
        cloud: &Region,
        ledger: &Ledger,
        seen: InstanceSeen,
    ) -> Result<ProvisionedNode, String> {
        let now = cloud.now();
        let order = &self.order;
        let needed = still_needed(&order.settings, order.work).saturating_add(order.keep);
        // It has run already: what shows it as pending has not heard of that yet.
        if !matches!(seen.state, InstanceState::Pending | InstanceState::Running) {
            return Err(format!("it is {}", seen.state_name));
        }
        let lasts = lasts(left.expires_at, now);
        if lasts < needed {
            return Err(format!("it lives for another {}; this run may need {}", Span(lasts), Span(needed)));
        }
        let price = left.usd_per_hour.and_then(|usd| Usd::try_from(usd).ok());
        if let (Some(limit), None) = (order.settings.max_cost, price) {
            return Err(format!("nobody knows its price, and the run may cost {limit}"));
        }
        let keys = NodeKeys::of_running(&left.client_key, &left.host_key).map_err(|error| chain(&error))?;
        let keys = Arc::new(keys);
        seen.note(ledger, cloud.region());
        if let Some(book) = self.books.get_mut(ledger) {
            book.made_by = Some(left.run.clone());
        }
        self.tell(NodeEvent {
            node: self.order.node.name.clone(),
            state: NodeState::Requested,
            detail: format!("{} of run {}", seen.id, left.run),
        });
        let instance = Instance {
            cloud: cloud.clone(),
            ledger: ledger.clone(),
            seen,
            keys,
            per_hour: price,
            since: now,
            asked_at: now,
            gpus: left.gpus.clone(),
            expires_at: left.expires_at,
            boot_timeout: order.settings.boot_timeout.min(REACHED),
        };
        self.lead_up(instance).await.map_err(|error| chain(&error))
    }

    /// Leaves the node to the next run, where one waits for it and it lives for long enough; else the node comes back.
    pub async fn hand_on(&mut self, mut ready: ProvisionedNode) -> Option<ProvisionedNode> {
        if !self.is_awaited() || !ready.ledger.settle(SETTLE).await || !ready.ledger.doubts().is_empty() {
            return Some(ready);
        }
        let now = ready.cloud.now();
        let left = lasts(ready.expires_at, now);
        if left < still_needed(&self.order.settings, self.order.work) {
            return Some(ready);
        }
        if self.turn.is_none() {
            return Some(ready);
        }
        // Where the next run does not come, the node ends.
        let bound = self.order.pause.saturating_add(self.order.node.lease);
        if let Err(why) = ready.leave(&self.order.settings, bound).await {
            self.warn(format!("{} is not handed on but given back: {why}", ready.instance()));
            return Some(ready);
        }
        let (Some(turn), Some(book)) = (&self.turn, self.books.get(&ready.ledger)) else {
            return Some(ready);
        };
        let node = left_node(&ready, book, &self.order.labels.run);
        if let Err(error) = turn.leave(&node) {
            self.warn(format!("{} is not handed on but given back: {error}", node.instance));
            return Some(ready);
        }
        // From here on the node is the next run's, which gives it back.
        let book = self.books.take(&ready.ledger);
        self.books.meter.end(&node.instance, now);
        let (name, instance) = (self.order.node.name.clone(), node.instance.clone());
        if let Some(price) = book.and_then(|book| book.price) {
            let lasted = lasts(now, price.since);
            let usd = price.per_hour.map(|usd| meter::bill(lasted, usd));
            let (node, instance) = (name.clone(), instance.clone());
            self.tell(Cost { node, instance, seconds: lasted.as_secs_f64(), usd });
        }
        let resources = node.resources.iter().map(|(_, id)| id.clone()).collect();
        self.tell(HandedOn { node: name, instance, resources, until: ready.expires_at });
        // The connection is closed before another run has the turn.
        drop(ready);
        self.turn = None;
        None
    }

    fn is_awaited(&self) -> bool {
        let awaited = self.turn.as_ref().map(Turn::is_awaited);
        awaited.is_some_and(|awaited| {
            awaited.unwrap_or_else(|error| {
                self.warn(format!("cannot see whether another run of this job waits: {error}"));
                false
            })
        })
    }

    fn warn(&self, message: String) {
        self.tell(Warning { case: None, message });
    }
}

/// Forgets the nodes that were left to a next run and that have ended without one.
pub async fn forget_gone(cache: &Path, clouds: &[Region]) -> Result<(), CloudError> {
    let left = reuse::left(cache);
    for cloud in clouds {
        let here = Vec::from_iter(left.iter().filter(|node| node.region == cloud.region()));
        let ids = Vec::from_iter(here.iter().map(|node| node.instance.clone()));
        let seen = observe::instances(&**cloud, &ids).await?;
        // That it is not shown proves nothing until it is past its end, too.
        let is_gone = |node: &reuse::Left| match seen.iter().find(|seen| seen.id == node.instance) {
            Some(seen) => !matches!(seen.state, InstanceState::Pending | InstanceState::Running),
            None => cloud.now() > node.expires_at.saturating_add(CONSISTENT).unwrap_or(Timestamp::MAX),
        };
        for node in here.into_iter().filter(|node| is_gone(node)) {
            // What cannot be removed is tried again by the next.
            let _ = node.forget();
        }
    }
    Ok(())
}

/// All that the next run needs to know.
fn left_node(ready: &ProvisionedNode, book: &Book, run: &RunId) -> LeftNode {
    LeftNode {
        run: book.made_by.as_ref().unwrap_or(run).clone(),
        region: ready.cloud.region().to_owned(),
        instance: ready.instance.id.clone(),
        client_key: ready.keys.client.private_pem().to_owned(),
        host_key: ready.keys.host.public_line().to_owned(),
        expires_at: ready.expires_at,
        usd_per_hour: book.price.as_ref().and_then(|price| price.per_hour).map(|usd| usd.0),
        gpus: book.gpus.clone(),
        resources: ready.ledger.left().into_iter().map(|made| (made.resource, made.id)).collect(),
    }
}

/// From `now` until then; nothing, where that is past.
fn lasts(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_until(until)).unwrap_or_default()
}
