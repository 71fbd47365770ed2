//! The conversation with a node's agent: start a run, follow its journal to the end, and come back after every cut.
//!
//! The journal's numbering is what makes this safe. The session knows the next number that it wants; after a cut it
//! asks for the journal from there. A record that comes twice is dropped, a gap is an error, and half a line is no
//! line: so every event is kept once, in order, wherever the connection was cut.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use gpu_suites::event::{
    ConnectionLost, EndCause, Event, Interrupted, NodeState, Phase, Reattached, Record, StartPhase, Upload,
    Warning,
};
use gpu_suites::id::Sha256;
use gpu_suites::plan::{OnExpiry, PROTOCOL, Plan};
use gpu_suites::wire::{Reply, Request};
use tokio::time::{Instant, sleep, sleep_until};

use crate::content::Blob;
use crate::failure::chain;
use crate::interrupt::Interrupts;
use crate::lines::{Lines, TooLong};
use crate::patience::Patience;
use crate::recorder::{RecorderError, Records};
use crate::remote::{Remote, RemoteError};
use crate::transport::Exec;

/// A node that says nothing for this long, though it was asked, is out of reach.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the agent may take to end a run that was cancelled: its grace for the case is 5 s.
const CANCEL_GRACE: Duration = Duration::from_secs(30);
/// How much longer than the run's own limit the harness waits for the agent to say that it was reached.
const LIMIT_GRACE: Duration = Duration::from_secs(30);

/// Why a run was not followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The node refused, or could not be set up.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What came could not be kept here.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
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

/// How a run on a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The node has run what it was given.
    Finished,
    /// Its cloud takes the node away; what has not finished is for another one.
    Reclaimed,
}

/// What the node may cost, in time.
#[derive(Debug, Clone)]
pub struct Budget {
    /// When to warn, and with which words.
    pub warn_at: Option<(Instant, String)>,
    /// When the run has to end, and why.
    pub end_at: (Instant, String),
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

/// What to open a conversation with.
enum Opening<'a> {
    Start(&'a Plan),
    Attach,
}

/// A run on a node, being followed.
pub struct Session<'a> {
    remote: &'a mut Remote,
    recorder: &'a mut dyn Records,
    interrupts: &'a mut Interrupts,
    plan: &'a Plan,
    blobs: &'a [Blob],
    /// The next record that is wanted from the node's journal.
    next: u64,
    reachable: bool,
    started: bool,
    /// The last record is here; what is left is to fetch the artifacts and to say so.
    complete: bool,
    /// The node said that it is being taken away.
    reclaimed: bool,
    /// Renewed whenever the run gets on: a node that can be reached and does nothing is tried no longer than one that cannot.
    patience: Patience,
    /// The lease was renewed in this conversation.
    renewed: bool,
    /// How many files the node lacked when it last said so.
    lacked: Option<usize>,
    limit: Option<Instant>,
    budget: Option<Budget>,
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
        let limit = plan.timeout.map(|timeout| Instant::now() + timeout.0 + LIMIT_GRACE);
        Self {
            remote,
            recorder,
            interrupts,
            plan,
            blobs,
            next: 0,
            reachable: false,
            started: false,
            complete: false,
            reclaimed: false,
            patience: Patience::default(),
            renewed: false,
            lacked: None,
            limit,
            budget: None,
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
        self.budget = budget;
        self
    }

    /// Runs the plan and follows it to its end; artifacts are in `recorder`'s run folder afterwards.
    pub async fn follow(mut self) -> Result<Followed, SessionError> {
        let mut supplied = Supplied::default();
        loop {
            match self.step(&mut supplied).await {
                Ok(ControlFlow::Break(())) if self.reclaimed => return Ok(Followed::Reclaimed),
                Ok(ControlFlow::Break(())) => return Ok(Followed::Finished),
                Ok(ControlFlow::Continue(())) => {}
                Err(SessionError::Remote(error)) if error.is_transient() => self.reconnect(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// One conversation, and what the node turned out to lack.
    async fn step(&mut self, supplied: &mut Supplied) -> Result<ControlFlow<()>, SessionError> {
        let plan = self.plan;
        let opening = if self.started { Opening::Attach } else { Opening::Start(plan) };
        match self.converse(opening).await? {
            Ended::Finished => return Ok(ControlFlow::Break(())),
            Ended::NoAgent if supplied.agent => {
                return Err(self.protocol("gpu-agent is not where it was just put"));
            }
            Ended::Missing(_) if supplied.files => {
                return Err(self.protocol("files are missing that it just took"));
            }
            Ended::NoAgent => {
                self.or_interrupted(async |remote| remote.bootstrap().await).await?;
                supplied.agent = true;
                self.patience.renew();
            }
            Ended::Missing(wanted) => {
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

    /// One conversation, to its end or to the end of the connection.
    async fn converse(&mut self, opening: Opening<'_>) -> Result<Ended, SessionError> {
        self.renewed = false;
        let mut exec = self.remote.start(&["serve"]).await?;
        // All is said at once: each answer waited for would cost a round trip.
        let open = Request::Open { protocol: PROTOCOL, harness: env!("CARGO_PKG_VERSION").to_owned() };
        let second = match opening {
            Opening::Start(plan) => Request::Start { plan: Box::new(plan.clone()) },
            Opening::Attach => Request::Attach { run: self.plan.run.clone(), from: self.next },
        };
        let mut said = line(&open);
        said.extend(line(&second));
        if exec.stdin.write(said).await.is_err() {
            return self.unexpected_end(exec).await;
        }
        if self.complete {
            return self.finish(exec).await;
        }
        let mut lines = Lines::default();
        let pause = renewal(self.plan.lease.ttl.0);
        let mut renew_at = Instant::now() + pause;
        let mut heard_at = Instant::now();
        let mut cancelled: Option<(Instant, Stop)> = None;
        loop {
            let grace_ends = cancelled.as_ref().map(|(at, _)| *at + CANCEL_GRACE);
            let limit = [self.limit, grace_ends].into_iter().flatten().min();
            let budget = self.budget.as_ref();
            let warn_at = budget.and_then(|budget| budget.warn_at.as_ref()).map(|(at, _)| *at);
            let spent_at = budget.filter(|_| cancelled.is_none()).map(|budget| budget.end_at.0);
            tokio::select! {
                chunk = exec.stdout.recv() => {
                    let Some(chunk) = chunk else { return self.unexpected_end(exec).await };
                    let chunk = chunk.map_err(RemoteError::from)?;
                    heard_at = Instant::now();
                    let mut end = ControlFlow::Continue(());
                    lines.feed(&chunk, |line| {
                        if end.is_continue() {
                            end = self.heard(line)?;
                        }
                        Ok::<_, Trouble>(())
                    }).map_err(|trouble| self.trouble(trouble))?;
                    self.recorder.flush()?;
                    match end {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(Ended::Finished) => {
                            let ended = self.finish(exec).await?;
                            return match cancelled {
                                Some((_, Stop::Money(why))) => Err(SessionError::Money { why }),
                                _ => Ok(ended),
                            };
                        }
                        ControlFlow::Break(ended) => return Ok(ended),
                    }
                }
                () = sleep_until(renew_at) => {
                    if heard_at.elapsed() > SILENCE + pause {
                        let (node, silence, said) = (self.node(), heard_at.elapsed(), exec.stderr_text());
                        return Err(RemoteError::Silent { node, silence, said }.into());
                    }
                    renew_at = Instant::now() + pause;
                    self.renewed = true;
                    // A node that does not read is noticed by its silence.
                    let _ = tokio::time::timeout(pause, exec.stdin.write(line(&Request::Renew))).await;
                    self.recorder.tick()?;
                }
                () = until(warn_at) => {
                    let warning = self.budget.as_mut().and_then(|budget| budget.warn_at.take());
                    if let Some((_, message)) = warning {
                        self.recorder.keep(Warning { case: None, message }.into())?;
                    }
                }
                () = until(spent_at) => {
                    let why = self.budget.as_ref().map(|budget| budget.end_at.1.clone()).unwrap_or_default();
                    if !self.started {
                        return Err(SessionError::Money { why });
                    }
                    self.cancel(&mut exec, &why, true).await;
                    cancelled = Some((Instant::now(), Stop::Money(why)));
                }
                by = self.interrupts.next() => {
                    if cancelled.is_some() || !self.started {
                        return Err(SessionError::Interrupted { by });
                    }
                    self.recorder.keep(Interrupted { by: by.to_owned() }.into())?;
                    self.cancel(&mut exec, &format!("interrupted by {by}"), false).await;
                    cancelled = Some((Instant::now(), Stop::Signal(by)));
                }
                () = until(limit) => {
                    return Err(match cancelled {
                        Some((_, Stop::Signal(by))) => SessionError::Interrupted { by },
                        Some((_, Stop::Money(why))) => SessionError::Money { why },
                        None => SessionError::Limit { node: self.node() },
                    });
                }
            }
        }
    }

    /// Asks the agent to end what runs.
    async fn cancel(&self, exec: &mut Exec, reason: &str, limit: bool) {
        let cancel = line(&Request::Cancel { reason: reason.to_owned(), limit });
        let _ = tokio::time::timeout(renewal(self.plan.lease.ttl.0), exec.stdin.write(cancel)).await;
    }

    /// Takes one line of the agent's.
    fn heard(&mut self, line: &[u8]) -> Result<ControlFlow<Ended>, Trouble> {
        let text = std::str::from_utf8(line).map_err(|_| Trouble::Odd("a line that is not UTF-8".into()))?;
        if text.starts_with("{\"reply\":") {
            let reply =
                serde_json::from_str(text).map_err(|error| Trouble::Odd(format!("a reply: {error}")))?;
            return self.answered(reply);
        }
        let record = Record::parse(text).map_err(|error| Trouble::Odd(error.to_string()))?;
        if record.seq < self.next {
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
        self.recorder.node(record)?;
        self.phase_is_over(None)?;
        Ok(if self.complete { ControlFlow::Break(Ended::Finished) } else { ControlFlow::Continue(()) })
    }

    /// Keeps how long the start-up phase that goes on has taken; `following` begins.
    fn phase_is_over(&mut self, following: Option<StartPhase>) -> Result<(), RecorderError> {
        let Some((phase, begun)) = self.starting.take() else { return Ok(()) };
        self.starting = following.map(|phase| (phase, Instant::now()));
        let (node, seconds) = (self.remote.node().name.clone(), begun.elapsed().as_secs_f64());
        self.recorder.keep(Phase { node, phase, seconds }.into())
    }

    fn answered(&mut self, reply: Reply) -> Result<ControlFlow<Ended>, Trouble> {
        match reply {
            Reply::Hello { agent, .. } => {
                if !self.reachable {
                    self.reachable = true;
                    self.recorder.node_is(NodeState::Reachable, &format!("gpu-agent {agent}"))?;
                }
            }
            Reply::Started => {
                if !self.started {
                    self.started = true;
                    self.patience.renew();
                    self.recorder.node_is(NodeState::Running, "")?;
                    self.phase_is_over(Some(StartPhase::FirstEvent))?;
                }
            }
            // An answer that nobody asked for says nothing.
            Reply::Alive if self.renewed => self.patience.renew(),
            Reply::Alive => {}
            Reply::Missing { blobs } => return Ok(ControlFlow::Break(Ended::Missing(blobs))),
            Reply::Refused { error } => return Err(Trouble::Refused(error)),
            Reply::Gone => return Err(Trouble::Gone),
            Reply::Received { .. } => return Err(Trouble::Odd("an answer to what was not asked".into())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All records are here: brings the artifacts, then lets the run's folder on the node go.
    async fn finish(&mut self, mut exec: Exec) -> Result<Ended, SessionError> {
        if self.recorder.has_artifacts() {
            self.recorder.node_is(NodeState::Draining, "fetching artifacts")?;
            let folder = self.recorder.folder().join("cases");
            match self.remote.fetch(&self.plan.run, folder).await {
                Err(error) if !error.is_transient() => {
                    let message = format!("the artifacts could not be fetched: {}", chain(&error));
                    self.recorder.keep(Warning { case: None, message }.into())?;
                }
                fetched => fetched?,
            }
        }
        let _ = exec.stdin.write(line(&Request::Bye)).await;
        exec.stdin.close();
        // The agent's end says that it heard; a node that keeps it to itself cleans up when the lease ends.
        let _ = tokio::time::timeout(Duration::from_secs(5), exec.wait()).await;
        // A node that was made for the run is gone when its cloud says so.
        if self.plan.lease.on_expiry == OnExpiry::Exit {
            self.recorder.node_is(NodeState::Gone, "left as it was found")?;
        }
        Ok(Ended::Finished)
    }

    /// The agent's output ended before the run did.
    async fn unexpected_end(&mut self, exec: Exec) -> Result<Ended, SessionError> {
        let mut exec = exec;
        let status = exec.wait().await.map_err(RemoteError::from)?;
        if Remote::lacks_agent(&status) {
            return Ok(Ended::NoAgent);
        }
        Err(self.remote.ended("serve", status, &exec).into())
    }

    async fn upload(&mut self, wanted: &[Sha256]) -> Result<(), SessionError> {
        let wanted: BTreeSet<&Sha256> = wanted.iter().collect();
        let mut seen = BTreeSet::new();
        let distinct = self.blobs.iter().filter(|blob| seen.insert(&blob.sha256));
        let (missing, present): (Vec<_>, Vec<_>) =
            distinct.cloned().partition(|blob| wanted.contains(&blob.sha256));
        let begun = Instant::now();
        let (sent, bytes) = (missing.len(), missing.iter().map(|blob| blob.bytes).sum());
        self.or_interrupted(async |remote| remote.send(missing).await).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.recorder.keep(Upload { sent, present: present.len(), bytes, seconds }.into())?;
        Ok(())
    }

    /// Tries to reach the node again, for as long as its lease can last and something gets on there.
    async fn reconnect(&mut self, error: RemoteError) -> Result<(), SessionError> {
        let lost = Instant::now();
        let lease = self.plan.lease.ttl.0;
        self.recorder.keep(ConnectionLost { error: chain(&error) }.into())?;
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
            tokio::select! {
                () = sleep(pause) => {}
                by = self.interrupts.next() => return Err(SessionError::Interrupted { by }),
            }
            if self.limit.is_some_and(|limit| Instant::now() > limit) {
                return Err(SessionError::Limit { node: self.node() });
            }
            match self.or_interrupted(async |remote| remote.reconnect().await).await {
                Ok(()) => {
                    let seconds = lost.elapsed().as_secs_f64();
                    self.recorder.keep(Reattached { from_seq: self.next, seconds }.into())?;
                    return Ok(());
                }
                Err(SessionError::Remote(error)) if error.is_transient() => latest = error,
                Err(error) => return Err(error),
            }
            pause = self.patience.trouble(Instant::now());
        }
        self.lose(format!("was out of reach for longer than its lease of {} s", lease.as_secs()), latest)
    }

    fn lose(&mut self, how: String, last: RemoteError) -> Result<(), SessionError> {
        self.recorder.node_is(NodeState::Lost, &how)?;
        Err(SessionError::Lost { node: self.node(), how, last: Box::new(last) })
    }

    async fn or_interrupted<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Remote) -> Result<T, RemoteError>,
    ) -> Result<T, SessionError> {
        tokio::select! {
            done = work(self.remote) => Ok(done?),
            by = self.interrupts.next() => Err(SessionError::Interrupted { by }),
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
            Trouble::Recorder(error) => error.into(),
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

/// What can be wrong with a line.
enum Trouble {
    Odd(String),
    Gone,
    Refused(gpu_suites::wire::Refusal),
    Recorder(RecorderError),
}

impl From<TooLong> for Trouble {
    fn from(error: TooLong) -> Self {
        Self::Odd(error.to_string())
    }
}

impl From<RecorderError> for Trouble {
    fn from(error: RecorderError) -> Self {
        Self::Recorder(error)
    }
}

/// Often enough that a lease survives three renewals that are lost.
fn renewal(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_millis(100), Duration::from_secs(5))
}

pub(crate) fn line(request: &Request) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(request).unwrap_or_else(|error| unreachable!("a request is plain data: {error}"));
    line.push(b'\n');
    line
}

async fn until(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}
