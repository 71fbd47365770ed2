//! The conversation with a node's agent: start a run, follow its journal to the end, and come back after every cut.
//!
//! The journal's numbering is what makes this safe. The session knows the next number that it wants; after a cut it
//! asks for the journal from there. A record that comes twice is dropped, a gap is an error, and half a line is no
//! line: so every event is kept once, in order, wherever the connection was cut.
//!
//! Whatever a session waits for, it hears what may end the run (`alarms`), and each wait has an end of its own
//! (`limits`): a node that does not answer, or answers for ever, holds nobody.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`error`] | why was a run not followed to its end? |
//! | `converse` | what is one conversation, from its first word to its last? |
//! | `hear` | what does a line of the agent's mean? |
//! | `supply` | how does a node get the files that it lacks? |
//! | `reconnect` | how is a node reached again, and when is it given up? |
//! | `end` | what is left to do when all records are here? |
//! | `alarms`, `stop` | what may end a run before its time, and what does it do? |
//! | `limits`, `pulse` | how long may each part take, and is the node alive? |
//! | [`intake`], `amended` | what of the node's records is taken, and how is it made safe? |
//! | [`interrupt`], [`moment`], `patience` | who asks it to stop, by which clock, and how long is a try worth? |
//! | [`selfcheck`] | can the node run anything at all? |

mod alarms;
mod amended;
mod converse;
mod end;
pub mod error;
mod hear;
pub(crate) mod intake;
pub mod interrupt;
mod limits;
pub mod moment;
mod patience;
mod pulse;
mod reconnect;
pub mod selfcheck;
mod stop;
mod supply;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use gpu_suites::event::StartPhase;
use gpu_suites::id::Sha256;
use gpu_suites::plan::Plan;
use gpu_suites::seal::Key;
use gpu_suites::wire::Request;
use tokio::time::Instant;

use crate::files::content::Blob;
use crate::node::remote::Remote;
use crate::recorder::Records;
use crate::session::intake::Intake;
use crate::session::interrupt::Interrupts;
use crate::session::moment::Moment;
use crate::session::patience::Patience;
use alarms::Alarms;
pub use alarms::Budget;
pub use error::SessionError;
use hear::Trouble;
pub(crate) use pulse::renewal;
use stop::Stop;

/// How much longer than the run's own limit the harness waits for the agent to say that it was reached.
const LIMIT_GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The node has run what it was given.
    Finished,
    /// Its cloud takes the node away; what has not finished is for another one.
    Reclaimed,
}

enum Ended {
    Finished,
    NoAgent,
    Missing(Vec<Sha256>),
}

/// What the node was given because it lacked it: once is enough.
#[derive(Default)]
struct Supplied {
    agent: bool,
    files: bool,
}

/// Requests that wait for their answers: each is answered once.
#[derive(Default)]
struct Asked {
    hello: bool,
    start: bool,
    renewals: u64,
}

enum Opening {
    Start,
    Attach,
}

pub struct Session<'a> {
    remote: &'a mut Remote,
    recorder: &'a mut dyn Records,
    alarms: Alarms<'a>,
    /// Amended where its files change while they are sent.
    plan: Cow<'a, Plan>,
    blobs: &'a [Blob],
    /// The next record that is wanted from the node's journal.
    next: u64,
    intake: Intake,
    /// Shows the run's supervisor that it is us.
    key: Key,
    /// What this conversation's agent was asked and has not answered.
    asked: Asked,
    reachable: bool,
    started: bool,
    /// Who wants the run to end before its last case.
    stop: Option<Stop>,
    /// Until when the agent has to have started the run, over all tries.
    start_by: Option<Moment>,
    /// The last record is here; what is left is to fetch the artifacts and to say so.
    complete: bool,
    /// Until when that may take, over all tries.
    fetched_by: Option<Moment>,
    /// The node said that it is being taken away.
    reclaimed: bool,
    /// Renewed whenever the run gets on: a node that can be reached and does nothing is tried no longer than one that cannot.
    patience: Patience,
    /// How many files the node lacked when it last said so.
    lacked: Option<usize>,
    /// On a node that was made for the run: when the start-up phase that goes on began.
    starting: Option<(StartPhase, Instant)>,
    /// Whether the node was made for the run: making it ready is a part of its start.
    is_new_node: bool,
}

impl<'a> Session<'a> {
    /// A session for `plan`, whose blobs are in `blobs`.
    pub fn new(
        remote: &'a mut Remote,
        recorder: &'a mut dyn Records,
        interrupts: &'a mut Interrupts,
        plan: &'a Plan,
        blobs: &'a [Blob],
    ) -> Self {
        let key = Key::new();
        let mut alarms = Alarms::new(interrupts);
        alarms.limit = plan.timeout.map(|timeout| Moment::after(timeout.0.saturating_add(LIMIT_GRACE)));
        Self {
            remote,
            recorder,
            alarms,
            plan: Cow::Borrowed(plan),
            blobs,
            next: 0,
            intake: {
                crate::log::secret(key.reveal());
                Intake::of(plan, key.clone())
            },
            key,
            asked: Asked::default(),
            reachable: false,
            started: false,
            stop: None,
            start_by: None,
            complete: false,
            fetched_by: None,
            reclaimed: false,
            patience: Patience::default(),
            lacked: None,
            starting: None,
            is_new_node: false,
        }
    }

    /// The same, on a node that was made for the run, is known to be healthy, and costs money.
    #[must_use]
    pub fn on_new_node(mut self, budget: Option<Budget>) -> Self {
        (self.reachable, self.is_new_node) = (true, true);
        self.starting = Some((StartPhase::Deploy, Instant::now()));
        self.within(budget)
    }

    /// The same, on a node that costs money.
    #[must_use]
    pub fn within(mut self, budget: Option<Budget>) -> Self {
        self.alarms.within(budget);
        self
    }

    /// Runs the plan and follows it to its end; artifacts are in `recorder`'s run folder afterwards, as far as they came.
    pub async fn follow(mut self) -> Result<Followed, SessionError> {
        let mut supplied = Supplied::default();
        loop {
            match self.step(&mut supplied).await {
                Ok(ControlFlow::Break(())) => break,
                Ok(ControlFlow::Continue(())) => {}
                Err(SessionError::Remote(error)) if error.is_transient() => self.reconnect(error).await?,
                Err(error) => return Err(error),
            }
        }
        match self.stop {
            Some(Stop::Money(why)) => Err(SessionError::Money { why }),
            _ if self.reclaimed => Ok(Followed::Reclaimed),
            _ => Ok(Followed::Finished),
        }
    }

    /// One conversation, and what the node turned out to lack.
    async fn step(&mut self, supplied: &mut Supplied) -> Result<ControlFlow<()>, SessionError> {
        let opening = if self.started { Opening::Attach } else { Opening::Start };
        match self.converse(opening).await? {
            Ended::Finished => return Ok(ControlFlow::Break(())),
            Ended::NoAgent if supplied.agent => {
                return Err(self.protocol("gpu-agent is not where it was just put"));
            }
            Ended::Missing(_) if supplied.files => {
                return Err(self.protocol("files are missing that it just took"));
            }
            Ended::NoAgent => {
                self.supplies();
                let limit = limits::sending(self.remote.agent_bytes(), self.plan.lease);
                self.within_limit("take gpu-agent", limit, async |remote| remote.bootstrap().await).await?;
                supplied.agent = true;
                self.patience.renew();
            }
            Ended::Missing(wanted) => {
                self.supplies();
                // What arrived before a cut is not sent again.
                if self.lacked.is_some_and(|before| wanted.len() < before) {
                    self.patience.renew();
                }
                self.lacked = Some(wanted.len());
                self.upload(&wanted).await?;
                supplied.files = true;
                self.patience.renew();
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn node(&self) -> String {
        self.remote.node().name.to_string()
    }

    fn protocol(&self, problem: &str) -> SessionError {
        SessionError::Protocol { node: self.node(), problem: problem.to_owned() }
    }
}

pub(crate) fn line(request: &Request) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(request).unwrap_or_else(|error| unreachable!("a request is plain data: {error}"));
    line.push(b'\n');
    line
}
