//! How a run has its nodes: what to ask for and where, again and again until there is one, and what becomes of each.
//!
//! The decisions are those of the pure parts ([`super::limits`], [`super::waiting`],
//! [`super::life`]); here they are carried out. Whatever is made stands in a ledger that [`Provision`] holds from before
//! the first call, so that dropping [`Provision::have`] at any moment loses nothing.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gpu_suites::event::{
    Cost, Event, Had as HadEvent, Kept, Node as NodeEvent, NodeState, Phase, ResourceMade, StartPhase,
    Waiting, Warning,
};
use gpu_suites::exit::Exit;
use gpu_suites::id::RunId;
use gpu_suites::unit::Span;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::access::Access;
use super::boot::{Boot, BootError};
use super::breaker::{self, Breaker};
use super::consistency::CONFIRMED;
use super::error::CloudError;
use super::keys::{KeyError, NodeKeys};
use super::labels::Labels;
use super::last_resort::LastResort;
use super::ledger::Ledger;
use super::limits::{CostCap, Work, ttl};
use super::meter::Meter;
use super::observe;
use super::provider::{
    Choice, Ground, Launch, LaunchError, Launched, LookUpError, NoneFits, Provider, Refused, Region,
    TypeGpus, Wanted,
};
use super::providers::{self, ConnectError};
use super::provisioned::{Price, ProvisionedNode};
use super::reap_actions::ReapResult;
use super::release;
use super::reuse::{Job, Turn};
use super::user_data::{Life, UserData};
use super::{CloudNode, CloudSettings, Purchase, Usd, kept, meter, reap, waiting};
use crate::config::need::NodeNeed;
use crate::files::cache;
use crate::here::Env;
use crate::node::NodeSpec;
use crate::node::health;
use crate::session::moment::Moment;
use crate::session::{Budget, SessionError};
use crate::text::figures::dollars;
use crate::text::{Explain, chain};

/// How many nodes one after another may turn out bad before the run gives up.
const UNFIT: u32 = 3;
/// How much longer than its node a security group may live, since it is made before any way of paying is tried.
const ASKING: Duration = Duration::from_secs(3 * 60);
/// How long the reaping of what others left may go on beside a booting node.
const REAP_PATIENCE: Duration = Duration::from_secs(60);
/// How long a call that makes something is waited for, once nobody wants its answer any more.
pub(super) const SETTLE: Duration = Duration::from_secs(65);
/// The share of its money at which a run warns.
const WARN: f64 = 0.8;

/// What a run wants of its nodes.
#[derive(Debug, Clone)]
pub struct Order {
    /// The node as the user named it.
    pub node: NodeSpec,
    /// What the user asks of it.
    pub settings: CloudNode,
    /// What node and suites need together.
    pub need: NodeNeed,
    /// How long its work can take.
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

/// Why no node was had.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The cloud cannot be asked, or says no to the asking itself.
    #[error("{}", chain(.error))]
    Cloud { error: CloudError, advice: Option<String> },
    /// There is no way to the cloud.
    #[error(transparent)]
    Connect(ConnectError),
    /// Nothing that would do can be asked for.
    #[error(transparent)]
    LookUp(Box<LookUpError>),
    /// There was nothing to be had, for as long as the user wanted to wait or for good.
    #[error("{reason}; gave up after {}", Span(*.waited))]
    NothingHad {
        /// What was asked for, and each answer.
        reason: String,
        advice: Option<String>,
        /// How long was waited.
        waited: Duration,
    },
    /// Several nodes one after another were no good.
    #[error("{count} nodes were had, and none of them was any good; the last: {last}")]
    NoneFit {
        count: u32,
        /// What was wrong with the last.
        last: Box<BootError>,
    },
    /// A node could not be led up.
    #[error(transparent)]
    Boot(Box<BootError>),
    /// The money would not last until anything has run.
    #[error("{0}")]
    Money(String),
    /// Keys cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Explain for ProvisionError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud { error, advice } => advice.clone().or_else(|| error.hint()),
            Self::LookUp(error) => error.hint(),
            Self::Connect(error) => error.hint(),
            Self::NothingHad { advice, .. } => advice.clone(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Money(_) => Exit::Limit,
            _ => Exit::Infrastructure,
        }
    }
}

impl ProvisionError {
    /// Whether another region may have what this one has not.
    fn is_worth_another_region(&self) -> bool {
        match self {
            Self::Cloud { error, .. } => error.is_worth_another_region(),
            Self::LookUp(error) => error.is_worth_another_region(),
            _ => false,
        }
    }
}

impl From<LookUpError> for ProvisionError {
    fn from(error: LookUpError) -> Self {
        Self::LookUp(Box::new(error))
    }
}

impl From<NoneFits> for ProvisionError {
    fn from(none: NoneFits) -> Self {
        if none.is_for_money { Self::Money(none.why) } else { LookUpError::NoneFits(none).into() }
    }
}

impl From<CloudError> for ProvisionError {
    fn from(error: CloudError) -> Self {
        LaunchError::from(error).into()
    }
}

impl From<LaunchError> for ProvisionError {
    fn from(LaunchError { error, advice }: LaunchError) -> Self {
        Self::Cloud { error, advice }
    }
}

impl From<ConnectError> for ProvisionError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Cloud(error) => error.into(),
            error => Self::Connect(error),
        }
    }
}

impl From<ProvisionError> for SessionError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Money(why) => Self::Money { why },
            error => Self::NotHad(Box::new(error)),
        }
    }
}

/// Has nodes for one run, one after another.
pub struct Provision {
    pub(super) order: Order,
    pub(super) sink: UnboundedSender<Event>,
    /// One for each region, from the first look at it.
    pub(super) clouds: Vec<Region>,
    /// Everything that was made and that nobody gives back yet.
    pub(super) books: Vec<Book>,
    pub(super) meter: Meter,
    /// This run's turn at the node of its job.
    pub(super) turn: Option<Turn>,
    /// What is being given back.
    releases: JoinSet<()>,
    /// What others left, being reaped while a node boots.
    reaping: Option<AbortOnDrop>,
    breaker: Option<PathBuf>,
}

/// What one try has made in one region.
pub(super) struct Book {
    cloud: Region,
    pub(super) ledger: Ledger,
    pub(super) price: Option<Price>,
    /// The GPUs of the instance's type.
    pub(super) gpus: Option<TypeGpus>,
    /// The earlier run that made all this, where it was taken over.
    pub(super) made_by: Option<RunId>,
    /// The way into the instance, from the first login on.
    pub(super) access: Arc<OnceLock<Access>>,
}

impl Book {
    pub(super) fn new(cloud: Region, ledger: Ledger) -> Self {
        Self { cloud, ledger, price: None, gpus: None, made_by: None, access: Arc::default() }
    }
}

/// An instance that was just launched.
struct New {
    place: Place,
    instance: String,
    asked_at: Timestamp,
    keys: Arc<NodeKeys>,
    expires_at: Timestamp,
}

/// What came of asking in one region in one way.
enum Answer {
    Launched(Box<New>),
    /// There is nothing to be had.
    Refused(Refused),
    /// There is nothing to be asked for.
    NoneFits(NoneFits),
}

/// A region in one round of asking.
struct Place {
    book: usize,
    ground: Box<dyn Ground>,
}

impl Provision {
    /// For a run of this order; what happens goes to `sink`.
    pub fn new(order: Order, sink: UnboundedSender<Event>) -> Self {
        let meter = Meter::new(order.settings.max_cost);
        let breaker = cache::folder(&order.env).map(|cache| cache.join(breaker::FILE));
        Self {
            order,
            sink,
            clouds: Vec::new(),
            books: Vec::new(),
            meter,
            turn: None,
            releases: JoinSet::new(),
            reaping: None,
            breaker,
        }
    }

    /// A node that is ready for the run. Bad ones are given back and replaced.
    pub async fn have(&mut self) -> Result<ProvisionedNode, ProvisionError> {
        self.connect().await?;
        if let Some(had) = self.take_over().await {
            return Ok(had);
        }
        let mut count = 0;
        loop {
            let new = self.launch().await?;
            match self.lead_up(new).await {
                Ok(had) => return Ok(had),
                Err(last @ BootError::Unfit { .. }) => {
                    count += 1;
                    if count == UNFIT {
                        return Err(ProvisionError::NoneFit { count, last: Box::new(last) });
                    }
                    self.tell(Warning { case: None, message: format!("{last}; another node is had") });
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

    /// Asks in each way and place until there is an instance, or the user's patience is at its end. A region that says no
    /// to the asking itself is left out, and the next is asked; the run ends with its no where no region is left.
    async fn launch(&mut self) -> Result<New, ProvisionError> {
        self.tell(NodeEvent {
            node: self.order.node.name.clone(),
            state: NodeState::Requested,
            detail: self.order.need.to_string(),
        });
        let begun = Instant::now();
        let mut places: Vec<Option<Place>> = Vec::from_iter(self.clouds.iter().map(|_| None));
        let mut barred: Vec<Option<ProvisionError>> = Vec::from_iter(self.clouds.iter().map(|_| None));
        for attempt in 0.. {
            let (mut refusals, mut none) = (Vec::<Refused>::new(), None);
            for purchase in self.purchases() {
                for at in 0..places.len() {
                    if barred[at].is_some() {
                        continue;
                    }
                    match self.ask_in(at, &mut places[at], purchase).await {
                        Ok(Answer::Launched(mut new)) => {
                            new.place.book = self.release_others(new.place.book);
                            return Ok(*new);
                        }
                        Ok(Answer::Refused(refused)) => refusals.push(refused),
                        Ok(Answer::NoneFits(why)) => none = none.or(Some(why)),
                        Err(error) if self.clouds.len() > 1 && error.is_worth_another_region() => {
                            self.leave_out(at, &error);
                            barred[at] = Some(error);
                            places[at] = None;
                            self.give_back_unused(&mut places);
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
                return Err(ProvisionError::NothingHad { reason, advice, waited });
            };
            let until = Timestamp::now().saturating_add(signed(left)).unwrap_or(Timestamp::MAX);
            let node = self.order.node.name.clone();
            self.tell(Waiting { node, reason, seconds: pause.as_secs_f64(), until });
            // Prices and zones are looked up anew; and nothing that was made lives longer than a node would.
            places.fill_with(|| None);
            self.give_back_unused(&mut places);
            sleep(pause).await;
        }
        unreachable!("the attempts are not numbered out")
    }

    /// Begins to give back what was made where nothing more is asked for: what is in doubt there takes minutes to clear up.
    fn give_back_unused(&mut self, places: &mut [Option<Place>]) {
        let is_used =
            |places: &[Option<Place>], book| places.iter().flatten().any(|place| place.book == book);
        while let Some(book) = (0..self.books.len()).find(|book| !is_used(places, *book)) {
            self.give_back_book(book, self.now());
            for place in places.iter_mut().flatten().filter(|place| place.book > book) {
                place.book -= 1;
            }
        }
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
        looked: &mut Option<Place>,
        purchase: Purchase,
    ) -> Result<Answer, ProvisionError> {
        let begun = Instant::now();
        let mut place = if let Some(place) = looked.take() {
            place
        } else {
            let place = self.look(at).await?;
            self.phase(StartPhase::LookUp, begun);
            place
        };
        let settings = &self.order.settings;
        let (cloud, ledger) = (self.books[place.book].cloud.clone(), self.books[place.book].ledger.clone());
        let left = self.meter.left(cloud.now());
        let choice = match place.ground.choose(purchase, left) {
            Ok(choice) => choice,
            Err(none) => {
                *looked = Some(place);
                return Ok(Answer::NoneFits(none));
            }
        };
        if let Some(unpriced) = choice.unpriced.as_ref().filter(|_| left.is_some()) {
            let message = format!("not asked for, since the run's money is limited{unpriced}");
            self.tell(Warning { case: None, message });
        }
        let begun = Instant::now();
        let lasts = self.lasts(&*cloud, &choice, &*place.ground)?;
        let keys = Arc::new(NodeKeys::new()?);
        let (boot, lease) = (settings.boot_timeout, self.order.node.lease);
        let user_data = UserData::new(Life { ttl: lasts, boot, lease }, &keys);
        let expires_at = cloud.now().saturating_add(signed(lasts)).unwrap_or(Timestamp::MAX);
        let (labels, user_data) = (&self.order.labels, &user_data);
        let ledger = &ledger;
        let launch = Launch { purchase, left, expires_at, user_data, keys: &keys, labels, ledger };
        match place.ground.launch(&launch).await? {
            Launched::Instance { id: instance, asked_at } => {
                self.phase(StartPhase::Capacity, begun);
                Ok(Answer::Launched(Box::new(New { place, instance, asked_at, keys, expires_at })))
            }
            Launched::Refused(refused) => {
                *looked = Some(place);
                Ok(Answer::Refused(refused))
            }
        }
    }

    /// Looks a region up, and begins a ledger there.
    async fn look(&mut self, at: usize) -> Result<Place, ProvisionError> {
        let cloud = self.clouds[at].clone();
        let ledger = Ledger::new(self.order.node.name.clone(), self.sink.clone());
        self.books.push(Book::new(cloud.clone(), ledger.clone()));
        let book = self.books.len() - 1;
        let (need, labels) = (&self.order.need, &self.order.labels);
        let longest = ttl(&self.order.settings, self.order.work, None).duration + self.order.keep;
        // What is made now is for a node that is asked for later: each way of paying may take its time.
        let longest = longest.saturating_add(ASKING);
        let ground = cloud.look_up(&Wanted { need, longest, labels, ledger: &ledger }).await?;
        if let Some(cidr) = ground.ingress() {
            let node = self.order.node.name.clone();
            let detail = format!("in {}; ssh is open to {cidr} only", cloud.region());
            self.tell(NodeEvent { node, state: NodeState::Requested, detail });
        }
        Ok(Place { book, ground })
    }

    /// How long a node may live, by the suites, the settings and the money.
    fn lasts(
        &self,
        cloud: &dyn Provider,
        choice: &Choice,
        ground: &dyn Ground,
    ) -> Result<Duration, ProvisionError> {
        let settings = &self.order.settings;
        let left = self.meter.left(cloud.now());
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
        let most = Duration::try_from(cloud.now().duration_until(ground.latest())).unwrap_or_default();
        Ok((lasts.duration + self.order.keep).min(most))
    }

    /// Leads an instance up, tells what it is and what it costs, and begins to give back one that is no good.
    async fn lead_up(&mut self, new: New) -> Result<ProvisionedNode, BootError> {
        let New { place: Place { book, ground }, instance, asked_at, keys, expires_at } = new;
        let (cloud, ledger) = (self.books[book].cloud.clone(), self.books[book].ledger.clone());
        let seen = observe::instance(&*cloud, &instance).await?;
        seen.note(&ledger, cloud.region());
        let price = ground.usd_per_hour(&seen);
        let since = seen.launched_at.unwrap_or(asked_at);
        self.meter.begin(&instance, since, price);
        self.books[book].price = Some(Price { instance: instance.clone(), per_hour: price, since });
        self.tell(HadEvent {
            node: self.order.node.name.clone(),
            instance: instance.clone(),
            instance_type: seen.instance_type.clone(),
            zone: seen.zone.clone(),
            market: seen.purchase.to_string(),
            usd_per_hour: price.map(|usd| usd.0),
            expires_at,
        });
        // What others left is looked for while this one boots, when there is nothing else to do.
        self.reap(&cloud);
        let gpus = ground.gpus(&seen.instance_type);
        self.books[book].gpus.clone_from(&gpus);
        let access = Arc::clone(&self.books[book].access);
        let boot = Boot {
            cloud: &*cloud,
            ledger: &ledger,
            settings: &self.order.settings,
            node: &self.order.node,
            keys: &keys,
            access: &access,
            health: wanted(&self.order.need, gpus.as_ref()),
            sink: &self.sink,
            env: &self.order.env,
            asked_at,
        };
        // What is spent, is spent since the launch.
        let budget = self.budget(&*cloud, price);
        match boot.lead(&instance, budget.as_ref()).await {
            Ok(booted) => Ok(ProvisionedNode::new(booted, (cloud, ledger), keys, expires_at, budget)),
            Err(error) => {
                self.give_back_book(book, expires_at);
                Err(error)
            }
        }
    }

    /// What the run's money means for this node, as times on our own clock.
    pub(super) fn budget(&self, cloud: &dyn Provider, price: Option<Usd>) -> Option<Budget> {
        let (limit, price, left) = (self.meter.limit()?, price?, self.meter.left(cloud.now())?);
        // What lasts for thirty years is no limit; what is no number buys no time.
        let lasts = |dollars: f64| {
            Duration::try_from_secs_f64((dollars / price.0 * 3600.0).clamp(0.0, 1e9)).unwrap_or_default()
        };
        let warning = left - limit.0 * (1.0 - WARN);
        let spent =
            format!("the run has spent its max-cost of {limit}, with what giving its node back costs");
        let warned = format!(
            "80 % of max-cost {limit} are spent; at {price} an hour the rest lasts {}",
            Span(lasts(left - warning))
        );
        Some(Budget {
            warn_at: Some((Moment::after(lasts(warning.max(0.0))), warned)),
            end_at: (Moment::after(lasts(left.max(0.0))), spent),
        })
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
    pub fn give_back(&mut self, had: &ProvisionedNode) {
        self.drop_book(&had.ledger, had.expires_at);
    }

    /// Begins to give back all that stands in that ledger.
    pub(super) fn drop_book(&mut self, ledger: &Ledger, expires_at: Timestamp) {
        if let Some(book) = self.place_of(ledger) {
            self.give_back_book(book, expires_at);
        }
    }

    pub(super) fn place_of(&self, ledger: &Ledger) -> Option<usize> {
        self.books.iter().position(|book| book.ledger.is_same(ledger))
    }

    /// Lets the node live on, for so long at most, and tells how to get in. One that cannot be told when to end is
    /// given back.
    pub async fn keep(&mut self, mut had: ProvisionedNode, keep: Duration) {
        let until =
            had.cloud.now().saturating_add(signed(keep)).unwrap_or(Timestamp::MAX).min(had.expires_at);
        match keep_on(&mut had, &self.order.settings, keep, &self.order.env).await {
            Ok(command) => {
                let (node, instance) = (self.order.node.name.clone(), had.instance.id.clone());
                self.tell(Kept { node, instance, until, command });
                self.books.retain(|book| !book.ledger.is_same(&had.ledger));
            }
            Err(why) => {
                let message = format!("{} is not kept but given back: {why}", had.instance.id);
                self.tell(Warning { case: None, message });
                self.give_back(&had);
            }
        }
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
        while !self.books.is_empty() {
            self.give_back_book(self.books.len() - 1, latest);
        }
        while self.releases.join_next().await.is_some() {}
    }

    /// The end of what no node needs: it is looked after until the cloud may be expected to have shown that it is gone, and
    /// is the reaper's then.
    fn now(&self) -> Timestamp {
        self.clouds.first().map_or_else(Timestamp::now, |cloud| cloud.now())
    }

    /// Begins to give back what was made in the regions that had nothing.
    fn release_others(&mut self, kept: usize) -> usize {
        let kept = self.books.remove(kept);
        while !self.books.is_empty() {
            self.give_back_book(self.books.len() - 1, self.now());
        }
        self.books.push(kept);
        0
    }

    /// Begins to give back all that stands in a book. By `expires_at` the cloud ends what is left; it may show that late.
    fn give_back_book(&mut self, book: usize, expires_at: Timestamp) {
        let book = self.books.remove(book);
        if let Some(price) = &book.price {
            self.meter.end(&price.instance, book.cloud.now());
        }
        let (node, sink) = (self.order.node.name.clone(), self.sink.clone());
        self.releases.spawn(async move {
            let Book { cloud, ledger, price, access, .. } = book;
            ledger.settle(SETTLE).await;
            // Nor does the end of a node that is given back late, or at its very end, have less time to show.
            let deadline = expires_at.max(cloud.now()).saturating_add(CONFIRMED).unwrap_or(Timestamp::MAX);
            let last_resort = LastResort { cloud: &*cloud, ledger: &ledger, access: &access, sink: &sink };
            let released = last_resort.beside(release::release(&*cloud, &ledger, deadline)).await;
            for bill in &released.bills {
                let per_hour = price.as_ref().filter(|price| price.instance == bill.instance);
                // What an earlier run had of it is on that run's bill.
                let lasted = per_hour.map_or(bill.lasted(), |price| bill.since(price.since));
                let usd = per_hour.and_then(|price| price.per_hour).map(|usd| meter::bill(lasted, usd));
                let (instance, seconds) = (bill.instance.clone(), lasted.as_secs_f64());
                let _ = sink.send(Cost { node: node.clone(), instance, seconds, usd }.into());
            }
            for left in &released.left {
                if left.is_in_doubt {
                    // The receipt has to name it, too: nobody knows that it is not there.
                    let (node, resource, id) = (node.clone(), left.resource, left.id.clone());
                    let region = cloud.region().to_owned();
                    let _ = sink.send(ResourceMade { node, resource, id, region }.into());
                }
                let message = format!("{} {} is not given back: {}", left.resource, left.id, left.why);
                let _ = sink.send(Warning { case: None, message }.into());
            }
            if released.left.is_empty() && !released.bills.is_empty() {
                let detail = "the cloud says that it is no more".to_owned();
                let _ = sink.send(NodeEvent { node, state: NodeState::Gone, detail }.into());
            }
        });
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

/// The GPUs that the node has to have: those of its type, if that is more than what was needed.
pub(super) fn wanted(need: &NodeNeed, gpus: Option<&TypeGpus>) -> health::Wanted {
    let mut wanted = health::Wanted::from(need);
    if let Some(gpus) = gpus {
        wanted.gpus = wanted.gpus.max(gpus.count);
        wanted.name = Some(gpus.name.clone());
    }
    wanted
}

/// Arms the node's new end and keeps its key: the command that gets in.
async fn keep_on(
    had: &mut ProvisionedNode,
    settings: &CloudSettings,
    keep: Duration,
    env: &Env,
) -> Result<String, String> {
    let minutes = keep.as_secs().div_ceil(60).max(1);
    had.remote.shut_down_in(minutes).await.map_err(|error| chain(&error))?;
    // The lease is over a little later than that.
    had.leave(settings, Duration::from_secs(minutes.saturating_add(1).saturating_mul(60))).await?;
    let cache = cache::folder(env).ok_or("there is no cache folder to keep its key in")?;
    let door = kept::Door {
        instance: &had.instance.id,
        user: &settings.user,
        host: had.instance.address.as_deref().unwrap_or_default(),
        port: settings.port,
        client_key: had.keys.client.private_pem(),
        host_key: had.keys.host.public_line(),
    };
    kept::keep(&cache, &door).map_err(|error| chain(&error))
}

pub(super) fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
