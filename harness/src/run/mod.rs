//! One run from the choice of cases to the exit code.

pub mod exec;
mod follow;
pub mod retry;
pub mod run_history;
mod source;
pub mod unfinished;

use std::path::{Path, PathBuf};

use gpu_suites::event::{CaseFinished, RunClosed, RunCreated};
use gpu_suites::exit::Exit;
use gpu_suites::id::{NodeName, RunId};
use gpu_suites::load::{Diagnostic, LoadError};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{Lease, OnExpiry};
use gpu_suites::unit::Span;
use jiff::Timestamp;
use tracing::Instrument as _;

use crate::ci::Service;
use crate::compare::{self, arms::ArmsError};
use crate::config::need::NodeNeed;
use crate::config::{Config, Location, Provider};
use crate::files::run_dir::{self, RunDir, RunDirError};
use crate::here::Here;
use crate::history::judge::PatternError;
use crate::node::{NodeError, NodeSpec};
use crate::notify;
use crate::plan::canary;
use crate::plan::{Options, PlanError, Prepared, Selection};
use crate::recorder::{Recorder, RecorderError};
use crate::report::case::Phase;
use crate::report::{Reporter, RunState};
use crate::run::run_history::RunHistory;
use crate::session::SessionError;
use crate::session::interrupt::{Interrupts, Stop};
use crate::text::{Explain, chain, explained};

pub use source::connect;
pub(crate) use source::{NodeSource, Nodes, ReadyNode};

#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Suite files and folders of them; default: `suites/`.
    pub suites: Vec<PathBuf>,
    pub cases: Vec<String>,
    pub node: Option<String>,
    pub out: PathBuf,
    /// `--junit`: where else the JUnit report goes.
    pub junit: Option<PathBuf>,
    pub timeout: Option<Span>,
    /// `--wait`: how long to go on asking a cloud without capacity.
    pub wait: Option<Span>,
    /// `--max-cost`: US dollars that the run may cost.
    pub max_cost: Option<f64>,
    /// `--keep-node-on-failure`: how long a node lives on after a case that was not good.
    pub keep_node_on_failure: Option<Span>,
    pub fail_fast: bool,
    pub retries: u32,
    pub history: Option<Location>,
    /// The search that the run belongs to.
    pub search: Option<OfSearch>,
}

/// A run of a search: all of them use one node, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfSearch {
    pub root: PathBuf,
    /// How many runs there may be yet, this one among them.
    pub runs: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("failed to find the working folder")]
    Cwd(#[source] std::io::Error),
    #[error(transparent)]
    Config(#[from] LoadError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    #[error(transparent)]
    Compare(#[from] ArmsError),
    /// A file that a program needs cannot be read.
    #[error("failed to read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("--max-cost: {0}")]
    MaxCost(String),
    #[error(
        "node `{name}` has provider {provider}, and this gpu-harness was built without the feature `{provider}`"
    )]
    NotBuilt {
        name: NodeName,
        /// Who would make it.
        provider: Provider,
    },
    #[error("{flag} does not apply to node `{name}`, whose provider is {provider}")]
    Flag { flag: &'static str, name: NodeName, provider: Provider },
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
}

impl RunError {
    /// The mistakes in the project's files that this is about.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Config(LoadError::Wrong(diagnostics))
            | Self::Plan(PlanError::Load(LoadError::Wrong(diagnostics)) | PlanError::Inputs(diagnostics)) => {
                diagnostics
            }
            _ => &[],
        }
    }
}

impl Explain for RunError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Node(error) => error.hint(),
            Self::Flag { .. } => {
                Some("leave it out; it is for a node that a cloud makes for the run".to_owned())
            }
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Plan(error) => error.exit(),
            Self::Compare(error) => error.exit(),
            Self::RunDir(error) => error.exit(),
            Self::Config(_)
            | Self::Pattern(_)
            | Self::Node(_)
            | Self::File { .. }
            | Self::MaxCost(_)
            | Self::NotBuilt { .. }
            | Self::Flag { .. } => Exit::Usage,
            Self::Cwd(_) | Self::Recorder(_) | Self::Signals(_) => Exit::Infrastructure,
        }
    }

    fn is_diagnostic(&self) -> bool {
        !self.diagnostics().is_empty()
    }
}

/// What a run has of the process that it is made by.
pub struct RunContext {
    /// Its folder, its environment, and who hears what is said beside the report.
    pub here: Here,
    pub stop: Stop,
    pub reporter: Box<dyn Reporter>,
}

impl RunContext {
    /// A run that this process is there for.
    pub fn new(here: Here, reporter: Box<dyn Reporter>) -> Self {
        Self { here, stop: Stop::Signals, reporter }
    }
}

/// Runs what was asked for.
///
/// Whatever goes wrong once the run's folder is there is told by its report and by the exit code; an error means
/// that nothing was run. A CI service whose step this is is told too.
pub async fn run(context: RunContext, asked: RunOptions) -> Result<Exit, RunError> {
    let here = context.here.clone();
    let service = Service::of(&here.env);
    let state = match all(context, asked).await {
        Ok(state) => state,
        Err(error) => {
            if let Some(service) = &service {
                service.tell_mistakes(error.diagnostics(), &here);
            }
            return Err(error);
        }
    };
    let exit = state.exit();
    if let Some(service) = &service {
        service.tell(&state, exit, &here).await;
    }
    Ok(exit)
}

async fn all(context: RunContext, mut asked: RunOptions) -> Result<RunState, RunError> {
    let here = context.here.clone();
    asked.suites.iter_mut().for_each(|path| *path = here.path(path));
    let selection = Selection::read(&asked.suites, &asked.cases, &here.folder)?;
    let config = Config::find(&here.folder)?;
    let canary = config.canary;
    let place = asked.history.clone().map(|place| place.below(&here.path(Path::new(""))));
    let run_history = RunHistory::begin(place, config.clone())?;
    let job = Job {
        root: selection.root(),
        config: &config,
        run_history: Some(&run_history),
        need: |node: &NodeNeed| selection.node_need(node),
        prepare: |run, options: &Options| {
            let mut prepared = selection.prepare(run, options)?;
            if run_history.has_history() {
                canary::add(&mut prepared, canary, &options.env).map_err(PlanError::from)?;
            }
            Ok(prepared)
        },
    };
    let (state, _) = perform(context, asked, job).await?;
    // A step that is being stopped has seconds left, and a run that was stopped says little.
    let message = run_history.message(&state, &here.env).filter(|_| state.exit() != Exit::Interrupted);
    if let Some(message) = message {
        notify::tell(run_history.everybody(), &message, &here).await;
    }
    Ok(state)
}

/// Runs a command on a node; gives what came of it and the run's folder.
pub async fn exec(
    context: RunContext,
    asked: RunOptions,
    command: crate::run::exec::Ready,
) -> Result<(RunState, PathBuf), RunError> {
    let here = context.here.clone();
    let job = Job {
        root: &here.folder,
        config: &Config::find(&here.folder)?,
        // A command of the moment is no series.
        run_history: None,
        need: |node: &NodeNeed| Ok(node.clone()),
        prepare: |run, options: &_| Ok(command.prepare(run, options)),
    };
    perform(context, asked, job).await
}

/// Runs two versions in turn on a node; gives what came of it and the run's folder.
pub async fn compare(
    context: RunContext,
    asked: RunOptions,
    ready: &compare::Ready,
) -> Result<(RunState, PathBuf), RunError> {
    let job = Job {
        root: ready.head().root(),
        config: &Config::find(&context.here.folder)?,
        // The nights before say nothing of a version of the moment.
        run_history: None,
        need: |node: &NodeNeed| ready.head().node_need(node),
        prepare: |run, options: &_| Ok(ready.prepare(&run, options)?),
    };
    perform(context, asked, job).await
}

struct Job<'a, N, P> {
    root: &'a Path,
    config: &'a Config,
    /// What it is judged by.
    run_history: Option<&'a RunHistory>,
    /// What the node has to be, where its settings ask for this.
    need: N,
    prepare: P,
}

/// Has a node, runs what the job is on it, and keeps all that comes of it.
async fn perform<N, P>(
    context: RunContext,
    asked: RunOptions,
    job: Job<'_, N, P>,
) -> Result<(RunState, PathBuf), RunError>
where
    N: Fn(&NodeNeed) -> Result<NodeNeed, PlanError>,
    P: FnOnce(RunId, &Options) -> Result<Prepared, RunError>,
{
    let RunContext { here, stop, reporter } = context;
    let Job { root, config, run_history, need, prepare } = job;
    let node = NodeSpec::choose(asked.node.as_deref(), config)?;
    let source = NodeSource::of(&node, &asked, root, &here.env, need)?;
    let mut interrupts = Interrupts::from(stop).map_err(RunError::Signals)?;
    let options = Options {
        lease: Lease { ttl: Span(node.lease), on_expiry: OnExpiry::Exit },
        fail_fast: asked.fail_fast,
        retries: asked.retries,
        timeout: asked.timeout,
        libtorch: node.libtorch.clone(),
        environment: node.environment.clone(),
        env: here.env.clone(),
    };
    // What can be wrong here is found before a folder, let alone a node, is had.
    let mut prepared = prepare(run_dir::new_run_id(Timestamp::now()), &options)?;
    let folder = RunDir::create(&here.path(&asked.out), prepared.plan.run.clone())?;
    let path = folder.path.clone();
    let junit = asked.junit.as_deref().map(|junit| here.path(junit));
    let mut recorder = Recorder::create(folder, node.name.clone(), junit, reporter)?;
    let span = tracing::info_span!("run", id = %prepared.plan.run);
    span.in_scope(|| tracing::info!(node = %node.name, cases = prepared.plan.cases.len(), "begun"));
    recorder.own(RunCreated {
        run: prepared.plan.run.clone(),
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        node: node.name.clone(),
        cases: prepared.cases.clone(),
        commit: crate::files::commit::of(root),
    });
    for input in prepared.inputs.drain(..) {
        recorder.own(input);
    }
    for (case, reason) in prepared.skipped.drain(..) {
        let reason = Some(reason);
        recorder.own(CaseFinished { case, attempt: 0, outcome: Outcome::Skipped, reason, seconds: 0.0 });
    }
    // Whatever cannot be written is known before a node is had, too.
    recorder.settle()?;
    let course =
        Course { prepared: &prepared, recorder: &mut recorder, interrupts: &mut interrupts, run_history };
    let ended = if prepared.plan.cases.is_empty() {
        Ok(())
    } else {
        follow::follow(source, course).instrument(span.clone()).await
    };
    if let Err(error) = &ended {
        span.in_scope(|| tracing::warn!("ended early: {}", chain(error)));
    }
    let error = ended.err();
    let missing = recorder.missing(None).await;
    let by = recorder.state().interrupted.clone();
    let (outcome, why) = match (&error, by) {
        (Some(error), _) => (error.outcome(), Some(explained(error))),
        (None, Some(by)) => (Outcome::Cancelled, Some(format!("interrupted by {by}"))),
        (None, None) => (Outcome::Errored, None),
    };
    recorder.lacks(missing, outcome, why.as_deref());
    recorder.restore(None);
    if let Some(run_history) = run_history {
        settle(&mut recorder, error.as_ref());
        run_history.conclude(&mut recorder);
    }
    Ok((close(recorder, error.as_ref())?, path))
}

/// A run on its way: what it is, and what becomes of it.
pub(crate) struct Course<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) recorder: &'a mut Recorder,
    pub(crate) interrupts: &'a mut Interrupts,
    /// What suspected cases are told by.
    pub(crate) run_history: Option<&'a RunHistory>,
}

/// Gives its outcome to what has not finished.
fn settle(recorder: &mut Recorder, ended: Option<&SessionError>) {
    let reason = ended.map_or_else(|| "the node ended the run without it".to_owned(), explained);
    let outcome = ended.map_or(Outcome::Errored, SessionError::outcome);
    recorder.end(&[Phase::Waiting, Phase::Running], outcome, &reason);
}

/// Ends the run's records: what has not finished gets its outcome, and the exit code follows from them all.
pub(crate) fn close(mut recorder: Recorder, ended: Option<&SessionError>) -> Result<RunState, RunError> {
    settle(&mut recorder, ended);
    let error = ended.map(explained);
    let exit = match (recorder.state().exit(), ended) {
        // That its cases passed is its own word.
        (Exit::AllPassed, Some(error)) if error.is_of_a_false_node() => Exit::Infrastructure,
        (exit, _) => exit,
    };
    recorder.own(RunClosed { exit: exit.code(), error });
    Ok(recorder.finish(exit)?)
}
