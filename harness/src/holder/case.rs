//! How one case is run for a test: made ready, its turn waited for, followed to its end, and its outcome told.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use gpu_suites::event::CaseFinished;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{Lease, OnExpiry};
use gpu_suites::spec::Work;
use gpu_suites::unit::Span;
use tracing::Instrument as _;

use super::broker::{Broker, HolderEnd, ReadyFor, Slot, Stage};
use super::records::CaseRecords;
use super::responder::Responder;
use super::wire::{Program, Response, Verdict};
use crate::config::need::NodeNeed;
use crate::plan::{Options, PlanError, Prepared, Selection};
use crate::run::RunError;
use crate::session::interrupt::Interrupts;
use crate::session::{Followed, Session, SessionError};
use crate::text::explain::{ReportedError, explained};

/// What a test asked for, and where on the node.
pub(super) struct CaseRequest {
    pub(super) what: What,
    pub(super) slot: Option<u32>,
}

/// How long the programs of a test run may take in all: nobody says it beforehand.
const PROGRAMS: Duration = Duration::from_secs(2 * 3600);

pub(super) enum What {
    /// A case of those suites.
    Case(Selection, CaseId),
    Program(Box<Program>),
}

impl What {
    fn id(&self) -> &CaseId {
        match self {
            Self::Case(_, id) => id,
            Self::Program(program) => &program.id,
        }
    }

    pub(super) fn root(&self) -> &Path {
        match self {
            Self::Case(selection, _) => selection.root(),
            Self::Program(program) => &program.root,
        }
    }

    /// What the node has to be.
    pub(super) fn node_need(&self, node: &NodeNeed) -> Result<NodeNeed, PlanError> {
        match self {
            Self::Case(selection, _) => selection.node_need(node),
            Self::Program(_) => Ok(node.clone()),
        }
    }

    /// How long all that may be asked for after it may take.
    pub(super) fn work(&self) -> Duration {
        match self {
            Self::Case(selection, _) => {
                let cases = selection.specs().filter(|(_, case)| case.skip.is_none());
                cases.map(|(_, case)| case.timeout.0).fold(Duration::ZERO, Duration::saturating_add)
            }
            Self::Program(_) => PROGRAMS,
        }
    }

    /// Whether a case that may be asked for is gpu-worker's.
    pub(super) fn needs_worker(&self) -> bool {
        match self {
            Self::Case(selection, _) => selection.specs().any(|(_, case)| case.needs_worker()),
            Self::Program(_) => false,
        }
    }

    async fn prepare(&self, broker: &Broker, run: RunId, options: &Options) -> Result<Prepared, RunError> {
        match self {
            Self::Case(selection, case) => {
                let only = selection.only(case).ok_or_else(|| PlanError::NoMatch {
                    patterns: vec![case.to_string()],
                    known: selection.specs().map(|(id, _)| id.0).collect(),
                })?;
                Ok(only.prepare(run, options)?)
            }
            Self::Program(program) => {
                let mut files = BTreeMap::new();
                for (name, path) in &program.files {
                    match broker.blob(path.clone()).await {
                        Ok(blob) => {
                            files.insert(name.clone(), blob);
                        }
                        // Gone since it was listed: the test is to find it gone as well. Its own binary it has to have.
                        Err(error) if is_no_file(&error) && !program.needs.contains(name) => {}
                        Err(source) => return Err(RunError::File { path: path.clone(), source }),
                    }
                }
                let (id, links, mut spec) = (program.id.clone(), program.links.clone(), program.spec.clone());
                if let Work::Command(command) = &mut spec.work {
                    command.files.retain(|name| files.contains_key(name));
                }
                Ok(Prepared::program(id, spec, files, links, run, options))
            }
        }
    }
}

fn is_no_file(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput)
}

/// Runs the case; `said` goes to the test meanwhile.
pub(super) async fn run(
    broker: &Rc<Broker>,
    asked: CaseRequest,
    said: Responder,
    interrupts: &mut Interrupts,
) -> Response {
    match admit(broker, &asked).await {
        Ok((prepared, records)) => {
            let records = CaseRecords { run: records, case: asked.what.id().clone(), said };
            match carry_out(broker, &asked, prepared, records, interrupts).await {
                Ok(verdict) => Response::Ended(verdict),
                Err(error) => Response::refused(&error),
            }
        }
        Err(error) => Response::refused(&error),
    }
}

type Recorded = Rc<std::cell::RefCell<crate::recorder::Recorder>>;

/// Makes the case ready: what can be wrong with it is found before a node is had.
async fn admit(broker: &Broker, asked: &CaseRequest) -> Result<(Prepared, Recorded), RunError> {
    let node = broker.node();
    let options = Options {
        // The node's own lease takes this one's place.
        lease: Lease { ttl: Span(node.lease), on_expiry: OnExpiry::Exit },
        fail_fast: false,
        retries: 0,
        timeout: None,
        libtorch: node.libtorch.clone(),
        env: broker.env().clone(),
        environment: node.environment.clone(),
    };
    let mut prepared = asked.what.prepare(broker, broker.next_run(), &options).await?;
    let summary = prepared.cases.remove(0);
    let records = broker.records(summary, asked.what.root())?;
    for input in prepared.inputs.drain(..) {
        records.borrow_mut().own(input);
    }
    Ok((prepared, records))
}

/// Runs what is ready, and sees to it that the case has an outcome in the records.
async fn carry_out(
    broker: &Rc<Broker>,
    asked: &CaseRequest,
    mut prepared: Prepared,
    mut records: CaseRecords,
    interrupts: &mut Interrupts,
) -> Result<Verdict, RunError> {
    let before = records.run.borrow().state().case(asked.what.id()).map_or(0, |case| case.attempt);
    let mut is_believed = true;
    let ended = match prepared.plan.cases.first_mut() {
        None => {
            let reason = prepared.skipped.first().map(|(_, reason)| reason.clone());
            Err((Outcome::Skipped, reason.unwrap_or_default()))
        }
        Some(case) => {
            case.attempts_before = before;
            broker.want_node(&asked.what).await?;
            let span = tracing::info_span!("case", id = %asked.what.id());
            let followed = follow(broker, asked, prepared, &mut records, interrupts).instrument(span).await;
            followed.map_err(|error| {
                is_believed = !error.is_of_a_false_node();
                if matches!(error, SessionError::Taken { .. } | SessionError::Lost { .. }) {
                    broker.end(HolderEnd::Lost { why: explained(&error), reclaimed: false });
                }
                (error.outcome(), explained(&error))
            })
        }
    };
    let looking = records.run.borrow_mut().missing(Some(asked.what.id()));
    let missing = looking.await;
    let mut run = records.run.borrow_mut();
    let (kept_from, why) = ended.as_ref().err().cloned().unzip();
    run.lacks(missing, kept_from.unwrap_or(Outcome::Errored), why.as_deref());
    run.restore(Some(asked.what.id()));
    let run_dir = run.folder().to_owned();
    let last = |run: &crate::recorder::Recorder| {
        let case = run.state().case(asked.what.id())?;
        let last = case.last_ended().filter(|_| case.phase == crate::report::case::Phase::Finished)?;
        let ending = run.state().ending(case);
        (last.number > before).then_some((ending.outcome, ending.reason))
    };
    let (outcome, reason) = match (last(&run), ended) {
        (Some(told), _) if is_believed || told.0 != Outcome::Passed => told,
        (_, ended) => {
            let (outcome, reason) =
                ended.err().unwrap_or((Outcome::Errored, "the node ended the run without it".to_owned()));
            let attempt = run.state().case(asked.what.id()).map_or(before, |case| case.attempt);
            let (case, reason) = (asked.what.id().clone(), Some(reason));
            run.own(CaseFinished { case, attempt, outcome, reason: reason.clone(), seconds: 0.0 });
            (outcome, reason)
        }
    };
    Ok(Verdict { outcome, reason, run_dir })
}

/// Waits for the node and for a turn on it, then runs the plan.
async fn follow(
    broker: &Rc<Broker>,
    asked: &CaseRequest,
    mut prepared: Prepared,
    records: &mut CaseRecords,
    interrupts: &mut Interrupts,
) -> Result<(), SessionError> {
    let Turn { had, lane, gpu } = tokio::select! {
        turn = turn(broker, asked.slot) => turn?,
        by = interrupts.next() => return Err(SessionError::Interrupted { by }),
    };
    let mut remote = tokio::select! {
        remote = lane.lock() => remote,
        by = interrupts.next() => return Err(SessionError::Interrupted { by }),
        why = lost(broker) => return Err(why),
    };
    if matches!(*broker.stage.borrow(), Stage::Spent(_)) {
        return Err(broker.is_over());
    }
    if remote.is_none() {
        *remote = Some(broker.another().await?);
    }
    let Some(connected) = remote.as_mut() else { return Err(broker.is_over()) };
    connected.see_only(gpu);
    prepared.plan.lease = had.lease;
    prepared.plan.reclaimable = had.reclaimable;
    let session = Session::new(connected, records, interrupts, &prepared.plan, &prepared.blobs);
    let ended = tokio::select! {
        ended = session.within(had.budget).follow() => ended,
        why = lost(broker) => Err(why),
    };
    match ended {
        Ok(Followed::Finished) => Ok(()),
        Ok(Followed::Reclaimed) => {
            let why = "the cloud took the spot instance back".to_owned();
            broker.end(HolderEnd::Lost { why, reclaimed: true });
            Err(broker.is_over())
        }
        Err(error) => {
            // The next one makes a connection of its own.
            *remote = None;
            Err(error)
        }
    }
}

/// What a case has when it is its turn.
struct Turn {
    had: ReadyFor,
    /// The connection of its place among the tests.
    lane: Slot,
    /// The GPU that it is to see, where there are several.
    gpu: Option<u32>,
}

/// The turn of a test in that slot, once the node is there.
async fn turn(broker: &Rc<Broker>, slot: Option<u32>) -> Result<Turn, SessionError> {
    let mut stage = broker.stage.subscribe();
    let had = tokio::select! {
        stage = stage.wait_for(|stage| !matches!(stage, Stage::Awaited)) => match stage.as_deref() {
            Ok(Stage::There(had)) => had.clone(),
            Ok(Stage::NoNode(why)) => return Err(SessionError::NoNode(Box::new(ReportedError(why.clone())))),
            Ok(Stage::Awaited | Stage::Spent(_)) | Err(_) => return Err(broker.is_over()),
        },
        why = lost(broker) => return Err(why),
    };
    let (lane, gpu) = broker.lane(slot).await?;
    Ok(Turn { had, lane, gpu })
}

/// Ends when the node is gone.
async fn lost(broker: &Broker) -> SessionError {
    let mut over = broker.over.subscribe();
    let _ = over.wait_for(|over| matches!(over, Some(HolderEnd::Lost { .. }))).await;
    broker.is_over()
}
