//! What was made in the cloud for a node, written down as it is made, until the cloud says that it is gone.
//!
//! "Launched, but the id never reported" is how nodes leak: somebody presses Ctrl-C while the launch call is on its way.
//! So every call that makes something runs in a task of its own, which writes down what it made even when whoever
//! asked has long gone away, and [`Ledger::settle`] waits for such calls. Where not even the answer came, so that nobody
//! knows whether something was made, the ledger keeps a [`UnconfirmedCall`] under a name that was given in the call.
//!
//! EC2 is eventually consistent: what one call has made, another may not know for minutes. So nothing is struck out
//! because one look did not find it; [`Evidence`] is what counts.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gpu_suites::event::{Event, ResourceGone, ResourceKind, ResourceMade};
use gpu_suites::id::NodeName;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::timeout;

use super::consistency::CONSISTENT;
use super::error::{CloudError, Unanswered};

/// The book of one node. Clones write in the same book.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: NodeName,
    sink: UnboundedSender<Event>,
    book: Mutex<Book>,
    in_flight: watch::Sender<usize>,
}

/// What a look at the cloud says of a thing's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence<'a> {
    /// It was shown in a final state, or the call that ends it was carried out: the cloud's word for that.
    Ended(&'a str),
    /// It was shown, and has not ended.
    Shown,
    /// It was asked for at this time, by the cloud's clock, and not shown. That proves something only when it goes on
    /// for [`CONSISTENT`].
    Absent(Timestamp),
}

#[derive(Debug, Default)]
struct Book {
    /// `None`: it is gone.
    things: BTreeMap<(ResourceKind, String), Option<Entry>>,
    /// The instance that each volume goes with.
    goes_with: BTreeMap<String, String>,
    doubts: Vec<(UnconfirmedCall, Absence)>,
}

#[derive(Debug)]
struct Entry {
    made: Made,
    absence: Absence,
}

/// Since when a thing was asked for and never shown.
#[derive(Debug, Default, Clone, Copy)]
struct Absence(Option<Timestamp>);

impl Absence {
    /// Whether it has lasted for long enough to be believed.
    fn goes_on(&mut self, at: Timestamp) -> bool {
        let since = *self.0.get_or_insert(at);
        since.duration_until(at) >= CONSISTENT
    }
}

/// A thing that was made and is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub resource: ResourceKind,
    pub id: String,
    pub region: String,
}

/// A call whose answer never came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedCall {
    pub resource: ResourceKind,
    /// By what it can be found: a fleet by its client token, anything else by its name.
    pub by: String,
}

impl Ledger {
    /// An empty book. `sink` is told what is made and what is gone.
    pub fn new(node: NodeName, sink: UnboundedSender<Event>) -> Self {
        let in_flight = watch::Sender::new(0);
        Self(Arc::new(Inner { node, sink, book: Mutex::default(), in_flight }))
    }

    /// Whether both write in the same book.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn node(&self) -> &NodeName {
        &self.0.node
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was made; what stands there already is not told again.
    pub fn made(&self, resource: ResourceKind, id: &str, region: &str) {
        let mut book = self.book();
        let key = (resource, id.to_owned());
        if book.things.contains_key(&key) {
            return;
        }
        let made = Made { resource, id: id.to_owned(), region: region.to_owned() };
        book.things.insert(key, Some(Entry { made, absence: Absence::default() }));
        let (node, id, region) = (self.0.node.clone(), id.to_owned(), region.to_owned());
        let _ = self.0.sink.send(ResourceMade { node, resource, id, region }.into());
    }

    /// Writes down that EC2 deletes a volume with this instance: told once, it holds also when EC2 tells of neither any more.
    pub fn goes_with(&self, volume: &str, instance: &str) {
        self.book().goes_with.insert(volume.to_owned(), instance.to_owned());
    }

    /// Whether the instance that a volume goes with is known to be gone.
    pub fn went_with_its_instance(&self, volume: &str) -> bool {
        let book = self.book();
        let instance = book.goes_with.get(volume);
        instance
            .is_some_and(|id| matches!(book.things.get(&(ResourceKind::INSTANCE, id.clone())), Some(None)))
    }

    /// Takes in what a look has shown, and strikes out what is proven to be gone: the only way out of the book.
    pub fn heard(&self, resource: ResourceKind, id: &str, evidence: Evidence<'_>) {
        let mut book = self.book();
        let Some(slot) = book.things.get_mut(&(resource, id.to_owned())) else { return };
        let Some(entry) = slot else { return };
        let state = match evidence {
            Evidence::Ended(state) => state,
            Evidence::Shown => return entry.absence = Absence::default(),
            Evidence::Absent(at) if entry.absence.goes_on(at) => "not found for 5 minutes",
            Evidence::Absent(_) => return,
        };
        *slot = None;
        tracing::info!(%resource, id, state, "gone");
        let (id, state) = (id.to_owned(), state.to_owned());
        let _ = self.0.sink.send(ResourceGone { resource, id, state }.into());
    }

    /// Whether a thing that is not known to be gone was not shown when it was last asked for.
    pub fn is_absent(&self, resource: ResourceKind, id: &str) -> bool {
        let book = self.book();
        let entry = book.things.get(&(resource, id.to_owned())).and_then(Option::as_ref);
        entry.is_some_and(|entry| entry.absence.0.is_some())
    }

    pub fn left(&self) -> Vec<Made> {
        self.book().things.values().flatten().map(|entry| entry.made.clone()).collect()
    }

    /// The ids of one kind that are not known to be gone.
    pub fn left_of(&self, resource: ResourceKind) -> Vec<String> {
        self.left().into_iter().filter(|made| made.resource == resource).map(|made| made.id).collect()
    }

    pub fn doubts(&self) -> Vec<UnconfirmedCall> {
        self.book().doubts.iter().map(|(doubt, _)| doubt.clone()).collect()
    }

    /// It is known now what that call has made.
    pub fn is_cleared(&self, doubt: &UnconfirmedCall) {
        self.book().doubts.retain(|(other, _)| other != doubt);
    }

    /// Nothing of that call was to be found at this time, by the cloud's clock: where that goes on for [`CONSISTENT`], it
    /// has made nothing.
    pub fn made_nothing(&self, doubt: &UnconfirmedCall, at: Timestamp) {
        self.book().doubts.retain_mut(|(other, absence)| *other != *doubt || !absence.goes_on(at));
    }

    /// Whether there is nothing left to give back.
    pub fn is_clear(&self) -> bool {
        let book = self.book();
        book.doubts.is_empty() && book.things.values().all(Option::is_none) && *self.0.in_flight.borrow() == 0
    }

    /// Makes a thing and writes it down, also where whoever awaits this goes away. `by`: see [`UnconfirmedCall`].
    pub async fn make(
        &self,
        resource: ResourceKind,
        region: &str,
        by: &str,
        making: impl Future<Output = Result<String, impl Into<CloudError> + Send + 'static>> + Send + 'static,
    ) -> Result<String, CloudError> {
        let on_its_way = OnItsWay::new(self.clone());
        let (region, doubt) = (region.to_owned(), UnconfirmedCall { resource, by: by.to_owned() });
        let task = tokio::spawn(async move {
            let ledger = &on_its_way.0;
            let made = making.await.map_err(Into::into);
            match &made {
                Ok(id) => ledger.made(resource, id, &region),
                Err(error) if error.leaves_a_doubt() => {
                    ledger.book().doubts.push((doubt, Absence::default()));
                }
                Err(_) => {}
            }
            made
        });
        match task.await {
            Ok(made) => made,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Unanswered(
                    "a call that makes something has no end: the process is ending".to_owned(),
                )
                .into()),
            },
        }
    }

    /// Waits for every call that makes something; `false` where some are on their way still after `patience`.
    pub async fn settle(&self, patience: Duration) -> bool {
        let mut in_flight = self.0.in_flight.subscribe();
        timeout(patience, in_flight.wait_for(|count| *count == 0)).await.is_ok()
    }
}

/// Counts a call while it is on its way.
struct OnItsWay(Ledger);

impl OnItsWay {
    fn new(ledger: Ledger) -> Self {
        ledger.0.in_flight.send_modify(|count| *count += 1);
        Self(ledger)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.0.in_flight.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::sleep;

    use gpu_suites::exit::Exit;

    use super::super::error::Fault;
    use super::*;
    use crate::text::Explain;

    #[derive(Debug, thiserror::Error)]
    #[error("you may not")]
    struct Denied;

    impl Explain for Denied {
        fn exit(&self) -> Exit {
            Exit::Infrastructure
        }
    }

    impl Fault for Denied {}

    fn ledger() -> (Ledger, UnboundedReceiver<Event>) {
        let (sink, events) = unbounded_channel();
        (Ledger::new(NodeName("cloud".into()), sink), events)
    }

    #[tokio::test]
    async fn what_is_made_after_its_asker_has_gone_is_written_down() {
        let (ledger, _events) = ledger();
        let making = async {
            sleep(Duration::from_millis(50)).await;
            Ok::<_, Denied>("fleet-1".to_owned())
        };
        let asked = ledger.make(ResourceKind::of("fleet"), "us-east-1", "token", making);
        assert!(timeout(Duration::from_millis(5), asked).await.is_err());
        assert!(ledger.left().is_empty() && !ledger.is_clear());
        assert!(!ledger.settle(Duration::from_millis(5)).await);
        assert!(ledger.settle(Duration::from_secs(5)).await);
        assert_eq!(ledger.left_of(ResourceKind::of("fleet")), ["fleet-1"]);
    }

    #[tokio::test]
    async fn a_call_without_an_answer_stays_in_doubt_and_a_refused_one_does_not() {
        let (ledger, _events) = ledger();
        let lost = async { Err(Unanswered("reset".to_owned())) };
        assert!(ledger.make(ResourceKind::of("fleet"), "r", "token", lost).await.is_err());
        let refused = async { Err(Denied) };
        assert!(ledger.make(ResourceKind::of("fleet"), "r", "other", refused).await.is_err());
        let doubt = UnconfirmedCall { resource: ResourceKind::of("fleet"), by: "token".into() };
        assert_eq!(ledger.doubts(), std::slice::from_ref(&doubt));
        assert!(!ledger.is_clear());
        ledger.is_cleared(&doubt);
        assert!(ledger.is_clear());
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + seconds).unwrap()
    }

    #[test]
    fn every_thing_is_told_once_when_it_is_made_and_once_when_it_is_gone() {
        let (ledger, mut events) = ledger();
        for _ in 0..2 {
            ledger.made(ResourceKind::INSTANCE, "i-1", "us-east-1");
        }
        for state in ["terminated", "not found"] {
            ledger.heard(ResourceKind::INSTANCE, "i-1", Evidence::Ended(state));
        }
        ledger.made(ResourceKind::INSTANCE, "i-1", "us-east-1");
        ledger.heard(ResourceKind::INSTANCE, "i-2", Evidence::Ended("terminated"));
        assert!(matches!(events.try_recv(), Ok(Event::ResourceMade(made)) if made.id == "i-1"));
        assert!(matches!(events.try_recv(), Ok(Event::ResourceGone(gone)) if gone.state == "terminated"));
        assert!(events.try_recv().is_err() && ledger.is_clear());
    }

    #[test]
    fn a_look_that_finds_nothing_proves_nothing_until_it_has_gone_on_for_five_minutes() {
        let (ledger, _events) = ledger();
        let (kind, id) = (ResourceKind::of("fleet"), "fleet-1");
        ledger.made(kind, id, "r");
        for (seconds, shown) in [(0, false), (299, false), (300, true), (301, false), (600, false)] {
            let evidence = if shown { Evidence::Shown } else { Evidence::Absent(at(seconds)) };
            ledger.heard(kind, id, evidence);
            assert_eq!((ledger.left().len(), ledger.is_absent(kind, id)), (1, !shown), "{seconds}");
        }
        ledger.heard(kind, id, Evidence::Absent(at(601)));
        assert!(ledger.is_clear());
    }

    #[test]
    fn a_volume_has_gone_with_its_instance_when_that_is_known_to_be_gone_and_no_sooner() {
        let (ledger, _events) = ledger();
        ledger.made(ResourceKind::INSTANCE, "i-1", "r");
        ledger.made(ResourceKind::VOLUME, "vol-1", "r");
        assert!(!ledger.went_with_its_instance("vol-1"), "nobody has said that it goes");
        ledger.goes_with("vol-1", "i-1");
        assert!(!ledger.went_with_its_instance("vol-1"));
        ledger.heard(ResourceKind::INSTANCE, "i-1", Evidence::Ended("terminated"));
        assert!(ledger.went_with_its_instance("vol-1") && !ledger.went_with_its_instance("vol-2"));
    }

    #[test]
    fn a_call_without_an_answer_has_made_nothing_only_when_nothing_was_found_for_five_minutes() {
        let (ledger, _events) = ledger();
        let doubt = UnconfirmedCall { resource: ResourceKind::of("fleet"), by: "token".into() };
        ledger.book().doubts.push((doubt.clone(), Absence::default()));
        for seconds in [0, 3, 299] {
            ledger.made_nothing(&doubt, at(seconds));
            assert!(!ledger.is_clear(), "{seconds}");
        }
        ledger.made_nothing(&doubt, at(300));
        assert!(ledger.is_clear());
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_was_shown_in_the_last_five_minutes_is_ever_struck_out_for_being_absent(
            looks in proptest::collection::vec((0i64..120, proptest::bool::weighted(0.2)), 1..40),
        ) {
            let (ledger, _events) = ledger();
            ledger.made(ResourceKind::INSTANCE, "i-1", "r");
            let (mut now, mut first_absent) = (0, None);
            for (step, is_shown) in looks {
                now += step;
                let evidence = if is_shown { Evidence::Shown } else { Evidence::Absent(at(now)) };
                ledger.heard(ResourceKind::INSTANCE, "i-1", evidence);
                first_absent = if is_shown { None } else { first_absent.or(Some(now)) };
                let is_proven = first_absent.is_some_and(|since| now - since >= 300);
                proptest::prop_assert_eq!(ledger.is_clear(), is_proven);
                if is_proven {
                    break;
                }
            }
        }
    }
}
