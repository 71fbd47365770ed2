//! The conversation with a node's agent: start a run, follow its journal to the end, and come back after every cut.
//!
//! The journal's numbering is what makes this safe. The session knows the next number that it wants; after a cut it
//! asks for the journal from there. A record that comes twice is dropped, a gap is an error, and half a line is no
//! line: so every event is kept once, in order, wherever the connection was cut.
//!
//! Whatever a session waits for, it hears what may end the run ([`alarms`]), and each wait has an end of its own
//! ([`limits`]): a node that does not answer, or answers for ever, holds nobody.

mod alarms;
mod amended;
pub(crate) mod intake;
pub mod interrupt;
mod limits;
pub mod moment;
mod patience;
pub mod selfcheck;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use gpu_suites::event::{
    ConnectionLost, EndCause, Event, Interrupted, NodeState, Phase, Reattached, Record, StartPhase, Upload,
    Warning,
};
use gpu_suites::id::Sha256;
use gpu_suites::lines::{Line, Lines, TooLong};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{OnExpiry, PROTOCOL, Plan};
use gpu_suites::seal::Key;
use gpu_suites::unit::Span;
use gpu_suites::wire::{Reply, Request};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::files::content::Blob;
use crate::node::remote::{Remote, RemoteError};
use crate::recorder::Records;
use crate::session::intake::{Intake, LONGEST_LINE, Taken};
use crate::session::interrupt::Interrupts;
use crate::session::moment::Moment;
use crate::session::patience::Patience;
use crate::text::chain;
use crate::transport::Exec;
pub use alarms::Budget;
use alarms::{Alarm, Alarms};

/// A node that says nothing for this long, though it was asked, is out of reach.
const SILENCE: Duration = Duration::from_secs(20);
/// How much is shown of what an agent says it is.
const LONGEST_VERSION: usize = 60;
/// How long the agent may take to end a run that was cancelled: its grace for the case is 5 s.
const CANCEL_GRACE: Duration = Duration::from_secs(30);
/// How much longer than the run's own limit the harness waits for the agent to say that it was reached.
const LIMIT_GRACE: Duration = Duration::from_secs(30);
/// How long artifacts are fetched once a signal has asked for the end: whoever sent it kills soon.
const AFTER_SIGNAL: Duration = Duration::from_secs(2);
/// How long an agent that was told that it is over may take to end.
const BYE: Duration = Duration::from_secs(5);
/// How soon it is looked again whether there is room for more records.
const NO_ROOM: Duration = Duration::from_millis(20);

/// Why a run was not followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The node refused, or could not be set up.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What comes cannot be kept here.
    #[error("the run was ended, since what happens cannot be recorded")]
    Unrecorded,
    /// The node was out of reach, or nothing got on there, for longer than its lease.
    #[error("{node} {how}: {last}")]
    Lost {
        /// The node.
        node: String,
        /// Which of them, and for how long.
        how: String,
        /// The last error.
        #[source]
        last: Box<RemoteError>,
    },
    /// The agent's supervisor died.
    #[error("the agent on {node} died in mid-run; its log is supervisor.log in the run's folder there")]
    AgentDied {
        /// The node.
        node: String,
    },
    /// The agent sent something that no agent sends.
    #[error("{node} sent what no agent sends: {problem}")]
    Protocol {
        /// The node.
        node: String,
        /// What.
        problem: String,
    },
    /// The run's time limit was reached and the agent did not end the run.
    #[error("the run's time limit was reached, and the agent on {node} did not end the run")]
    Limit {
        /// The node.
        node: String,
    },
    /// The agent lives, and does not do what it is there for.
    #[error("{node} has not {} in the {} that this may take", if *.started { "ended its cases" } else { "started the run" }, Span(*.within))]
    Overdue {
        /// The node.
        node: String,
        /// Whether the run had started.
        started: bool,
        /// All that it may take: of the cases, their timeouts, each as often as it may be tried, and what the agent needs
        /// around them.
        within: Duration,
    },
    /// The money that the run may cost is spent.
    #[error("{why}")]
    Money {
        /// What was to be spent, and on what it went.
        why: String,
    },
    /// The node was taken away, or ended by itself.
    #[error("{node} is gone: {why}")]
    Taken {
        /// The node.
        node: String,
        /// The cloud's reason.
        why: String,
    },
    /// A file was not the same any more when it was sent.
    #[error("{path} was written or removed while it was sent; run again")]
    Changed {
        /// The file.
        path: String,
    },
    /// No node could be had.
    #[error(transparent)]
    NotHad(Box<dyn std::error::Error + Send + Sync>),
    /// The user wants it to end now.
    #[error("interrupted by {by}")]
    Interrupted {
        /// The signal.
        by: &'static str,
    },
}

impl SessionError {
    /// What this makes of a case that it has kept from its end.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Interrupted { .. } => Outcome::Cancelled,
            Self::Limit { .. } | Self::Money { .. } => Outcome::TimedOut,
            _ => Outcome::Errored,
        }
    }

    /// Whether the node said or sent what none of ours does: nor is it believed what its cases came to.
    pub fn is_of_a_false_node(&self) -> bool {
        matches!(self, Self::Protocol { .. } | Self::Remote(RemoteError::Artifacts { .. }))
    }
}

/// How a run on a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The node has run what it was given.
    Finished,
    /// Its cloud takes the node away; what has not finished is for another one.
    Reclaimed,
}

/// How one conversation ended.
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

/// What to open a conversation with.
enum Opening {
    Start,
    Attach,
}

/// A run on a node, being followed.
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
            intake: Intake::of(plan, key.clone()),
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
        }
    }

    /// The same, on a node that was made for the run, is known to be healthy, and costs money.
    #[must_use]
    pub fn on_new_node(mut self, budget: Option<Budget>) -> Self {
        self.reachable = true;
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

    /// The node is given what it lacks: its time to start the run begins when it has that.
    fn supplies(&mut self) {
        (self.alarms.overdue, self.start_by) = (None, None);
    }

    /// One conversation, to its end or to the end of the connection.
    async fn converse(&mut self, opening: Opening) -> Result<Ended, SessionError> {
        let mut exec = self.remote.start(&["serve"]).await?;
        // All is said at once: each answer waited for would cost a round trip.
        let open = Request::Open { protocol: PROTOCOL, harness: env!("CARGO_PKG_VERSION").to_owned() };
        let second = match opening {
            Opening::Start => {
                Request::Start { plan: Box::new(Plan::clone(&self.plan)), key: self.key.clone() }
            }
            Opening::Attach => {
                Request::Attach { run: self.plan.run.clone(), from: self.next, key: self.key.clone() }
            }
        };
        let mut said = line(&open);
        said.extend(line(&second));
        // Said before the cut, it may not have been heard.
        said.extend(self.stop.iter().filter(|_| self.started).flat_map(|stop| line(&stop.request())));
        if exec.stdin.write(said).await.is_err() {
            return self.unexpected_end(exec).await;
        }
        if self.complete {
            return self.finish(exec).await;
        }
        if !self.started {
            let limit = limits::starting(self.plan.lease);
            self.alarms.overdue = Some(*self.start_by.get_or_insert_with(|| Moment::after(limit)));
        }
        self.asked = Asked { hello: true, start: true, renewals: 0 };
        let mut lines = Lines::of_at_most(LONGEST_LINE);
        let mut pulse = Pulse::begin(self.plan.lease.ttl.0);
        loop {
            if self.recorder.is_broken() {
                return Err(SessionError::Unrecorded);
            }
            let has_room = self.recorder.has_room();
            tokio::select! {
                chunk = exec.stdout.recv(), if has_room => {
                    let Some(chunk) = chunk else { return self.unexpected_end(exec).await };
                    let chunk = chunk.map_err(RemoteError::from)?;
                    pulse.heard();
                    let mut end = ControlFlow::Continue(());
                    lines.feed(&chunk, |line| {
                        let Line::Whole(line) = line else { return Err(TooLong { most: LONGEST_LINE }.into()) };
                        if end.is_continue() {
                            end = self.heard(line)?;
                        }
                        Ok::<_, Trouble>(())
                    }).map_err(|trouble| self.trouble(trouble))?;
                    match end {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(Ended::Finished) => return self.finish(exec).await,
                        ControlFlow::Break(ended) => return Ok(ended),
                    }
                }
                // A node that is not listened to cannot be blamed for its silence.
                () = sleep(NO_ROOM), if !has_room => pulse.heard(),
                () = sleep_until(pulse.renew_at) => {
                    self.asked.renewals += 1;
                    pulse.beat(&mut exec, self.remote).await?;
                }
                alarm = self.alarms.next() => self.alarmed(alarm, &mut exec).await?,
            }
        }
    }

    /// What an alarm means while cases run: the agent is asked to end them, or the run ends here.
    async fn alarmed(&mut self, alarm: Alarm, exec: &mut Exec) -> Result<(), SessionError> {
        let stop = match alarm {
            Alarm::Warning(message) => {
                self.recorder.keep(Warning { case: None, message }.into());
                return Ok(());
            }
            Alarm::Signal(by) if self.started && self.stop.is_none() => {
                self.recorder.keep(Interrupted { by: by.to_owned() }.into());
                Stop::Signal(by)
            }
            Alarm::Spent(why) if self.started && self.stop.is_none() => Stop::Money(why),
            // The run ends already, and has its time for that.
            Alarm::Spent(_) if self.started => return Ok(()),
            other => return Err(self.ended_by(other)),
        };
        let cancel = line(&stop.request());
        self.stop = Some(stop);
        self.alarms.grace = Some(Moment::after(CANCEL_GRACE));
        let _ = timeout(renewal(self.plan.lease.ttl.0), exec.stdin.write(cancel)).await;
        Ok(())
    }

    /// The end of the run by an alarm, where nothing else is left to do.
    fn ended_by(&self, alarm: Alarm) -> SessionError {
        let node = self.node();
        match (alarm, self.stop.as_ref()) {
            (Alarm::Spent(why), _) => SessionError::Money { why },
            (Alarm::Signal(by), _) | (_, Some(&Stop::Signal(by))) => SessionError::Interrupted { by },
            (_, Some(Stop::Money(why))) => SessionError::Money { why: why.clone() },
            (Alarm::Overdue, None) => {
                let (started, plan) = (self.started, &self.plan);
                let within = if started { limits::cases(plan) } else { limits::starting(plan.lease) };
                SessionError::Overdue { node, started, within }
            }
            (Alarm::Limit | Alarm::Grace | Alarm::Warning(_), None) => SessionError::Limit { node },
        }
    }

    /// Takes one line of the agent's.
    fn heard(&mut self, line: &[u8]) -> Result<ControlFlow<Ended>, Trouble> {
        let text = std::str::from_utf8(line).map_err(|_| Trouble::Odd("a line that is not UTF-8".into()))?;
        if text.starts_with("{\"reply\":") {
            self.intake.charge(line.len()).map_err(Trouble::Odd)?;
            let reply =
                serde_json::from_str(text).map_err(|error| Trouble::Odd(format!("a reply: {error}")))?;
            return self.answered(reply);
        }
        let record = Record::parse(text).map_err(|error| Trouble::Odd(error.to_string()))?;
        if record.seq < self.next {
            self.intake.charge(line.len()).map_err(Trouble::Odd)?;
            return Ok(ControlFlow::Continue(()));
        }
        if record.seq > self.next {
            return Err(Trouble::Odd(format!("record {} where {} was next", record.seq, self.next)));
        }
        self.next += 1;
        self.patience.renew();
        if let Event::RunFinished(finished) = &record.event {
            self.complete = true;
            self.reclaimed = finished.cause == Some(EndCause::Reclaimed);
        }
        match self.intake.take(record, line).map_err(Trouble::Odd)? {
            Taken::In(record) => self.recorder.node(*record),
            Taken::LeftOut { is_first: true } => {
                let message = format!("{} tells of what is not its own; that is left out", self.node());
                self.recorder.keep(Warning { case: None, message }.into());
            }
            Taken::LeftOut { is_first: false } => {}
        }
        self.phase_is_over(None);
        Ok(if self.complete { ControlFlow::Break(Ended::Finished) } else { ControlFlow::Continue(()) })
    }

    /// Keeps how long the start-up phase that goes on has taken; `following` begins.
    fn phase_is_over(&mut self, following: Option<StartPhase>) {
        let Some((phase, begun)) = self.starting.take() else { return };
        self.starting = following.map(|phase| (phase, Instant::now()));
        let (node, seconds) = (self.remote.node().name.clone(), begun.elapsed().as_secs_f64());
        self.recorder.keep(Phase { node, phase, seconds }.into());
    }

    fn answered(&mut self, reply: Reply) -> Result<ControlFlow<Ended>, Trouble> {
        match reply {
            Reply::Hello { .. } if !std::mem::take(&mut self.asked.hello) => return Err(Trouble::unasked()),
            Reply::Started if !std::mem::take(&mut self.asked.start) => return Err(Trouble::unasked()),
            Reply::Hello { protocol, agent, .. } => {
                if protocol != PROTOCOL {
                    return Err(Trouble::Odd(format!("that it speaks protocol {protocol}, not {PROTOCOL}")));
                }
                if !self.reachable {
                    self.reachable = true;
                    let agent = crate::text::clean::one_line(&agent, LONGEST_VERSION);
                    self.recorder.node_is(NodeState::Reachable, &format!("gpu-agent {agent}"));
                }
            }
            Reply::Started => {
                if !self.started {
                    self.started = true;
                    self.patience.renew();
                    self.alarms.overdue = Some(Moment::after(limits::cases(&self.plan)));
                    self.recorder.node_is(NodeState::Running, "");
                    self.phase_is_over(Some(StartPhase::FirstEvent));
                }
            }
            Reply::Alive => {
                self.asked.renewals = self.asked.renewals.checked_sub(1).ok_or_else(Trouble::unasked)?;
                self.patience.renew();
            }
            Reply::Missing { .. } if !self.asked.start => return Err(Trouble::unasked()),
            Reply::Missing { blobs } => return Ok(ControlFlow::Break(Ended::Missing(blobs))),
            Reply::Refused { error } => return Err(Trouble::Refused(error)),
            Reply::Gone => return Err(Trouble::Gone),
            Reply::Received { .. } => return Err(Trouble::unasked()),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All records are here: brings the artifacts, then lets the run's folder on the node go.
    async fn finish(&mut self, mut exec: Exec) -> Result<Ended, SessionError> {
        if self.intake.left_out > 1 {
            let message = format!("{} records of the node's were left out", self.intake.left_out);
            self.recorder.keep(Warning { case: None, message }.into());
            self.intake.left_out = 0;
        }
        let mut refused = None;
        if let Some(bytes) = self.intake.announced.bytes() {
            self.recorder.node_is(NodeState::Draining, "fetching artifacts");
            let limit = match self.stop {
                Some(Stop::Signal(_)) => AFTER_SIGNAL,
                _ => limits::fetching(bytes, self.plan.lease),
            };
            let by = *self.fetched_by.get_or_insert_with(|| Moment::after(limit));
            match self.fetch(&mut exec, by).await {
                // The node is let go all the same.
                Err(error @ SessionError::Remote(RemoteError::Artifacts { .. })) => refused = Some(error),
                Err(SessionError::Remote(error)) if !error.is_transient() => {
                    let message = format!("the artifacts could not be fetched: {}", chain(&error));
                    self.recorder.keep(Warning { case: None, message }.into());
                }
                fetched => fetched?,
            }
        }
        self.recorder.files_came();
        let _ = timeout(BYE, exec.stdin.write(line(&Request::Bye))).await;
        exec.stdin.close();
        // The agent's end says that it heard; a node that keeps it to itself cleans up when the lease ends.
        let _ = timeout(BYE, exec.wait()).await;
        // A node that was made for the run is gone when its cloud says so.
        if self.plan.lease.on_expiry == OnExpiry::Exit {
            self.recorder.node_is(NodeState::Gone, "left as it was found");
        }
        refused.map_or(Ok(Ended::Finished), Err)
    }

    /// Brings the artifacts, and keeps the run on the node alive until they are here.
    async fn fetch(&mut self, exec: &mut Exec, by: Moment) -> Result<(), SessionError> {
        let folder = self.recorder.folder().join("cases");
        let mut pulse = Pulse::begin(self.plan.lease.ttl.0);
        let limit = by.left();
        // The cases have ended.
        (self.alarms.overdue, self.alarms.grace) = (None, None);
        let (remote, recorder, alarms) = (&*self.remote, &mut *self.recorder, &mut self.alarms);
        let mut fetching = pin!(remote.fetch(&self.plan.run, self.intake.announced.clone(), folder));
        let mut listens = true;
        let alarm = loop {
            tokio::select! {
                fetched = &mut fetching => return Ok(fetched?),
                // What the agent has to say yet is that it lives.
                chunk = exec.stdout.recv(), if listens => match chunk {
                    Some(chunk) => {
                        chunk.map_err(RemoteError::from)?;
                        pulse.heard();
                    }
                    None => listens = false,
                },
                () = sleep_until(pulse.renew_at), if listens => pulse.beat(exec, remote).await?,
                () = by.come() => {
                    let node = remote.node().name.to_string();
                    return Err(RemoteError::Slow { node, doing: "send its artifacts", limit }.into());
                }
                alarm = alarms.next() => match alarm {
                    Alarm::Warning(message) => recorder.keep(Warning { case: None, message }.into()),
                    Alarm::Signal(by) => {
                        recorder.keep(Interrupted { by: by.to_owned() }.into());
                        break Alarm::Signal(by);
                    }
                    other => break other,
                },
            }
        };
        Err(self.ended_by(alarm))
    }

    /// The agent's output ended before the run did.
    async fn unexpected_end(&mut self, exec: Exec) -> Result<Ended, SessionError> {
        let mut exec = exec;
        // It may have closed its output and live on.
        let Ok(status) = timeout(SILENCE, exec.wait()).await else {
            let (node, said) = (self.node(), exec.stderr_text());
            return Err(RemoteError::Silent { node, silence: SILENCE, said }.into());
        };
        let status = status.map_err(RemoteError::from)?;
        if Remote::lacks_agent(&status) {
            return Ok(Ended::NoAgent);
        }
        Err(self.remote.ended("serve", status, &exec).into())
    }

    async fn upload(&mut self, wanted: &[Sha256]) -> Result<(), SessionError> {
        let wanted: BTreeSet<&Sha256> = wanted.iter().collect();
        let distinct: BTreeMap<&Sha256, u64> =
            self.blobs.iter().map(|blob| (&blob.sha256, blob.bytes)).collect();
        let bytes =
            distinct.iter().filter(|(sha256, _)| wanted.contains(*sha256)).map(|(_, bytes)| bytes).sum();
        let sent = distinct.keys().filter(|sha256| wanted.contains(*sha256)).count();
        let present = distinct.len() - sent;
        // Every file that has such a content: where one of them is written meanwhile, another may have it still.
        let missing = self.blobs.iter().filter(|blob| wanted.contains(&blob.sha256)).cloned().collect();
        let begun = Instant::now();
        let limit = limits::sending(bytes, self.plan.lease);
        let changed =
            self.within_limit("take files", limit, async |remote| remote.send(missing).await).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.recorder.keep(Upload { sent, present, bytes, seconds }.into());
        if let Some(message) = amended::told(&changed) {
            amended::amend(self.plan.to_mut(), &changed).map_err(|path| SessionError::Changed { path })?;
            self.recorder.keep(Warning { case: None, message }.into());
        }
        Ok(())
    }

    /// Tries to reach the node again, for as long as its lease can last and something gets on there.
    async fn reconnect(&mut self, error: RemoteError) -> Result<(), SessionError> {
        let lost = Instant::now();
        let lease = self.plan.lease.ttl.0;
        self.recorder.keep(ConnectionLost { error: chain(&error) }.into());
        let mut latest = error;
        let mut pause = self.patience.trouble(Instant::now());
        while lost.elapsed() < lease {
            if self.patience.is_over(lease, Instant::now()) {
                let (tries, seconds) =
                    (self.patience.tries(), self.patience.lasted(Instant::now()).as_secs());
                let how = format!(
                    "can be reached, and nothing gets on: {tries} connections within {seconds} s broke off"
                );
                return self.lose(how, latest);
            }
            self.meanwhile(sleep(pause)).await?;
            let left = lease.saturating_sub(lost.elapsed());
            let reconnected =
                self.within_limit("let us in again", left, async |remote| remote.reconnect().await);
            match reconnected.await {
                Ok(()) => {
                    let seconds = lost.elapsed().as_secs_f64();
                    self.recorder.keep(Reattached { from_seq: self.next, seconds }.into());
                    return Ok(());
                }
                Err(SessionError::Remote(error @ RemoteError::Slow { .. })) => latest = error,
                Err(SessionError::Remote(error)) if error.is_transient() => latest = error,
                Err(error) => return Err(error),
            }
            pause = self.patience.trouble(Instant::now());
        }
        self.lose(format!("was out of reach for longer than its lease of {} s", lease.as_secs()), latest)
    }

    fn lose(&mut self, how: String, last: RemoteError) -> Result<(), SessionError> {
        self.recorder.node_is(NodeState::Lost, &how);
        Err(SessionError::Lost { node: self.node(), how, last: Box::new(last) })
    }

    /// Has the node do something that takes as long as this at most.
    async fn within_limit<T>(
        &mut self,
        doing: &'static str,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Remote) -> Result<T, RemoteError>,
    ) -> Result<T, SessionError> {
        let node = self.node();
        let alarm = {
            let (remote, recorder, alarms) = (&mut *self.remote, &mut *self.recorder, &mut self.alarms);
            let mut working = pin!(timeout(limit, work(remote)));
            loop {
                tokio::select! {
                    done = &mut working => {
                        return Ok(done.map_err(|_| RemoteError::Slow { node, doing, limit }).flatten()?);
                    }
                    alarm = alarms.next() => match alarm {
                        Alarm::Warning(message) => recorder.keep(Warning { case: None, message }.into()),
                        other => break other,
                    },
                }
            }
        };
        Err(self.ended_by(alarm))
    }

    /// Waits for something that is no work of the node's.
    async fn meanwhile(&mut self, waiting: impl Future<Output = ()>) -> Result<(), SessionError> {
        let mut waiting = pin!(waiting);
        loop {
            tokio::select! {
                () = &mut waiting => return Ok(()),
                alarm = self.alarms.next() => match alarm {
                    Alarm::Warning(message) => self.recorder.keep(Warning { case: None, message }.into()),
                    other => return Err(self.ended_by(other)),
                },
            }
        }
    }

    fn node(&self) -> String {
        self.remote.node().name.to_string()
    }

    fn protocol(&self, problem: &str) -> SessionError {
        SessionError::Protocol { node: self.node(), problem: problem.to_owned() }
    }

    fn trouble(&self, trouble: Trouble) -> SessionError {
        match trouble {
            Trouble::Odd(problem) => SessionError::Protocol { node: self.node(), problem },
            Trouble::Gone => SessionError::AgentDied { node: self.node() },
            Trouble::Refused(refusal) => RemoteError::Refused { node: self.node(), refusal }.into(),
        }
    }
}

/// Who wants the run to end before its last case.
enum Stop {
    Signal(&'static str),
    Money(String),
}

impl Stop {
    /// How the agent is asked to end what runs.
    fn request(&self) -> Request {
        match self {
            Self::Signal(by) => Request::Cancel { reason: format!("interrupted by {by}"), limit: false },
            Self::Money(why) => Request::Cancel { reason: why.clone(), limit: true },
        }
    }
}

/// The conversation's pulse: the lease is renewed, and a node that says nothing is noticed.
struct Pulse {
    pause: Duration,
    renew_at: Instant,
    heard_at: Instant,
}

impl Pulse {
    fn begin(lease: Duration) -> Self {
        let (now, pause) = (Instant::now(), renewal(lease));
        Self { pause, renew_at: now + pause, heard_at: now }
    }

    fn heard(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Renews the lease, unless the node has been silent for too long.
    async fn beat(&mut self, exec: &mut Exec, remote: &Remote) -> Result<(), RemoteError> {
        let silence = self.heard_at.elapsed();
        if silence > SILENCE + self.pause {
            let (node, said) = (remote.node().name.to_string(), exec.stderr_text());
            return Err(RemoteError::Silent { node, silence, said });
        }
        self.renew_at = Instant::now() + self.pause;
        // A node that does not read is noticed by its silence.
        let _ = timeout(self.pause, exec.stdin.write(line(&Request::Renew))).await;
        Ok(())
    }
}

/// What can be wrong with a line.
enum Trouble {
    Odd(String),
    Gone,
    Refused(gpu_suites::wire::Refusal),
}

impl Trouble {
    fn unasked() -> Self {
        Self::Odd("an answer to what was not asked".into())
    }
}

impl From<TooLong> for Trouble {
    fn from(error: TooLong) -> Self {
        Self::Odd(error.to_string())
    }
}

/// Often enough that a lease survives three renewals that are lost.
pub(crate) fn renewal(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_millis(100), Duration::from_secs(5))
}

pub(crate) fn line(request: &Request) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(request).unwrap_or_else(|error| unreachable!("a request is plain data: {error}"));
    line.push(b'\n');
    line
}
