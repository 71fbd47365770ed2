//! How a run is provisioned with nodes: asks until there is an instance, leads it up, replaces what is no good, and gives back.
//!
//! Data flows `launch` → `lead_up` → a node; `books` has what was made meanwhile, and gives it back. The decisions are
//! those of the pure parts ([`super::limits`], [`super::waiting`], [`super::life`]); here they are carried out. Whatever is
//! made stands in a ledger that [`Provision`] holds from before the first call, so that dropping [`Provision::acquire`] at any
//! moment loses nothing.

pub(super) mod books;
mod error;
mod keep;
mod launch;
pub(super) mod lead_up;

use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::event::{Event, Phase, StartPhase, Warning};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::books::Books;
pub use self::error::ProvisionError;
use self::launch::{LaunchedInstance, OpenRegion};
use self::lead_up::Instance;
use super::boot::BootError;
use super::breaker::{self, Breaker};
use super::labels::Labels;
use super::limits::{Work, ttl};
use super::provider::Region;
use super::provisioned::ProvisionedNode;
use super::reap_actions::ReapResult;
use super::reuse::{Job, Turn};
use super::{CloudNode, observe, providers, reap};
use crate::config::need::NodeNeed;
use crate::files::cache;
use crate::here::Env;
use crate::node::NodeSpec;

/// How many nodes one after another may turn out bad before the run gives up.
const UNFIT: u32 = 3;
/// How long the reaping of what others left may go on beside a booting node.
const REAP_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Order {
    pub node: NodeSpec,
    /// What the user asks of it.
    pub settings: CloudNode,
    /// What node and suites need together.
    pub need: NodeNeed,
    pub work: Work,
    /// How much longer it may be kept.
    pub keep: Duration,
    /// How long a node that is handed on may be in nobody's hands.
    pub pause: Duration,
    pub labels: Labels,
    /// The runs of the same job on this machine, where they hand the node on to one another.
    pub job: Option<Job>,
    /// Says where the cache folder and the programs for the node are.
    pub env: Env,
}

/// Has nodes for one run, one after another.
pub struct Provision {
    pub(super) order: Order,
    pub(super) sink: UnboundedSender<Event>,
    /// One for each region, from the first look at it.
    pub(super) clouds: Vec<Region>,
    /// Everything that was made and that nobody gives back yet.
    pub(super) books: Books,
    /// This run's turn at the node of its job.
    pub(super) turn: Option<Turn>,
    /// What others left, being reaped while a node boots.
    reaping: Option<AbortOnDrop>,
    breaker: Option<PathBuf>,
}

impl Provision {
    /// For a run of this order; what happens goes to `sink`.
    pub fn new(order: Order, sink: UnboundedSender<Event>) -> Self {
        let books = Books::new(order.node.name.clone(), order.settings.max_cost, sink.clone());
        let breaker = cache::folder(&order.env).map(|cache| cache.join(breaker::FILE));
        Self { order, sink, clouds: Vec::new(), books, turn: None, reaping: None, breaker }
    }

    /// A node that is ready for the run. Bad ones are given back and replaced.
    pub async fn acquire(&mut self) -> Result<ProvisionedNode, ProvisionError> {
        self.connect().await?;
        if let Some(ready) = self.take_over().await {
            return Ok(ready);
        }
        let mut count = 0;
        loop {
            let new = self.launch().await?;
            match self.boot(new).await {
                Ok(ready) => return Ok(ready),
                Err(last @ BootError::Unfit { .. }) => {
                    count += 1;
                    if count == UNFIT {
                        return Err(ProvisionError::NoneFit { count, last: Box::new(last) });
                    }
                    self.tell(Warning { case: None, message: format!("{last}; another node is launched") });
                }
                Err(BootError::Cloud(error)) => return Err(error.into()),
                Err(BootError::Money(why)) => return Err(ProvisionError::Money(why)),
                Err(error) => return Err(ProvisionError::Boot(Box::new(error))),
            }
        }
    }

    /// The APIs of the regions, once; what others left there is reaped beside everything else.
    async fn connect(&mut self) -> Result<(), ProvisionError> {
        if self.clouds.is_empty() {
            self.clouds = providers::connect(&self.order.settings).await?;
        }
        Ok(())
    }

    /// Leads up what was just launched, and begins to give back one that is no good.
    async fn boot(&mut self, new: LaunchedInstance) -> Result<ProvisionedNode, BootError> {
        let LaunchedInstance {
            open: OpenRegion { cloud, ledger, launcher },
            instance,
            asked_at,
            keys,
            expires_at,
        } = new;
        let seen = observe::instance(&*cloud, &instance).await?;
        seen.note(&ledger, cloud.region());
        // What others left is looked for while this one boots, when there is nothing else to do.
        self.reap(&cloud);
        let instance = Instance {
            per_hour: launcher.usd_per_hour(&seen),
            since: seen.launched_at.unwrap_or(asked_at),
            gpus: launcher.gpus(&seen.instance_type),
            ledger: ledger.clone(),
            boot_timeout: self.order.settings.boot_timeout,
            cloud,
            seen,
            keys,
            asked_at,
            expires_at,
        };
        let led = self.lead_up(instance).await;
        if led.is_err() {
            self.books.give_back(&ledger, expires_at);
        }
        led
    }

    /// A node was taken back: after several, spot is left alone for a while.
    pub fn was_reclaimed(&self) {
        if let (Some(file), [cloud, ..]) = (&self.breaker, self.clouds.as_slice())
            && let Err(error) = Breaker::note_in(file, cloud.now())
        {
            let message = format!("failed to note the reclaim in {}: {error}", file.display());
            self.tell(Warning { case: None, message });
        }
    }

    /// Begins to give the node back; [`Provision::close`] waits for the end of that.
    pub fn give_back(&mut self, ready: &ProvisionedNode) {
        self.books.give_back(&ready.ledger, ready.expires_at);
    }

    /// Gives back whatever is left and waits until all of it is gone, or the receipt says what is not.
    pub async fn close(mut self) {
        // Another run of the job need not wait for that.
        self.turn = None;
        // What the cloud ends by itself is not waited for any longer than that.
        let latest = self.clouds.first().map_or(Timestamp::MAX, |cloud| {
            let longest = ttl(&self.order.settings, self.order.work, None).duration + self.order.keep;
            cloud.now().saturating_add(signed(longest)).unwrap_or(Timestamp::MAX)
        });
        self.books.close(latest).await;
    }

    fn reap(&mut self, cloud: &Region) {
        let (cloud, sink) = (cloud.clone(), self.sink.clone());
        let (run, owner) = (self.order.labels.run.clone(), self.order.labels.who.owner.clone());
        self.reaping = Some(AbortOnDrop(tokio::spawn(async move {
            let found = reap::reap_expired(&*cloud, &owner, REAP_PATIENCE).await;
            let ended = found.iter().flatten().filter(|action| {
                action.found.owner.run != run.as_str() && matches!(action.did, ReapResult::Ended)
            });
            let count = ended.count();
            if count > 0 {
                let message = format!(
                    "reaped what other runs had left in {}: {count} expired resources",
                    cloud.region()
                );
                let _ = sink.send(Warning { case: None, message }.into());
            }
        })));
    }

    fn phase(&self, phase: StartPhase, begun: Instant) {
        let (node, seconds) = (self.order.node.name.clone(), begun.elapsed().as_secs_f64());
        self.tell(Phase { node, phase, seconds });
    }

    pub(super) fn tell(&self, event: impl Into<Event>) {
        let _ = self.sink.send(event.into());
    }
}

/// Ends a task that nobody needs any more.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
