//! What a run has made and nobody gives back yet, what it costs, and how it is given back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gpu_suites::event::{Cost, Event, Node as NodeEvent, NodeState, ResourceMade, Warning};
use gpu_suites::id::{NodeName, RunId};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::cloud::access::Access;
use crate::cloud::consistency::CONFIRMED;
use crate::cloud::last_resort::LastResort;
use crate::cloud::ledger::Ledger;
use crate::cloud::meter::{self, Meter};
use crate::cloud::provider::{Region, TypeGpus};
use crate::cloud::provisioned::Price;
use crate::cloud::{Usd, release};

/// How long a call that makes something is waited for, once nobody wants its answer any more.
pub(in crate::cloud) const SETTLE: Duration = Duration::from_secs(65);

/// What one try has made in one region.
pub(in crate::cloud) struct Book {
    cloud: Region,
    ledger: Ledger,
    pub(in crate::cloud) price: Option<Price>,
    /// The GPUs of the instance's type.
    pub(in crate::cloud) gpus: Option<TypeGpus>,
    /// The earlier run that made all this, where it was taken over.
    pub(in crate::cloud) made_by: Option<RunId>,
    /// The way into the instance, from the first login on.
    access: Arc<OnceLock<Access>>,
}

/// A run's books, told apart by their ledgers.
pub(in crate::cloud) struct Books {
    node: NodeName,
    sink: UnboundedSender<Event>,
    pub(in crate::cloud) meter: Meter,
    open: Vec<Book>,
    releases: JoinSet<()>,
}

impl Books {
    /// For a run that may cost so much.
    pub(super) fn new(node: NodeName, max_cost: Option<Usd>, sink: UnboundedSender<Event>) -> Self {
        Self { node, sink, meter: Meter::new(max_cost), open: Vec::new(), releases: JoinSet::new() }
    }

    /// Opens a book in that region: from now on all that its ledger has is given back.
    pub(in crate::cloud) fn open(&mut self, cloud: Region) -> Ledger {
        let ledger = Ledger::new(self.node.clone(), self.sink.clone());
        let (price, gpus, made_by, access) = (None, None, None, Arc::default());
        self.open.push(Book { cloud, ledger: ledger.clone(), price, gpus, made_by, access });
        ledger
    }

    fn position(&self, ledger: &Ledger) -> Option<usize> {
        self.open.iter().position(|book| book.ledger.is_same(ledger))
    }

    pub(in crate::cloud) fn get(&self, ledger: &Ledger) -> Option<&Book> {
        self.position(ledger).map(|at| &self.open[at])
    }

    pub(in crate::cloud) fn get_mut(&mut self, ledger: &Ledger) -> Option<&mut Book> {
        self.position(ledger).map(|at| &mut self.open[at])
    }

    /// Writes down which instance the ledger has; what it costs counts from now on. Gives the place of the way into it.
    pub(super) fn has(
        &mut self,
        ledger: &Ledger,
        price: Price,
        gpus: Option<TypeGpus>,
    ) -> Arc<OnceLock<Access>> {
        self.meter.begin(&price.instance, price.since, price.per_hour);
        let Some(book) = self.get_mut(ledger) else { return Arc::default() };
        (book.price, book.gpus) = (Some(price), gpus);
        Arc::clone(&book.access)
    }

    /// Takes a book out: somebody else gives back what is in it.
    pub(in crate::cloud) fn take(&mut self, ledger: &Ledger) -> Option<Book> {
        self.position(ledger).map(|at| self.open.remove(at))
    }

    /// Begins to give back all that the ledger has. By `expires_at` the cloud ends what is left; it may show that late.
    pub(in crate::cloud) fn give_back(&mut self, ledger: &Ledger, expires_at: Timestamp) {
        if let Some(book) = self.take(ledger) {
            self.release(book, expires_at);
        }
    }

    /// Begins to give back what no node needs, which is all but these. It is looked after until the cloud may be expected to
    /// have shown that it is gone, and is the reaper's then.
    pub(super) fn give_back_others(&mut self, kept: &[&Ledger]) {
        let is_unused = |book: &mut Book| kept.iter().all(|ledger| !book.ledger.is_same(ledger));
        for book in Vec::from_iter(self.open.extract_if(.., is_unused)) {
            let now = book.cloud.now();
            self.release(book, now);
        }
    }

    /// Gives back whatever is left and waits until all of it is gone, or the receipt says what is not.
    pub(super) async fn close(&mut self, latest: Timestamp) {
        while let Some(book) = self.open.pop() {
            self.release(book, latest);
        }
        while self.releases.join_next().await.is_some() {}
    }

    fn release(&mut self, book: Book, expires_at: Timestamp) {
        if let Some(price) = &book.price {
            self.meter.end(&price.instance, book.cloud.now());
        }
        self.releases.spawn(settle(book, expires_at, self.node.clone(), self.sink.clone()));
    }
}

/// Gives back all that the book's ledger has, and tells what it cost and what is left.
async fn settle(book: Book, expires_at: Timestamp, node: NodeName, sink: UnboundedSender<Event>) {
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
        let detail = "the cloud shows it as gone".to_owned();
        let _ = sink.send(NodeEvent { node, state: NodeState::Gone, detail }.into());
    }
}
