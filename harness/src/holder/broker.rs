//! What all requests of a holder share: its node, the records of its run, and the lanes in which cases run.
//!
//! A lane is one GPU of the node: cases take turns in a lane, so that no two of them share a GPU's memory or disturb each
//! other's measurements, and lanes run side by side.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use gpu_suites::event::{CaseSummary, Event, NodeState, RunCreated};
use gpu_suites::facts::Gpus;
use gpu_suites::id::RunId;
use gpu_suites::plan::Lease;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, OnceCell, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::case::What;
use super::records::Silent;
use crate::cloud::limits::Work;
use crate::config::need::NodeNeed;
use crate::files::content::Blob;
use crate::files::run_dir::{self, RunDir};
use crate::here::Env;
use crate::node::NodeSpec;
use crate::node::remote::Remote;
use crate::plan::Selection;
use crate::recorder::{Recorder, Records as _};
use crate::report::RunState;
use crate::run::{NodeSource, Nodes, ReadyNode, RunError, RunOptions};
use crate::session::selfcheck;
use crate::session::{Budget, SessionError};
use crate::text::explained;

/// How long the last events of a node that is gone may take.
const LAST_EVENTS: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) enum Stage {
    /// Nobody has asked for it yet, or it is being had.
    Awaited,
    There(ReadyFor),
    /// It could not be had: that is everybody's answer from now on.
    NoNode(String),
    /// Its money is spent, and it is given back: so is this.
    Spent(String),
}

/// What a session needs to know of the node.
#[derive(Clone)]
pub(super) struct ReadyFor {
    pub(super) lease: Lease,
    pub(super) reclaimable: bool,
    pub(super) budget: Option<Budget>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HolderEnd {
    /// Nobody needs it any more; why.
    Ended(&'static str),
    Lost {
        why: String,
        /// Whether the cloud took it back.
        reclaimed: bool,
    },
}

/// One GPU's connection, where one was made.
pub(super) type Slot = Rc<Mutex<Option<Remote>>>;

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let data = std::fs::metadata(path)?;
        Ok(Self { inode: data.ino(), bytes: data.len(), changed: (data.ctime(), data.ctime_nsec()) })
    }
}

/// The node, and what it is given back to.
struct Held {
    nodes: Nodes,
    node: Option<ReadyNode>,
}

pub(super) struct Broker {
    node: NodeSpec,
    env: Env,
    runs: Vec<PathBuf>,
    pub(super) run: RunId,
    pub(super) over: watch::Sender<Option<HolderEnd>>,
    pub(super) stage: watch::Sender<Stage>,
    records: RefCell<Option<Rc<RefCell<Recorder>>>>,
    held: Rc<Mutex<Option<Held>>>,
    is_wanted: Cell<bool>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    /// What gives back a node whose money is spent.
    giving_back: RefCell<Option<JoinHandle<()>>>,
    /// What keeps the events of a node that is made; ends with them.
    events: RefCell<Option<JoinHandle<()>>>,
    lanes: RefCell<BTreeMap<u32, Slot>>,
    gpus: OnceCell<u32>,
    suites: RefCell<HashMap<(PathBuf, Vec<PathBuf>), Selection>>,
    /// What programs' files hold, for as long as they are not written.
    blobs: RefCell<HashMap<PathBuf, (Stamp, Blob)>>,
    count: Cell<u64>,
    /// Requests that are being served, and since when none is.
    pub(super) busy: watch::Sender<(usize, Instant)>,
}

impl Broker {
    /// For this node; the run's folder is made in the first of `runs` that can be written to.
    pub(super) fn new(node: NodeSpec, runs: Vec<PathBuf>, env: Env) -> Self {
        Self {
            node,
            env,
            runs,
            run: run_dir::new_run_id(jiff::Timestamp::now()),
            over: watch::Sender::new(None),
            stage: watch::Sender::new(Stage::Awaited),
            records: RefCell::default(),
            held: Rc::default(),
            is_wanted: Cell::new(false),
            tasks: RefCell::default(),
            giving_back: RefCell::default(),
            events: RefCell::default(),
            lanes: RefCell::default(),
            gpus: OnceCell::new(),
            suites: RefCell::default(),
            blobs: RefCell::default(),
            count: Cell::new(0),
            busy: watch::Sender::new((0, Instant::now())),
        }
    }

    pub(super) fn node(&self) -> &NodeSpec {
        &self.node
    }

    /// Ends the holder; the first reason stays.
    pub(super) fn end(&self, over: HolderEnd) {
        self.over.send_if_modified(|now| {
            let is_first = now.is_none();
            now.get_or_insert(over);
            is_first
        });
    }

    pub(super) fn selection(&self, project: PathBuf, suites: Vec<PathBuf>) -> Result<Selection, RunError> {
        let key = (project, suites);
        if let Some(read) = self.suites.borrow().get(&key) {
            return Ok(read.clone());
        }
        let read = Selection::read(&key.1, &[], &key.0)?;
        self.suites.borrow_mut().insert(key, read.clone());
        Ok(read)
    }

    /// The content of a file, read once for as long as nobody writes it.
    pub(super) async fn blob(&self, path: PathBuf) -> std::io::Result<Blob> {
        let stamp = Stamp::of(&path)?;
        if let Some((known, blob)) = self.blobs.borrow().get(&path)
            && *known == stamp
        {
            return Ok(blob.clone());
        }
        let read = path.clone();
        let blob =
            tokio::task::spawn_blocking(move || Blob::read(&read)).await.map_err(std::io::Error::other)??;
        self.blobs.borrow_mut().insert(path, (stamp, blob.clone()));
        Ok(blob)
    }

    pub(super) fn run_dir(&self) -> Option<PathBuf> {
        self.records.borrow().as_ref().map(|records| records.borrow().folder().to_owned())
    }

    /// A run on the node for one case.
    pub(super) fn next_run(&self) -> RunId {
        let count = self.count.get() + 1;
        self.count.set(count);
        RunId(format!("{}-{count}", self.run))
    }

    /// The run's records, with this case among its cases; made for the first.
    pub(super) fn records(&self, case: CaseSummary, root: &Path) -> Result<Rc<RefCell<Recorder>>, RunError> {
        let node = self.node.name.clone();
        let (records, is_new) = if let Some(records) = &*self.records.borrow() {
            (Rc::clone(records), false)
        } else {
            let folder = self.folder()?;
            let recorder = Recorder::create(folder, node.clone(), None, Box::new(Silent))?;
            (Rc::new(RefCell::new(recorder)), true)
        };
        let known = records.borrow().state().case(&case.id).is_some();
        if !known {
            records.borrow_mut().own(RunCreated {
                run: self.run.clone(),
                harness: env!("CARGO_PKG_VERSION").to_owned(),
                node,
                cases: vec![case],
                commit: crate::files::commit::of(root),
            });
            if is_new {
                records.borrow_mut().settle()?;
            }
        }
        *self.records.borrow_mut() = Some(Rc::clone(&records));
        Ok(records)
    }

    fn folder(&self) -> Result<RunDir, RunError> {
        let mut made = None;
        for parent in &self.runs {
            match RunDir::create(parent, self.run.clone()) {
                Ok(folder) => return Ok(folder),
                Err(error) => made = made.or(Some(error)),
            }
        }
        Err(made.map_or_else(|| RunError::Cwd(std::io::ErrorKind::NotFound.into()), RunError::from))
    }

    /// Begins to have the node, once. `what`: what it may have to run.
    pub(super) async fn want_node(self: &Rc<Self>, what: &What) -> Result<(), RunError> {
        if self.is_wanted.get() || self.over.borrow().is_some() {
            return Ok(());
        }
        let need = |node: &NodeNeed| what.node_need(node);
        let source = NodeSource::of(&self.node, &RunOptions::default(), what.root(), &self.env, need)?;
        let ready = if what.needs_worker() { self.node.environment.timeout.0 } else { Duration::ZERO };
        let work = Work { cases: what.work(), retries: 0, ready, run: None };
        let (nodes, events) = source.begin(self.run.clone(), work);
        self.is_wanted.set(true);
        *self.held.lock().await = Some(Held { nodes, node: None });
        let kept = tokio::task::spawn_local(Self::keep_events(Rc::clone(self), events));
        *self.events.borrow_mut() = Some(kept);
        self.spawn(Self::acquire(Rc::clone(self)));
        Ok(())
    }

    /// The environment that the holder was started in.
    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(tokio::task::spawn_local(task));
    }

    async fn keep_events(self: Rc<Self>, mut events: UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.own(event);
        }
    }

    async fn acquire(self: Rc<Self>) {
        let mut over = self.over.subscribe();
        let mut held = self.held.lock().await;
        let Some(held) = held.as_mut() else { return };
        let acquiring = async {
            let node = held.node.insert(held.nodes.acquire().await?);
            Ok::<_, SessionError>((node.another().await?, &*node))
        };
        let had = tokio::select! {
            had = acquiring => had,
            _ = over.wait_for(Option::is_some) => return,
        };
        match had {
            Ok((remote, node)) => self.is_there(remote, node),
            Err(error) => {
                self.stage.send_replace(Stage::NoNode(explained(&error)));
            }
        }
    }

    fn is_there(self: &Rc<Self>, remote: Remote, node: &ReadyNode) {
        let (name, lease, budget) = (node.name(), node.lease(), node.budget());
        let (reclaimable, watch) = (node.is_reclaimable(), node.watch());
        if let Some(records) = &*self.records.borrow() {
            records.borrow_mut().on_node(name);
        }
        self.own_state(NodeState::Running);
        self.lanes.borrow_mut().insert(0, Rc::new(Mutex::new(Some(remote))));
        let broker = Rc::clone(self);
        self.spawn(async move {
            let why = watch.await;
            broker.end(HolderEnd::Lost { why, reclaimed: false });
        });
        if let Some(Budget { end_at: (at, why), .. }) = budget.clone() {
            let broker = Rc::clone(self);
            self.spawn(async move {
                at.come().await;
                broker.spend(why);
            });
        }
        self.stage.send_replace(Stage::There(ReadyFor { lease, reclaimable, budget }));
    }

    /// Gives the node back when its money is spent. The holder stays and tells so: another would begin to spend anew.
    fn spend(self: &Rc<Self>, why: String) {
        self.stage.send_replace(Stage::Spent(why));
        let broker = Rc::clone(self);
        let giving_back = tokio::task::spawn_local(async move {
            let lanes = broker.lanes.take();
            // Each case that runs knows the same limit, and ends by itself.
            for lane in lanes.into_values() {
                *lane.lock().await = None;
            }
            broker.release(true, false).await;
        });
        *self.giving_back.borrow_mut() = Some(giving_back);
    }

    async fn release(&self, is_well: bool, reclaimed: bool) {
        let Some(Held { mut nodes, node }) = self.held.lock().await.take() else { return };
        if !nodes.is_made() {
            return self.own_state(NodeState::Gone);
        }
        self.own_state(NodeState::Terminating);
        if reclaimed {
            nodes.was_reclaimed();
        }
        if let Some(node) = node {
            nodes.give_back(node, is_well).await;
        }
        nodes.close().await;
    }

    /// The lane of a test's slot, and the GPU that it is to see where there are several.
    pub(super) async fn lane(&self, slot: Option<u32>) -> Result<(Slot, Option<u32>), SessionError> {
        let Some(slot) = slot else { return Ok((self.lane_of(0), None)) };
        let count = *self.gpus.get_or_try_init(|| self.count_gpus()).await?;
        if count < 2 {
            return Ok((self.lane_of(0), None));
        }
        Ok((self.lane_of(slot % count), Some(slot % count)))
    }

    fn lane_of(&self, gpu: u32) -> Slot {
        Rc::clone(self.lanes.borrow_mut().entry(gpu).or_default())
    }

    async fn count_gpus(&self) -> Result<u32, SessionError> {
        let remote = self.another().await?;
        let facts = selfcheck::facts(&remote).await?;
        Ok(match facts.gpus {
            Gpus::Present { devices, .. } => u32::try_from(devices.len()).unwrap_or(u32::MAX),
            Gpus::Absent(_) => 0,
        })
    }

    /// A connection of its own to the node that is there.
    pub(super) async fn another(&self) -> Result<Remote, SessionError> {
        match self.held.lock().await.as_ref().and_then(|held| held.node.as_ref()) {
            Some(node) => node.another().await,
            None => Err(self.is_over()),
        }
    }

    /// What a request is told that came too late.
    pub(super) fn is_over(&self) -> SessionError {
        if let Stage::Spent(why) = &*self.stage.borrow() {
            return SessionError::Money { why: why.clone() };
        }
        let why = match &*self.over.borrow() {
            Some(HolderEnd::Lost { why, .. }) => why.clone(),
            Some(HolderEnd::Ended(why)) => (*why).to_owned(),
            None => "it was given back".to_owned(),
        };
        SessionError::Taken { node: self.node.name.to_string(), why }
    }

    fn own_state(&self, state: NodeState) {
        if let Some(records) = &*self.records.borrow() {
            records.borrow_mut().node_is(state, "");
        }
    }

    fn own(&self, event: Event) {
        if let Some(records) = &*self.records.borrow() {
            records.borrow_mut().own(event);
        }
    }

    /// Gives the node back and ends the records: what they amount to, where anything was run.
    pub(super) async fn close(self: Rc<Self>) -> Result<Option<RunState>, RunError> {
        let over = self.over.borrow().clone();
        let (is_well, reclaimed) = match over {
            Some(HolderEnd::Lost { reclaimed, .. }) => (false, reclaimed),
            _ => (matches!(*self.stage.borrow(), Stage::There(_)), false),
        };
        self.lanes.borrow_mut().clear();
        let giving_back = self.giving_back.take();
        if let Some(giving_back) = giving_back {
            let _ = giving_back.await;
        }
        self.release(is_well, reclaimed).await;
        let events = self.events.take();
        if let Some(events) = events {
            let _ = tokio::time::timeout(LAST_EVENTS, events).await;
        }
        for task in self.tasks.take() {
            task.abort();
        }
        let Some(records) = self.records.take() else { return Ok(None) };
        let Ok(records) = Rc::try_unwrap(records) else { return Ok(None) };
        crate::run::close(records.into_inner(), None).map(Some)
    }
}
