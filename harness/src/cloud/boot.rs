//! From an instance's id to a node that can be used: running, reachable, known to be itself, and healthy.
//!
//! Every step has a limit of its own, and all of them together what booting may take: a node that answers and hangs is as
//! bad as one that does not answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gpu_suites::event::{Event, Node as NodeEvent, NodeState, Phase, StartPhase, Warning};
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, timeout};

use super::CloudSettings;
use super::access::Access;
use super::error::CloudError;
use super::keys::NodeKeys;
use super::lease::Renewal;
use super::ledger::Ledger;
use super::life::{self, Action, Contact, InstanceState, Observed, Unfit};
use super::observe::{self, InstanceSeen};
use super::provider::Provider;
use super::release;
use crate::here::Env;
use crate::node::NodeSpec;
use crate::node::health::{self, Unhealthy};
use crate::node::remote::{Remote, RemoteError};
use crate::session::Budget;
use crate::session::moment::Moment;
use crate::session::selfcheck;
use crate::text::chain;
use crate::transport::TransportError;

/// How often the cloud is asked what has become of an instance that is not running yet.
const LOOK: Duration = Duration::from_secs(1);
/// How often a running one is looked at while its port does not answer: that it ended by itself has to be noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long one try at the port may take: a machine without a network stack yet answers nothing.
const KNOCK: Duration = Duration::from_secs(2);
/// Between two tries at the port, or at logging in.
const PAUSE: Duration = Duration::from_millis(250);
const LOGIN: Duration = Duration::from_secs(30);
/// How long the agent may take to come and to look at the node, also where booting took nearly all of its time.
const EXAMINED: Duration = Duration::from_secs(30);

pub(super) struct Booted {
    pub(super) remote: Remote,
    pub(super) instance: InstanceSeen,
    /// What keeps it alive.
    pub(super) renewal: Renewal,
}

#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("{instance} is not usable: {}", told(*.unfit, .last))]
    Unfit { instance: String, unfit: Unfit, last: String },
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// What has to go to the node is not here.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The money that the run may cost is spent.
    #[error("{0}")]
    Money(String),
}

fn told(unfit: Unfit, last: &str) -> String {
    match unfit {
        Unfit::HungBoot => format!("it could not be reached in the time that booting may take ({last})"),
        Unfit::Stranger => {
            format!("another machine answers at its address, or its user data never ran ({last})")
        }
        Unfit::Unhealthy => last.to_owned(),
        Unfit::Ended => format!("it ended while it booted ({last})"),
    }
}

pub(super) struct Boot<'a> {
    pub(super) cloud: &'a dyn Provider,
    pub(super) ledger: &'a Ledger,
    pub(super) settings: &'a CloudSettings,
    pub(super) node: &'a NodeSpec,
    pub(super) keys: &'a Arc<NodeKeys>,
    /// Learns the way in as soon as there is one.
    pub(super) access: &'a OnceLock<Access>,
    pub(super) health: health::Requirements,
    pub(super) sink: &'a UnboundedSender<Event>,
    /// Says where the programs for the node are.
    pub(super) env: &'a Env,
    /// When the cloud was asked for it.
    pub(super) asked_at: Timestamp,
}

/// Where the way up stands.
struct BootProgress {
    instance: InstanceSeen,
    seen: Observed,
    remote: Option<Remote>,
    renewal: Option<Renewal>,
    looked_at: Instant,
    phase_at: Instant,
    /// By the cloud's clock, as everything that decides on the node's life.
    stranger_since: Option<Timestamp>,
    /// What was last seen, for the message should it end here.
    last: String,
}

impl Boot<'_> {
    /// Leads the instance `id` up, for as long as the money lasts.
    pub(super) async fn lead(&self, id: &str, budget: Option<&Budget>) -> Result<Booted, BootError> {
        tokio::select! {
            led = self.lead_up(id) => led,
            () = Moment::of(budget.map(|budget| budget.end_at.0)) => {
                Err(BootError::Money(budget.map(|budget| budget.end_at.1.clone()).unwrap_or_default()))
            }
        }
    }

    async fn lead_up(&self, id: &str) -> Result<Booted, BootError> {
        let now = Instant::now();
        let instance = observe::instance(self.cloud, id).await?;
        let mut way = BootProgress {
            seen: Observed {
                instance: Some(instance.state),
                contact: Contact::None,
                age: Duration::ZERO,
                stranger_for: Duration::ZERO,
            },
            instance,
            remote: None,
            renewal: None,
            looked_at: now,
            phase_at: now,
            stranger_since: None,
            last: "it was just launched".to_owned(),
        };
        self.became(NodeState::Booting, id);
        if way.instance.state == InstanceState::Running {
            self.runs(&mut way);
        }
        // The instance is there: its launch template, which holds its host key, is needed no longer.
        if let Err(error) = release::drop_what_launched(self.cloud, self.ledger).await {
            way.last = chain(&error);
        }
        loop {
            way.seen.age =
                Duration::try_from(self.asked_at.duration_until(self.cloud.now())).unwrap_or_default();
            way.seen.stranger_for = way.stranger_since.map_or(Duration::ZERO, |since| self.since(since));
            match life::next(&way.seen, self.settings.boot_timeout) {
                Action::AwaitInstance => self.look(&mut way, LOOK).await?,
                Action::AwaitPort => {
                    self.knock(&mut way).await;
                    self.look(&mut way, LOOK_AGAIN).await?;
                }
                Action::LogIn => {
                    self.log_in(&mut way).await?;
                    self.look(&mut way, LOOK_AGAIN).await?;
                }
                Action::Examine => self.examine(&mut way).await?,
                Action::Run => {
                    if let Some((remote, renewal)) = way.remote.take().zip(way.renewal.take()) {
                        return Ok(Booted { remote, instance: way.instance, renewal });
                    }
                    way.seen.contact = Contact::None;
                }
                Action::Replace(unfit) => {
                    return Err(BootError::Unfit { instance: id.to_owned(), unfit, last: way.last });
                }
            }
        }
    }

    fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_until(self.cloud.now())).unwrap_or_default()
    }

    /// Asks the cloud again, `every` so often.
    async fn look(&self, way: &mut BootProgress, every: Duration) -> Result<(), BootError> {
        if way.looked_at.elapsed() < every {
            sleep(PAUSE).await;
            return Ok(());
        }
        way.looked_at = Instant::now();
        match observe::now(self.cloud, &way.instance.id).await {
            Ok(Some(instance)) => {
                instance.note(self.ledger, self.cloud.region());
                way.instance = instance;
            }
            // It was shown before: a part of the cloud does not know it yet.
            Ok(None) => {
                "the cloud does not show it just now".clone_into(&mut way.last);
                return Ok(());
            }
            // An API that is out of reach for a while is no reason to give a booting node up.
            Err(error) if error.is_transient() => {
                way.last = chain(&error);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let before = way.seen.instance.replace(way.instance.state);
        if let Some(reason) = &way.instance.reason {
            way.last.clone_from(reason);
        }
        if way.instance.state == InstanceState::Running && before != Some(InstanceState::Running) {
            self.runs(way);
        }
        Ok(())
    }

    fn runs(&self, way: &mut BootProgress) {
        self.phase(way, StartPhase::Pending);
        "it runs, and its ssh port does not answer".clone_into(&mut way.last);
    }

    async fn knock(&self, way: &mut BootProgress) {
        let Some(host) = way.instance.address.clone() else {
            "it runs and has no address that can be reached".clone_into(&mut way.last);
            return;
        };
        match timeout(KNOCK, TcpStream::connect((host.as_str(), self.settings.port))).await {
            Ok(Ok(_)) => {
                way.seen.contact = Contact::PortOpen;
                self.phase(way, StartPhase::Boot);
            }
            Ok(Err(error)) => way.last = format!("port {} of {host}: {error}", self.settings.port),
            Err(_) => way.last = format!("port {} of {host} does not answer", self.settings.port),
        }
    }

    async fn log_in(&self, way: &mut BootProgress) -> Result<(), BootError> {
        let Some(host) = way.instance.address.clone() else {
            way.seen.contact = Contact::None;
            return Ok(());
        };
        let access = Access::new(self.settings, &host, Arc::clone(self.keys));
        let Ok(connected) = timeout(LOGIN, access.connect()).await else {
            way.last = format!("its ssh server answers and lets nobody in within {} s", LOGIN.as_secs());
            way.seen.contact = Contact::PortOpen;
            return Ok(());
        };
        match connected {
            Ok(transport) => {
                let node = access.node(self.node);
                way.renewal.get_or_insert_with(|| Renewal::begin(access.clone(), node.lease));
                let _ = self.access.set(access);
                way.remote = Some(Remote::new(node, transport, self.env)?);
                way.seen.contact = Contact::LoggedIn;
                self.phase(way, StartPhase::Ssh);
                self.became(NodeState::Reachable, &format!("{host}, with the host key that it was given"));
            }
            Err(error) => {
                way.last = chain(&error);
                let is_stranger = matches!(error, TransportError::HostKeyNotPinned { .. });
                if is_stranger {
                    way.stranger_since.get_or_insert_with(|| self.cloud.now());
                    way.seen.contact = Contact::Stranger;
                } else {
                    way.seen.contact = Contact::PortOpen;
                }
            }
        }
        Ok(())
    }

    /// Brings the agent and lets it look at the GPU.
    async fn examine(&self, way: &mut BootProgress) -> Result<(), BootError> {
        let Some(remote) = &mut way.remote else {
            way.seen.contact = Contact::None;
            return Ok(());
        };
        let limit = self.settings.boot_timeout.saturating_sub(way.seen.age).max(EXAMINED);
        let asked = remote.within(limit, "tell what it has", selfcheck::facts(remote));
        let facts = match asked.await {
            Ok(facts) => facts,
            Err(error) if error.is_transient() => {
                way.last = chain(&error);
                way.remote = None;
                way.seen.contact = Contact::PortOpen;
                return Ok(());
            }
            Err(error @ RemoteError::Program(_)) => return Err(error.into()),
            Err(error) => {
                way.last = chain(&error);
                way.seen.contact = Contact::Unfit;
                return Ok(());
            }
        };
        if facts.armed.is_none() {
            let message = format!(
                "{} says nothing of its own end: its user data did not arm it; the cloud's own end and the lease of its runs stand",
                way.instance.id
            );
            let _ = self.sink.send(Warning { case: None, message }.into());
        }
        match health::judge(&facts, &self.health) {
            Ok(()) => {
                way.seen.contact = Contact::Healthy;
                self.phase(way, StartPhase::Health);
                self.became(NodeState::Healthy, "");
            }
            Err(found) => {
                let found: Vec<String> = found.iter().map(Unhealthy::to_string).collect();
                way.last = found.join("; ");
                way.seen.contact = Contact::Unfit;
            }
        }
        Ok(())
    }

    fn phase(&self, way: &mut BootProgress, phase: StartPhase) {
        let seconds = way.phase_at.elapsed().as_secs_f64();
        way.phase_at = Instant::now();
        let _ = self.sink.send(Phase { node: self.node.name.clone(), phase, seconds }.into());
    }

    fn became(&self, state: NodeState, detail: &str) {
        let event = NodeEvent { node: self.node.name.clone(), state, detail: detail.to_owned() };
        let _ = self.sink.send(event.into());
    }
}
