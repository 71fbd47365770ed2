//! The state of a run, folded from its events: what every report is made from.
//!
//! The fold is pure and total: any sequence of records gives a state that can be shown, and a record that makes no
//! sense where it stands changes nothing. It takes the same memory whatever the run's length: texts are cut, lists
//! have a greatest length and count what they leave out. Texts stay as they came; the reports clean them.

use std::collections::{BTreeMap, HashMap};

use gpu_suites::event::{self, CaseSummary, Event, NodeState, Record};
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, NodeName, RunId};
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;

use super::attempt::{self, sane_seconds, short};
use super::case::{Attempt, CaseState, Phase};
use super::curve::Curves;
use super::receipt::Receipt;
use super::standing::{Circumstances, Ending, Standing};
use crate::text::clean::cut;
use crate::text::limits::NAME;

const INPUTS: usize = 1_000;
const WARNINGS: usize = 100;
const NODE_STATES: usize = 256;
const LOSSES: usize = 32;
const RECLAIMS: usize = 32;
const UNREAD: usize = 16;
/// Cases taken from a journal that lists none.
const UNLISTED_CASES: usize = 1_000;
/// What the logs of ended cases may take together before further ones are shortened.
const LOG_BUDGET: usize = 16 << 20;

#[derive(Debug, Clone, Default)]
pub struct RunState {
    pub run: Option<RunId>,
    pub harness: Option<String>,
    pub node: Option<NodeName>,
    /// The commit of the tree that holds the suites.
    pub commit: Option<String>,
    pub began: Option<Timestamp>,
    pub latest: Option<Timestamp>,
    /// The node as it introduced itself.
    pub hello: Option<event::Hello>,
    pub inputs: Vec<event::Input>,
    /// The states of the node, oldest first.
    pub node_states: Vec<NodeStep>,
    pub upload: Option<event::Upload>,
    /// Times that the connection was lost, oldest first.
    pub losses: Vec<Loss>,
    pub loss_count: u64,
    /// Notices that a node will be taken away, oldest first.
    pub reclaims: Vec<event::ReclaimNotice>,
    /// Warnings, oldest first; of very many, the first.
    pub warnings: Vec<event::Warning>,
    pub warnings_left_out: u64,
    /// What a cloud provided.
    pub receipt: Receipt,
    /// By what the run was interrupted.
    pub interrupted: Option<String>,
    /// Why the latest node ended the run early.
    pub node_reason: Option<String>,
    /// Whether the latest node has ended the run.
    pub node_finished: bool,
    pub judged: BTreeMap<CaseId, event::Judged>,
    /// The cases whose own tests' reports cannot be read, and why.
    pub unread: BTreeMap<CaseId, Vec<String>>,
    /// The cases whose own tests' reports tell of failures that their commands' exit codes do not.
    pub tests_failed: BTreeMap<CaseId, event::TestsFailed>,
    pub quarantined: BTreeMap<CaseId, event::Quarantined>,
    pub curves: Curves,
    pub closed: Option<event::RunClosed>,
    /// Whether the events end although the run has not: the harness was killed.
    pub cut_off: bool,
    cases: Vec<CaseState>,
    places: HashMap<CaseId, usize>,
    ended_log_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStep {
    pub at: Timestamp,
    pub state: NodeState,
    /// What there is to know about it.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    pub at: Timestamp,
    pub error: String,
    /// How long, where the connection came back.
    pub seconds: Option<f64>,
}

impl RunState {
    pub fn apply(&mut self, record: &Record) {
        let at = record.at;
        self.began.get_or_insert(at);
        self.latest = Some(at);
        // A node speaks of cases; of the run itself only the harness does.
        let own = record.from.is_none();
        match &record.event {
            Event::RunCreated(event) if own => self.created(event),
            Event::Input(event) if own && self.inputs.len() < INPUTS => self.inputs.push(event.clone()),
            Event::Node(event) if own && self.node_states.len() < NODE_STATES => {
                self.node_states.push(NodeStep { at, state: event.state, detail: short(&event.detail) });
            }
            Event::Upload(event) if own => self.upload = Some(event.clone()),
            Event::ConnectionLost(event) if own => self.connection_lost(at, event),
            Event::Reattached(event) if own => {
                if let Some(loss) = self.losses.last_mut() {
                    loss.seconds.get_or_insert(sane_seconds(event.seconds));
                }
            }
            Event::Waiting(_)
            | Event::ResourceMade(_)
            | Event::ResourceGone(_)
            | Event::NodeProvisioned(_)
            | Event::Phase(_)
            | Event::TakenOver(_)
            | Event::HandedOn(_)
            | Event::Kept(_)
            | Event::ShutdownAsked(_)
            | Event::Cost(_)
                if own =>
            {
                self.receipt.apply(at, &record.event);
            }
            Event::Interrupted(event) if own => self.interrupted = Some(short(&event.by)),
            Event::Judged(event) if own && self.places.contains_key(&event.case) => {
                if event.degraded.is_some() {
                    self.on_case(&event.case, |case| {
                        case.ended.iter_mut().for_each(|attempt| attempt.on_slow_node = true);
                    });
                }
                self.judged.insert(event.case.clone(), event.clone());
            }
            Event::TestsUnread(event) if own && self.places.contains_key(&event.case) => {
                let reports = event.reports.iter().take(UNREAD).map(|report| short(report)).collect();
                self.unread.insert(event.case.clone(), reports);
            }
            Event::TestsFailed(event) if own && self.places.contains_key(&event.case) => {
                let named = event.named.iter().take(UNREAD).map(|name| short(name)).collect();
                let event = event::TestsFailed { named, ..event.clone() };
                self.tests_failed.insert(event.case.clone(), event);
            }
            Event::Quarantined(event) if own && self.places.contains_key(&event.case) => {
                let reason = short(&event.reason);
                let event = event::Quarantined { reason, ..event.clone() };
                self.quarantined.insert(event.case.clone(), event);
            }
            Event::RunClosed(event) if own => self.closed = Some(event.clone()),
            Event::Hello(event) => {
                self.hello = Some(short_hello(event));
                // The run goes on where another node has ended it.
                self.node_finished = false;
                self.node_reason = None;
            }
            Event::EnvironmentReady(event) => {
                if let Some(hello) = &mut self.hello {
                    hello.libtorch = Some(short(&event.place));
                }
            }
            Event::ReclaimNotice(event) if self.reclaims.len() < RECLAIMS => {
                self.reclaims
                    .push(event::ReclaimNotice { taken_at: event.taken_at, action: short(&event.action) });
            }
            Event::RunFinished(event) => {
                self.node_finished = true;
                self.node_reason = event.reason.as_deref().map(short);
            }
            Event::Warning(event) => self.warn(event, own),
            other => self.apply_to_case(at, other),
        }
    }

    fn apply_to_case(&mut self, at: Timestamp, event: &Event) {
        if let Event::CaseStarted(event) = event {
            // What it leaves is written anew.
            self.unread.remove(&event.case);
            self.tests_failed.remove(&event.case);
        }
        match event {
            Event::CaseStarted(event::CaseStarted { case, .. })
            | Event::Device(event::Device { case, .. })
            | Event::Progress(event::Progress { case, .. })
            | Event::Metrics(event::Metrics { case, .. })
            | Event::Log(event::Log { case, .. })
            | Event::LogTruncated(event::LogTruncated { case, .. })
            | Event::Artifact(event::Artifact { case, .. })
            | Event::GpusWatched(event::GpusWatched { case, .. })
            | Event::ProcessEnded(event::ProcessEnded { case, .. })
            | Event::Check(event::Check { case, .. }) => {
                self.on_case(case, |case| attempt::apply(case, at, event));
                if self.places.contains_key(case) {
                    self.curves.apply(at, event);
                }
            }
            Event::CaseFinished(event) => self.finished(at, event),
            _ => {}
        }
    }

    fn created(&mut self, event: &event::RunCreated) {
        // A run whose cases come one by one tells of itself again, with those that came.
        if self.run.as_ref().is_some_and(|run| *run != event.run) {
            return;
        }
        self.run = Some(event.run.clone());
        self.harness = Some(event.harness.clone());
        self.node = Some(event.node.clone());
        self.commit.clone_from(&event.commit);
        for case in &event.cases {
            self.add_case(case.clone());
        }
    }

    fn add_case(&mut self, summary: CaseSummary) {
        let place = self.cases.len();
        if let std::collections::hash_map::Entry::Vacant(free) = self.places.entry(summary.id.clone()) {
            free.insert(place);
            self.cases.push(CaseState::new(summary));
        }
    }

    /// A run that lists its cases has no others; a node's bare journal lists none.
    fn on_case(&mut self, id: &CaseId, change: impl FnOnce(&mut CaseState)) {
        if self.run.is_none() && !self.places.contains_key(id) && self.cases.len() < UNLISTED_CASES {
            let id = CaseId(cut(id.as_str(), NAME).into_owned());
            self.add_case(CaseSummary { id, description: None, at: String::new(), junit: Vec::new() });
        }
        if let Some(place) = self.places.get(id) {
            change(&mut self.cases[*place]);
        }
    }

    fn finished(&mut self, at: Timestamp, event: &event::CaseFinished) {
        let mut room = LOG_BUDGET.saturating_sub(self.ended_log_bytes);
        let mut kept = 0;
        self.on_case(&event.case, |case| {
            attempt::finish(case, at, event);
            // The logs of good cases are in their files; of bad ones as much as there is room for.
            if event.outcome.is_good() {
                room = 0;
            }
            for log in [&mut case.stdout, &mut case.stderr] {
                if log.kept() > room {
                    log.shrink();
                }
                room = room.saturating_sub(log.kept());
                kept += log.kept();
            }
        });
        self.ended_log_bytes = self.ended_log_bytes.saturating_add(kept);
    }

    fn connection_lost(&mut self, at: Timestamp, event: &event::ConnectionLost) {
        self.loss_count += 1;
        if self.losses.len() == LOSSES {
            self.losses.remove(0);
        }
        self.losses.push(Loss { at, error: short(&event.error), seconds: None });
    }

    /// The harness's own are kept however much a node has warned.
    pub(super) fn warn(&mut self, event: &event::Warning, own: bool) {
        if self.warnings.len() >= if own { 2 * WARNINGS } else { WARNINGS } {
            self.warnings_left_out += 1;
        } else {
            let case = event.case.as_ref().map(|case| CaseId(cut(case.as_str(), NAME).into_owned()));
            self.warnings.push(event::Warning { case, message: short(&event.message) });
        }
    }

    /// Says that no more events will come, although the run was not closed.
    pub fn cut_off(&mut self) {
        self.cut_off = self.closed.is_none();
    }

    /// Whether the run may go on: it has not ended, and nobody knows that it never will.
    pub fn is_live(&self) -> bool {
        self.closed.is_none() && !self.cut_off
    }

    pub fn cases(&self) -> &[CaseState] {
        &self.cases
    }

    pub fn case(&self, id: &CaseId) -> Option<&CaseState> {
        self.places.get(id).map(|place| &self.cases[*place])
    }

    /// Seconds from the first record to the latest.
    pub fn seconds(&self) -> f64 {
        match (self.began, self.latest) {
            (Some(began), Some(latest)) => super::case::seconds_between(began, latest),
            _ => 0.0,
        }
    }

    /// What the reports of its own tests make of a case that passed.
    fn told_by_its_tests(&self, case: &CaseState, end: &Attempt) -> Option<(Outcome, String)> {
        if end.outcome != Outcome::Passed {
            return None;
        }
        let failed = self.tests_failed.get(case.id()).map(ToString::to_string);
        let unread = self.unread.get(case.id()).into_iter().flatten().cloned();
        let reasons = Vec::from_iter(failed.clone().into_iter().chain(unread));
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "))?;
        match end.unwell.as_ref().filter(|_| failed.is_some()) {
            // It is not known whether the code is at fault.
            Some(broken) => Some((Outcome::Errored, format!("{reason}; its GPU is not well: {broken}"))),
            // What its tests came to is bad, or not known: that is no pass.
            None => Some((Outcome::Failed, reason)),
        }
    }

    /// How a case counts if nothing more comes: one that did not finish is never a pass, and a regression counts as a failed
    /// check.
    pub fn ending(&self, case: &CaseState) -> Ending {
        let (outcome, reason, seconds) = self.end(case);
        let judged = self.judged.get(case.id());
        let circumstances = Circumstances {
            flaky: case.is_flaky(),
            regressed: judged.is_some_and(fails),
            quarantined: self.quarantined.contains_key(case.id()),
        };
        Ending { outcome, reason, seconds, standing: Standing::of(outcome, circumstances) }
    }

    fn end(&self, case: &CaseState) -> (Outcome, Option<String>, f64) {
        if let Some(end) = case.last_ended() {
            let (outcome, reason) = match self.told_by_its_tests(case, end) {
                Some((outcome, reason)) => (outcome, Some(reason)),
                None => (end.outcome, end.reason.clone()),
            };
            return (outcome, reason, end.seconds);
        }
        let seconds = match (case.started, self.latest) {
            (Some(started), Some(latest)) => super::case::seconds_between(started, latest),
            _ => 0.0,
        };
        let what = match case.phase {
            Phase::Waiting => "was never started".to_owned(),
            _ => format!("did not finish (attempt {})", case.attempt),
        };
        let (outcome, why) = match (&self.interrupted, &self.closed) {
            (Some(by), _) => (Outcome::Cancelled, format!("the run was interrupted by {by}")),
            (None, Some(event::RunClosed { error: Some(error), .. })) => (Outcome::Errored, error.clone()),
            (None, Some(_)) => (Outcome::Errored, "the run ended before it".to_owned()),
            (None, None) => match &self.node_reason {
                Some(reason) => (Outcome::Errored, reason.clone()),
                None => {
                    (Outcome::Errored, "the events of the run end here: was gpu-harness killed?".to_owned())
                }
            },
        };
        (outcome, Some(format!("{what}: {why}")), seconds)
    }

    pub fn tally(&self) -> BTreeMap<Outcome, usize> {
        let mut tally = BTreeMap::new();
        for case in &self.cases {
            *tally.entry(self.ending(case).outcome).or_default() += 1;
        }
        tally
    }

    /// The exit code that follows from the cases, from the receipt and from how the run was closed: it is not well while
    /// something that it has made may go on costing money, nor where its node was found out.
    pub fn exit(&self) -> Exit {
        match Exit::of(self.cases.iter().map(|case| self.ending(case).standing.blame())) {
            Exit::AllPassed if self.receipt.may_cost() || self.was_closed_for_trouble() => {
                Exit::Infrastructure
            }
            exit => exit,
        }
    }

    fn was_closed_for_trouble(&self) -> bool {
        let trouble = Exit::Infrastructure.code();
        self.closed.as_ref().is_some_and(|closed| closed.error.is_some() && closed.exit == trouble)
    }
}

fn fails(judged: &event::Judged) -> bool {
    judged.metrics.iter().any(|metric| metric.fails) || judged.answers.iter().any(|answers| answers.fails)
}

fn short_hello(hello: &event::Hello) -> event::Hello {
    event::Hello {
        protocol: hello.protocol,
        agent: short(&hello.agent),
        host: short(&hello.host),
        libtorch: hello.libtorch.as_deref().map(short),
    }
}
