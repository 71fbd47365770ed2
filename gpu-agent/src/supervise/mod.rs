//! Runs a run, case by case, detached from everybody: the one process that writes the journal.
//!
//! It lives as long as the run's lease: while cases run, and after the last one until the harness has said bye, so that a
//! harness that was cut off can come back for the end. The machine's own lease, where it has one, is another: each
//! renewal of a run's puts it off, and no run's end ends it ([`crate::node_lease`]).

mod attempt;
mod case_folder;
mod demands;
mod disk;
mod ending;
mod environment;
mod gpus;
mod intake;
mod log;
mod memory;
mod process;
mod readers;
mod reclaim;
mod set_up;
mod shutdown;
mod watch;

use std::fs::{self, File};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use gpu_suites::event::{CaseFinished, EndCause, GpusWatched, Hello, RunFinished};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{OnExpiry, PROTOCOL, Plan, PlannedCase};
use gpu_suites::seal::Key;
use gpu_suites::spec::Device;

use crate::artifacts::Budget;
use crate::folder::{Folder, RunDir};
use crate::journal::Journal;
use crate::libtorch::{self, Libtorch};
use crate::lock::Lock;
use crate::node_lease::NodeLease;
use crate::orders::Orders;
use crate::{control, store, strays, streams};
use attempt::Attempt;
use readers::Message;
use watch::{EarlyEnd, Stop, Watch};

/// Chunks of output that wait for the journal, 64 KiB at most each: what the case writes beyond has to wait.
const QUEUED: usize = 16;
/// How often the clock is looked at when nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// Why a run cannot be supervised; it is in the run folder's `supervisor.log`.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}", path.display())]
pub(crate) struct SuperviseError {
    doing: &'static str,
    path: std::path::PathBuf,
    source: io::Error,
}

fn to<T>(doing: &'static str, path: &Path, result: io::Result<T>) -> Result<T, SuperviseError> {
    result.map_err(|source| SuperviseError { doing, path: path.to_owned(), source })
}

/// Runs the run in `dir`: its orders are the standard input, its lock the standard output, and `control` is the number of the
/// socket at which the harness is heard.
pub(crate) fn supervise(dir: &str, control: Option<RawFd>) -> Result<(), SuperviseError> {
    let dir = RunDir::at(dir);
    let lock = to("keep the lock of", dir.path(), keep_lock(&dir))?;
    // Whatever a case leaves behind becomes a child of this process, which ends it.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let control = control.map_or_else(|| control::bind(&dir), control::inherited);
    let control = to("listen to the harness for", dir.path(), control)?;
    let Orders { plan, key } = to("read the orders for", dir.path(), Orders::from_stdin())?;
    let journal = to("write", &dir.journal(), Journal::create(&dir))?;
    let (outbox, inbox) = sync_channel(QUEUED);
    let watch = Arc::new(Watch::begin(&plan));
    let listener = Arc::clone(&watch);
    let (bell, shown) = (outbox.clone(), key.clone());
    let heard = std::thread::Builder::new().name("control".into());
    let heard = heard.spawn(move || listener.listen(&control, &shown, &bell));
    to("listen to the harness for", dir.path(), heard)?;
    if plan.reclaimable {
        let (watch, bell) = (Arc::clone(&watch), outbox.clone());
        let started = std::thread::Builder::new().name("reclaim".into());
        let started = started.spawn(move || reclaim::look_out(&watch, &bell));
        to("look out for a reclaim of", dir.path(), started)?;
    }
    if plan.lease.on_expiry == OnExpiry::Shutdown {
        let watch = Arc::clone(&watch);
        let started = std::thread::Builder::new().name("overdue".into()).spawn(move || {
            shutdown::wait_until_overdue(&watch, shutdown::OVERDUE);
            shutdown::shut_down_unless_held(&NodeLease::here())
        });
        to("watch the lease of", dir.path(), started)?;
    }
    let folder = dir.folder();
    let mut run = Run {
        plan: &plan,
        key: &key,
        dir: &dir,
        folder,
        journal,
        watch,
        inbox,
        outbox,
        libtorch: None,
        budget: Budget::default(),
        reclaim_told: false,
        gpu_broke: None,
    };
    if plan.worker.is_some() {
        let found = libtorch::find(plan.libtorch.as_deref(), &run.folder, run.wanted());
        run.libtorch = Some(found.map_err(|error| error.to_string()));
    }
    run.hello();
    // The harness sees the run start before the store is looked through.
    store::tidy(&run.folder);
    if run.ended_already().is_none() {
        run.make_ready();
    }
    let ended = run.cases();
    run.close(ended);
    let expired = run.wait_for_bye();
    strays::end(&dir);
    let removed = fs::remove_dir_all(dir.path());
    drop(lock);
    if expired && plan.lease.on_expiry == OnExpiry::Shutdown {
        shutdown::shut_down_unless_held(&NodeLease::here());
    }
    to("remove", dir.path(), removed)
}

/// The lock came as standard output; it must not be handed on to a case.
fn keep_lock(dir: &RunDir) -> io::Result<Lock> {
    // By hand, standard output is no lock.
    if let Some(lock) = Lock::take(dir)? {
        return Ok(lock);
    }
    let (output, lock) = (rustix::fs::fstat(rustix::stdio::stdout())?, rustix::fs::stat(dir.lock())?);
    if (output.st_dev, output.st_ino) != (lock.st_dev, lock.st_ino) {
        return Err(io::Error::other("another supervisor holds it"));
    }
    let kept: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(kept.into())
}

struct Run<'a> {
    plan: &'a Plan,
    key: &'a Key,
    dir: &'a RunDir,
    folder: Folder,
    journal: Journal,
    watch: Arc<Watch>,
    inbox: Receiver<Message>,
    outbox: SyncSender<Message>,
    /// Or why there is none; `None` where no case needs it.
    libtorch: Option<Result<Libtorch, String>>,
    budget: Budget,
    /// Whether the journal has the cloud's notice.
    reclaim_told: bool,
    /// Why a GPU is broken, since a case that ran on it.
    gpu_broke: Option<String>,
}

fn fails_fast(case: &PlannedCase, outcome: Outcome) -> EarlyEnd {
    EarlyEnd {
        cause: EndCause::FailFast,
        reason: format!("{} {outcome} and the run fails fast", case.id),
        rest: Some(Outcome::Skipped),
    }
}

/// How a case is left: what the rest of the run makes of it.
struct Left {
    started: bool,
    outcome: Outcome,
    reason: Option<String>,
    stop: Option<Stop>,
}

impl<'a> Run<'a> {
    fn hello(&mut self) {
        let libtorch = self.libtorch.as_ref().map(|found| match found {
            Ok(libtorch) => libtorch.describe(),
            Err(_) => "not found".to_owned(),
        });
        self.journal.append(Hello {
            protocol: PROTOCOL,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            libtorch,
        });
        self.journal.flush();
    }

    /// Runs the cases in order. `Some` says why the run ended before its last case.
    fn cases(&mut self) -> Option<EarlyEnd> {
        let plan = self.plan;
        let mut ended: Option<EarlyEnd> = None;
        for case in &plan.cases {
            if ended.is_none() {
                ended = self.ended_already();
                // A limit that is reached between two cases is reached all the same.
                if let Some(EarlyEnd { cause: EndCause::Limit, reason, .. }) = &ended {
                    self.never_started(case, Outcome::TimedOut, reason.clone());
                    continue;
                }
            }
            match &ended {
                Some(EarlyEnd { rest: None, .. }) => break,
                Some(EarlyEnd { rest: Some(outcome), reason, .. }) => {
                    self.never_started(case, *outcome, reason.clone());
                    continue;
                }
                None => {}
            }
            let left = self.case(case);
            ended = left.stop.as_ref().and_then(Stop::ends_the_run);
            if plan.fail_fast && !left.outcome.is_good() {
                ended = ended.or_else(|| Some(fails_fast(case, left.outcome)));
            }
        }
        ended
    }

    /// Why no case can be started any more.
    fn ended_already(&mut self) -> Option<EarlyEnd> {
        self.tell_of_a_reclaim();
        let stop = match self.journal.trouble() {
            Some(trouble) => Some(Stop::Disk(trouble.to_owned())),
            None => self.watch.due(None),
        };
        stop.and_then(|stop| stop.ends_the_run())
    }

    /// Puts the cloud's notice into the journal, once: before the end of the case that it ends.
    fn tell_of_a_reclaim(&mut self) {
        if !self.reclaim_told
            && let Some(notice) = self.watch.reclaimed()
        {
            self.reclaim_told = true;
            self.journal.append(notice);
        }
    }

    fn never_started(&mut self, case: &PlannedCase, outcome: Outcome, reason: String) {
        self.journal.append(CaseFinished {
            case: case.id.clone(),
            attempt: 0,
            outcome,
            reason: Some(reason),
            seconds: 0.0,
        });
        self.flush();
    }

    /// Runs one case, again where that may change how it ends.
    fn case(&mut self, case: &'a PlannedCase) -> Left {
        if let Some(reason) = &case.spec.skip {
            self.never_started(case, Outcome::Skipped, reason.clone());
            return Left { started: false, outcome: Outcome::Skipped, reason: None, stop: None };
        }
        if let (true, Some(Err(reason))) = (case.spec.needs_worker(), &self.libtorch) {
            let reason = reason.clone();
            self.never_started(case, Outcome::Errored, reason);
            return Left { started: false, outcome: Outcome::Errored, reason: None, stop: None };
        }
        if let (Some(why), true) = (self.gpu_broke.clone(), case.spec.device != Device::Cpu) {
            // A program that finds no GPU may well take the CPU, and pass.
            let broken = vec![why.clone()];
            self.journal.append(GpusWatched { case: case.id.clone(), attempt: 0, gpus: vec![], broken });
            self.never_started(case, Outcome::Errored, format!("{why}, in a case before this one"));
            return Left { started: false, outcome: Outcome::Errored, reason: None, stop: None };
        }
        let mut attempt = case.attempts_before.saturating_add(1);
        let mut retries = case.retries_used;
        loop {
            let begun = Instant::now();
            let left = Attempt::run(self, case, attempt);
            if left.stop == Some(Stop::Lease) {
                return left;
            }
            self.journal.append(CaseFinished {
                case: case.id.clone(),
                attempt: if left.started || attempt > 1 { attempt } else { 0 },
                outcome: left.outcome,
                reason: left.reason.clone(),
                seconds: begun.elapsed().as_secs_f64(),
            });
            self.flush();
            let ends_the_run = left.stop.as_ref().is_some_and(|stop| stop.ends_the_run().is_some());
            let again = left.started
                && left.outcome.is_retryable()
                && retries < self.plan.retries
                && self.gpu_broke.is_none();
            if !again || ends_the_run {
                return left;
            }
            attempt = attempt.saturating_add(1);
            retries += 1;
        }
    }

    /// Writes what waits, out of the reserve where there is no other room: nothing runs now.
    fn flush(&mut self) {
        self.journal.flush();
        if self.journal.trouble().is_some()
            && let Err(error) = self.journal.rescue()
        {
            // Without a journal nobody can be told; the lock is released and the harness finds the run gone.
            streams::tell(&format!("gpu-agent: {}: {error}", self.journal.trouble().unwrap_or_default()));
            std::process::exit(1);
        }
    }

    fn close(&mut self, ended: Option<EarlyEnd>) {
        let (reason, cause) = ended.map(|ended| (ended.reason, ended.cause)).unzip();
        let seal = Some(self.journal.seal(self.key));
        self.journal.append(RunFinished { reason, cause, seal });
        self.watch.finish();
        self.flush();
    }

    /// Whether the lease ran out before the harness said bye.
    fn wait_for_bye(&mut self) -> bool {
        loop {
            if self.watch.is_expired() {
                return true;
            }
            if self.watch.said_bye() {
                return false;
            }
            match self.inbox.recv_timeout(TICK) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
            }
        }
    }
}
