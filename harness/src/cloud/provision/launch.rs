//! How an instance is asked for: in each region and each way of paying, again and again until there is one.

use std::sync::Arc;
use std::time::Duration;

use gpu_suites::event::{Node as NodeEvent, NodeState, StartPhase, Waiting, Warning};
use gpu_suites::unit::Span;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Provision, ProvisionError, signed};
use crate::cloud::breaker::Breaker;
use crate::cloud::keys::NodeKeys;
use crate::cloud::ledger::Ledger;
use crate::cloud::limits::{CostCap, ttl};
use crate::cloud::provider::{
    Choice, Launch, Launched, Launcher, LookUpRequest, NoneFits, Provider, Refused, Region,
};
use crate::cloud::user_data::{Life, UserData};
use crate::cloud::{Purchase, waiting};
use crate::text::chain;
use crate::text::figures::dollars;

/// How much longer than its node a security group may live, since it is made before any way of paying is tried.
const ASKING: Duration = Duration::from_secs(3 * 60);

/// An instance that was just launched.
pub(super) struct LaunchedInstance {
    pub(super) open: OpenRegion,
    pub(super) instance: String,
    pub(super) asked_at: Timestamp,
    pub(super) keys: Arc<NodeKeys>,
    pub(super) expires_at: Timestamp,
}

/// What came of asking in one region in one way.
enum Answer {
    Launched(Box<LaunchedInstance>),
    /// There is nothing to be had.
    Refused(Refused),
    NoneFits(NoneFits),
}

/// A region in one round of asking, and what was found and made there.
pub(super) struct OpenRegion {
    pub(super) cloud: Region,
    pub(super) ledger: Ledger,
    pub(super) launcher: Box<dyn Launcher>,
}

impl Provision {
    /// Asks in each way and place until there is an instance, or the user's patience is at its end. A region that says no
    /// to the asking itself is left out, and the next is asked; the run ends with its no where no region is left.
    pub(super) async fn launch(&mut self) -> Result<LaunchedInstance, ProvisionError> {
        self.tell(NodeEvent {
            node: self.order.node.name.clone(),
            state: NodeState::Requested,
            detail: self.order.need.to_string(),
        });
        let begun = Instant::now();
        let mut regions: Vec<Option<OpenRegion>> = Vec::from_iter(self.clouds.iter().map(|_| None));
        let mut barred: Vec<Option<ProvisionError>> = Vec::from_iter(self.clouds.iter().map(|_| None));
        for attempt in 0.. {
            let (mut refusals, mut none) = (Vec::<Refused>::new(), None);
            for purchase in self.purchases() {
                for at in 0..regions.len() {
                    if barred[at].is_some() {
                        continue;
                    }
                    match self.ask_in(at, &mut regions[at], purchase).await {
                        Ok(Answer::Launched(new)) => {
                            self.books.give_back_others(&[&new.open.ledger]);
                            return Ok(*new);
                        }
                        Ok(Answer::Refused(refused)) => refusals.push(refused),
                        Ok(Answer::NoneFits(why)) => none = none.or(Some(why)),
                        Err(error) if self.clouds.len() > 1 && error.is_worth_another_region() => {
                            self.leave_out(at, &error);
                            barred[at] = Some(error);
                            regions[at] = None;
                            self.give_back_unused(&regions);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            if refusals.is_empty() {
                let first = barred.iter_mut().find_map(Option::take);
                return Err(none.map(ProvisionError::from).or(first).unwrap_or_else(|| {
                    unreachable!("each way in each region ends in an answer or an error")
                }));
            }
            let is_hopeless = !refusals.iter().any(|refused| refused.may_pass);
            let advice = refusals.iter_mut().find_map(|refused| refused.advice.take());
            let reason = waiting::reason(refusals.into_iter().flat_map(|refused| refused.clauses));
            let waited = begun.elapsed();
            let left = self.order.settings.wait.saturating_sub(waited);
            let pause = waiting::pause(attempt, rand::random(), left).filter(|_| !is_hopeless);
            let Some(pause) = pause else {
                return Err(ProvisionError::NoCapacity { reason, advice, waited });
            };
            let until = Timestamp::now().saturating_add(signed(left)).unwrap_or(Timestamp::MAX);
            let node = self.order.node.name.clone();
            self.tell(Waiting { node, reason, seconds: pause.as_secs_f64(), until });
            // Prices and zones are looked up anew; and nothing that was made lives longer than a node would.
            regions.fill_with(|| None);
            self.give_back_unused(&regions);
            sleep(pause).await;
        }
        unreachable!("the attempts are not numbered out")
    }

    /// Begins to give back what was made where nothing more is asked for: what is in doubt there takes minutes to clear up.
    fn give_back_unused(&mut self, regions: &[Option<OpenRegion>]) {
        let used = Vec::from_iter(regions.iter().flatten().map(|open| &open.ledger));
        self.books.give_back_others(&used);
    }

    fn leave_out(&self, at: usize, error: &ProvisionError) {
        let region = self.clouds[at].region();
        let message = format!("{region} is left out, and the next region asked: {}", chain(error));
        self.tell(Warning { case: None, message });
    }

    fn purchases(&self) -> Vec<Purchase> {
        let now = self.clouds[0].now();
        let is_broken = self.breaker.as_ref().is_some_and(|file| Breaker::read(file).is_open(now));
        self.order.settings.market.purchases(is_broken).to_vec()
    }

    /// Asks in one region in one way. `looked`: what was found and made there, which is kept for the next way.
    async fn ask_in(
        &mut self,
        at: usize,
        looked: &mut Option<OpenRegion>,
        purchase: Purchase,
    ) -> Result<Answer, ProvisionError> {
        let begun = Instant::now();
        let mut open = if let Some(open) = looked.take() {
            open
        } else {
            let open = self.look(at).await?;
            self.phase(StartPhase::LookUp, begun);
            open
        };
        let settings = &self.order.settings;
        let (cloud, ledger) = (open.cloud.clone(), open.ledger.clone());
        let left = self.books.meter.left(cloud.now());
        let choice = match open.launcher.choose(purchase, left) {
            Ok(choice) => choice,
            Err(none) => {
                *looked = Some(open);
                return Ok(Answer::NoneFits(none));
            }
        };
        if let Some(unpriced) = choice.unpriced.as_ref().filter(|_| left.is_some()) {
            let message = format!("not asked for, since the run's money is limited{unpriced}");
            self.tell(Warning { case: None, message });
        }
        let begun = Instant::now();
        let lasts = self.lasts(&*cloud, &choice, &*open.launcher)?;
        let keys = Arc::new(NodeKeys::new()?);
        let (boot, lease) = (settings.boot_timeout, self.order.node.lease);
        let user_data = UserData::new(Life { ttl: lasts, boot, lease }, &keys);
        let expires_at = cloud.now().saturating_add(signed(lasts)).unwrap_or(Timestamp::MAX);
        let (labels, user_data) = (&self.order.labels, &user_data);
        let ledger = &ledger;
        let launch = Launch { purchase, left, expires_at, user_data, keys: &keys, labels, ledger };
        match open.launcher.launch(&launch).await? {
            Launched::Instance { id: instance, asked_at } => {
                self.phase(StartPhase::Capacity, begun);
                Ok(Answer::Launched(Box::new(LaunchedInstance {
                    open,
                    instance,
                    asked_at,
                    keys,
                    expires_at,
                })))
            }
            Launched::Refused(refused) => {
                *looked = Some(open);
                Ok(Answer::Refused(refused))
            }
        }
    }

    /// Looks a region up, and begins a ledger there.
    async fn look(&mut self, at: usize) -> Result<OpenRegion, ProvisionError> {
        let cloud = self.clouds[at].clone();
        let ledger = self.books.open(cloud.clone());
        let (need, labels) = (&self.order.need, &self.order.labels);
        let longest = ttl(&self.order.settings, self.order.work, None).duration + self.order.keep;
        // What is made now is for a node that is asked for later: each way of paying may take its time.
        let longest = longest.saturating_add(ASKING);
        let launcher = cloud.look_up(&LookUpRequest { need, longest, labels, ledger: &ledger }).await?;
        if let Some(cidr) = launcher.ingress() {
            let node = self.order.node.name.clone();
            let detail = format!("in {}; ssh is open to {cidr} only", cloud.region());
            self.tell(NodeEvent { node, state: NodeState::Requested, detail });
        }
        Ok(OpenRegion { cloud, ledger, launcher })
    }

    /// How long a node may live, by the suites, the settings and the money.
    fn lasts(
        &self,
        cloud: &dyn Provider,
        choice: &Choice,
        launcher: &dyn Launcher,
    ) -> Result<Duration, ProvisionError> {
        let settings = &self.order.settings;
        let left = self.books.meter.left(cloud.now());
        let cost_cap = choice.dearest.zip(left).map(|(per_hour, left)| CostCap { left, per_hour });
        let lasts = ttl(settings, self.order.work, cost_cap);
        if lasts.is_too_short(settings) {
            let limit = settings.max_cost.map(|limit| limit.to_string()).unwrap_or_default();
            let left = dollars(left.unwrap_or_default());
            let why = format!(
                "max-cost {limit} leaves {left} for a node, which lasts {}: that does not pay for booting one",
                Span(lasts.duration)
            );
            return Err(ProvisionError::Money(why));
        }
        // What lets its owner in must not expire before the node.
        let most = Duration::try_from(cloud.now().duration_until(launcher.latest())).unwrap_or_default();
        Ok((lasts.duration + self.order.keep).min(most))
    }
}
