//! A run on its nodes: one, and another where a cloud takes it away, each given back whatever comes.
//!
//! Everything here is arranged round one promise: between the first call that makes something and the last word of
//! the receipt there is no way out that leaves a node behind while this process lives. An interruption drops what is
//! being waited for, never a call that makes something (`ledger` sees to that); a panic is caught, the node given
//! back, and the panic goes on. Nothing on the way can fail for want of a disk, a terminal or a history: recording never
//! does (`recorder`), and a run that cannot be recorded ends like any other.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use gpu_suites::event::{Event, NodeState, Warning};
use gpu_suites::outcome::{Blame, Outcome};
use gpu_suites::plan::Plan;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::{Course, NodeSource, Nodes, ReadyNode, unfinished};
use crate::cloud::limits::Work;
use crate::recorder::Records as _;
use crate::report::case::Phase;
use crate::run::retry::Again;
use crate::session::{Followed, Session, SessionError};

/// How often it is looked whether what happens can be recorded yet.
const LOOK: Duration = Duration::from_secs(1);
/// How many nodes may be taken away from one run before it gives up.
const REPLACEMENTS: u32 = 3;

/// Runs what is prepared to its end; when this returns, each node is gone, or the receipt says that it is not.
pub(super) async fn follow(source: NodeSource, course: Course<'_>) -> Result<(), SessionError> {
    let keep = source.keep();
    let plan = &course.prepared.plan;
    let (mut nodes, events) = source.begin(plan.run.clone(), work(plan));
    let mut job = Job { course, keep, events, had_a_slow_node: false };
    let ended = AssertUnwindSafe(job.nodes(&mut nodes)).catch_unwind().await;
    job.close(nodes).await;
    match ended {
        Ok(ended) => ended,
        Err(panic) => resume_unwind(panic),
    }
}

fn work(plan: &Plan) -> Work {
    let timeouts = plan.cases.iter().map(|case| case.spec.timeout.0);
    let cases = timeouts.fold(Duration::ZERO, Duration::saturating_add);
    let ready = if plan.may_need_libtorch() { plan.environment.timeout.0 } else { Duration::ZERO };
    Work { cases, retries: plan.retries, ready, run: plan.timeout.map(|limit| limit.0) }
}

struct Job<'a> {
    course: Course<'a>,
    keep: Option<Duration>,
    events: UnboundedReceiver<Event>,
    /// Whether a node was given back for being slow.
    had_a_slow_node: bool,
}

/// What one node came to.
enum NodeEnd {
    /// It has run everything.
    Finished,
    Taken(String),
    /// It has run everything, and was slower than such nodes are; this is left for another one.
    Slow(Box<Plan>),
}

impl Job<'_> {
    /// One node after another, until everything has run.
    async fn nodes(&mut self, nodes: &mut Nodes) -> Result<(), SessionError> {
        let begun = Instant::now();
        let mut plan = self.course.prepared.plan.clone();
        let mut taken = 0;
        loop {
            let node = self.acquire(nodes).await?;
            match self.on_node(nodes, node, &mut plan, begun).await? {
                NodeEnd::Finished => return Ok(()),
                NodeEnd::Slow(left) => plan = *left,
                NodeEnd::Taken(why) => {
                    self.course.recorder.end(&[Phase::Running], Outcome::Interrupted, &why);
                    let Some(left) = unfinished::rest(
                        &self.course.prepared.plan,
                        self.course.recorder.state(),
                        begun.elapsed(),
                    ) else {
                        return Ok(());
                    };
                    taken += 1;
                    if taken > REPLACEMENTS {
                        let node = self.course.recorder.node_name().to_string();
                        let why = format!("{why}; it was node {taken} that went away in this run");
                        return Err(SessionError::Taken { node, why });
                    }
                    plan = left;
                }
            }
        }
    }

    /// Waits for a node, unless somebody stops it.
    async fn acquire(&mut self, nodes: &mut Nodes) -> Result<ReadyNode, SessionError> {
        let mut acquiring = Box::pin(nodes.acquire());
        loop {
            if self.course.recorder.is_broken() {
                return Err(SessionError::Unrecorded);
            }
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.course.recorder.own(event),
                by = self.course.interrupts.next() => return Err(SessionError::Interrupted { by }),
                had = &mut acquiring => {
                    self.catch_up();
                    return had;
                }
                // The disk may fill up while there is nothing to tell.
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Runs the plan on a node and begins to give the node back, however it ended.
    async fn on_node(
        &mut self,
        nodes: &mut Nodes,
        mut node: ReadyNode,
        plan: &mut Plan,
        run_began: Instant,
    ) -> Result<NodeEnd, SessionError> {
        let (id, name, is_made) = (node.id().to_owned(), node.name(), nodes.is_made());
        self.course.recorder.on_node(name.clone());
        plan.lease = node.lease();
        plan.reclaimable = node.is_reclaimable();
        let watch = node.watch();
        let budget = node.budget();
        let blobs = &self.course.prepared.blobs;
        // The plan's limit is what is left of the run's when this node begins.
        let begun = Instant::now();
        let ended = {
            let followed = async {
                let (recorder, interrupts) = (&mut *self.course.recorder, &mut *self.course.interrupts);
                let session = Session::new(node.remote(), recorder, interrupts, plan, blobs);
                let session = if is_made { session.on_new_node(budget.clone()) } else { session };
                // Only a cloud takes a node back, whatever one that is there says.
                if session.follow().await? == Followed::Reclaimed && is_made {
                    return Ok(Followed::Reclaimed);
                }
                self.course.measure_again(node.remote(), plan, budget, begun).await
            };
            let span = tracing::info_span!("node", name = %name);
            tokio::select! {
                followed = followed.instrument(span) => followed,
                why = watch => Err(SessionError::Taken { node: id, why }),
            }
        };
        self.catch_up();
        let left = match &ended {
            Ok(Followed::Finished) if is_made => self.left_by_a_slow_node(run_began),
            _ => None,
        };
        if is_made {
            self.give_back(nodes, node, &ended, left.is_some()).await;
        }
        match ended {
            Ok(Followed::Reclaimed) if is_made => {
                nodes.was_reclaimed();
                Ok(NodeEnd::Taken("the cloud took the spot instance back".to_owned()))
            }
            Ok(_) => Ok(left.map_or(NodeEnd::Finished, |left| NodeEnd::Slow(Box::new(left)))),
            Err(error @ (SessionError::Taken { .. } | SessionError::Lost { .. })) if is_made => {
                Ok(NodeEnd::Taken(crate::text::explained(&error)))
            }
            Err(error) => Err(error),
        }
    }

    /// What is to run once more on another node, since this one was slower than such nodes are. One other node is had for
    /// that: where it is slow too, its figures are shown for what they are.
    fn left_by_a_slow_node(&mut self, run_began: Instant) -> Option<Plan> {
        let run_history = self.course.run_history.filter(|_| !self.had_a_slow_node)?;
        let degraded = run_history.degraded(self.course.recorder.state());
        let again =
            Again { of: &self.course.prepared.plan, state: self.course.recorder.state(), begun: run_began };
        let left = again.elsewhere(&degraded);
        if left.is_some() {
            self.had_a_slow_node = true;
            let why = degraded.iter().find_map(|judged| judged.degraded.clone()).unwrap_or_default();
            let message = format!(
                "{} is slow or sick; another node is launched: {why}",
                self.course.recorder.node_name()
            );
            self.course.recorder.own(Warning { case: None, message });
            for judged in degraded.into_iter().filter(|_| run_history.has_history()) {
                self.course.recorder.own(judged);
            }
        }
        left
    }

    /// Begins to give the node back, or keeps it where somebody wants to look at it.
    async fn give_back(
        &mut self,
        nodes: &mut Nodes,
        node: ReadyNode,
        ended: &Result<Followed, SessionError>,
        is_slow: bool,
    ) {
        let is_there = matches!(ended, Ok(Followed::Finished) | Err(SessionError::Money { .. }));
        let is_bad = |outcome: Outcome| !matches!(outcome.blame(), Blame::Nobody | Blame::User);
        let cases = self.course.recorder.state().cases();
        let endings = Vec::from_iter(cases.iter().filter_map(|case| Some(case.last_ended()?.outcome)));
        let any = |is: fn(Outcome) -> bool| endings.iter().copied().any(is);
        match self.keep {
            Some(keep) if is_there && any(is_bad) => nodes.keep(node, keep).await,
            _ => {
                // One that broke, or that is going away, is nothing for another run.
                let is_well = matches!(ended, Ok(Followed::Finished))
                    && !is_slow
                    && !any(|ending| ending.blame() == Blame::Infrastructure);
                if nodes.give_back(node, is_well).await {
                    self.course.recorder.node_is(NodeState::Terminating, "giving it back");
                }
            }
        }
        self.catch_up();
    }

    /// Waits until everything is given back; the first signal while it waits asks for patience, the second ends it.
    async fn close(&mut self, nodes: Nodes) {
        let mut closing = Box::pin(nodes.close());
        let mut signals = 0;
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.course.recorder.own(event),
                () = &mut closing => break,
                _ = self.course.interrupts.next() => {
                    signals += 1;
                    if signals > 1 {
                        break;
                    }
                }
            }
        }
        self.catch_up();
    }

    /// Keeps what has happened meanwhile.
    fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.course.recorder.own(event);
        }
    }
}
