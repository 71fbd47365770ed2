//! One try of one case: its folder, its process, what it writes, and how it ends.

mod gather;
mod output;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use gpu_suites::budget;
use gpu_suites::checks::{End, ProcessEnd};
use gpu_suites::evaluation::Evaluator;
use gpu_suites::event::{CaseStarted, Check, Device, Finding, GpusWatched, ProcessEnded, Stream};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::PlannedCase;
use gpu_suites::spec::Work;
use gpu_suites::unit::Span;

use super::disk::DiskWatch;
use super::ending::{Observations, ending};
use super::gpus::{self, GpuWatch};
use super::intake::Intake;
use super::log::{Log, Tail};
use super::process::Process;
use super::readers::{Message, Readers};
use super::watch::Stop;
use super::{Left, Run, case_folder, demands, environment, memory};
use crate::folder::CaseDir;

/// What a process that is asked to end has to do so.
const GRACE: Duration = Duration::from_secs(5);
/// How long output may wait to be written together with what follows.
const BATCHING: Duration = Duration::from_millis(10);

pub(super) struct Attempt<'r, 'a> {
    run: &'r mut Run<'a>,
    case: &'a PlannedCase,
    dir: CaseDir,
    begun: Instant,
    limit: Option<(Instant, Span)>,
    logs: [Log; 2],
    /// Bytes of log that may still be kept.
    log_left: u64,
    log_dropped: u64,
    /// What its output, metrics included, may still cost of the run's budget.
    output_left: u64,
    output_cut: bool,
    stderr: Tail,
    intake: Intake,
    evaluator: Evaluator,
    announced: Vec<String>,
    /// JUnit reports that lay in the working folder before it began.
    before: gather::Before,
    /// What was announced, or is to be brought back, and is not there.
    missing: Vec<String>,
    progress: Option<String>,
    stop: Option<Stop>,
    /// When what waits for the journal is written.
    flush_at: Option<Instant>,
    /// What the disks have left, once the case has its folder.
    disk: Option<DiskWatch>,
}

impl<'r, 'a> Attempt<'r, 'a> {
    /// Runs the case once; its end is written by the caller.
    pub(super) fn run(run: &'r mut Run<'a>, case: &'a PlannedCase, attempt: u32) -> Left {
        let begun = Instant::now();
        let mut this = Attempt {
            dir: run.dir.case(&case.id),
            begun,
            limit: begun.checked_add(case.spec.timeout.0).map(|at| (at, case.spec.timeout)),
            logs: [Log::of(Stream::Stdout), Log::of(Stream::Stderr)],
            log_left: case.spec.limits.log.0,
            log_dropped: 0,
            output_left: budget::of_output(case),
            output_cut: false,
            stderr: Tail::default(),
            intake: Intake::default(),
            evaluator: Evaluator::for_case(&case.spec),
            announced: Vec::new(),
            before: gather::Before::default(),
            missing: Vec::new(),
            progress: None,
            stop: None,
            flush_at: None,
            disk: None,
            run,
            case,
        };
        let oom_kills = memory::oom_kills();
        let (watch, found) = GpuWatch::begin(&case.spec);
        let started = demands::unmet(&case.spec, &found).map_or_else(|| this.start(), |why| Err(why.into()));
        let (process, readers) = match started {
            Ok(started) => started,
            Err(Unstarted { reason, code }) => {
                if let Some(code) = code {
                    let case = case.id.clone();
                    this.run.journal.append(ProcessEnded { case, attempt, code: Some(code), signal: None });
                }
                return Left { started: false, outcome: Outcome::Errored, reason: Some(reason), stop: None };
            }
        };
        this.run.journal.append(CaseStarted { case: case.id.clone(), attempt });
        if let Some(device) = demands::ran_on(&case.spec, &found) {
            let facts = BTreeMap::from([("ran_on".to_owned(), device.into())]);
            this.run.journal.append(Device { case: case.id.clone(), facts });
        }
        this.run.journal.flush();
        let process = this.pump(process, &readers);
        let gpus = watch.map(|watch| watch.end(&case.spec));
        this.finish_streams();
        this.artifacts();
        let out_of_memory = memory::oom_kills() > oom_kills;
        let gpu_broke = gpus.and_then(|gpus| this.gpus(attempt, gpus));
        this.conclude(attempt, &process, out_of_memory, gpu_broke.as_deref())
    }

    fn start(&mut self) -> Result<(Process, Readers), Unstarted> {
        let case = self.case;
        case_folder::make(&self.dir, case, &self.run.folder).map_err(|error| error.to_string())?;
        if let Some(command) = case.spec.work.command() {
            self.before = gather::Before::look(&self.dir.work(), command);
        }
        // Open both ways, it neither waits for a writer nor ends with one.
        let metrics = OpenOptions::new().read(true).write(true).open(self.dir.metrics());
        let metrics = metrics.map_err(|error| format!("{}: {error}", self.dir.metrics().display()))?;
        let argv = self.argv()?;
        let libtorch = self.run.libtorch.as_ref().and_then(|found| found.as_ref().ok());
        let environment = environment::of_case(case, self.run.dir, &self.dir, libtorch, std::env::vars_os());
        self.disk = Some(DiskWatch::begin(&self.dir.work(), environment.get(OsStr::new("TMPDIR"))));
        let limit = case.spec.limits.memory.map(|size| size.0);
        let started = Process::start(&argv, environment, &self.dir.work(), limit);
        let (process, [out, err]) = started.map_err(|error| Unstarted::of(&argv[0], &error))?;
        let readers = Readers::start([out, err, metrics.into()], process.pid(), &self.run.outbox);
        let readers = readers.map_err(|error| {
            process.kill();
            format!("the case's output cannot be read: {error}")
        })?;
        Ok((process, readers))
    }

    /// What is started: how each kind of case runs.
    #[expect(clippy::single_match_else, reason = "an arm for each kind that the agent itself starts")]
    fn argv(&self) -> Result<Vec<OsString>, String> {
        match &self.case.spec.work {
            Work::Command(command) => Ok(command.run.iter().map(OsString::from).collect()),
            // What gpu-worker does: it finds its part by the kind, in its own main.
            _ => {
                let worker = self.run.plan.worker.as_ref().ok_or("the plan has no worker")?;
                Ok(vec![self.run.folder.blob(worker).into(), self.dir.case().into()])
            }
        }
    }

    /// Takes in what comes until the process and all that it started have ended and everything was read.
    fn pump(&mut self, process: Process, readers: &Readers) -> ProcessEnd {
        let mut running = Some(process);
        let mut ended = ProcessEnd::Exited(0);
        let mut kill_at = None;
        let mut drained = 0;
        while drained < Readers::COUNT {
            if let Some(disk) = &mut self.disk {
                disk.look();
            }
            if let Some(process) = &running {
                self.see_to_the_end(process, &mut kill_at);
            }
            let wake = [self.flush_at, kill_at.or_else(|| self.run.watch.next(self.limit))];
            match self.next(wake.into_iter().flatten().min()) {
                Some(Message::Log(stream, bytes)) => self.log(stream, &bytes),
                Some(Message::Metrics(bytes)) => self.metrics(&bytes),
                Some(Message::Drained) => drained += 1,
                Some(Message::Exited) => {
                    if let Some(process) = running.take() {
                        ended = self.reap(process);
                        readers.drain();
                    }
                }
                Some(Message::Woken) | None => {}
            }
            if self.flush_at.is_some_and(|at| Instant::now() >= at) {
                self.flush();
            }
        }
        match self.stop {
            Some(Stop::Aborted(_)) => ProcessEnd::Aborted,
            _ => ended,
        }
    }

    /// Ends the process where it has to end: first by asking it, then by force.
    fn see_to_the_end(&mut self, process: &Process, kill_at: &mut Option<Instant>) {
        self.run.tell_of_a_reclaim();
        let trouble = || self.run.journal.trouble().map(|trouble| Stop::Disk(trouble.to_owned()));
        if !matches!(self.stop, Some(Stop::Lease | Stop::Disk(_))) {
            let due = match self.stop {
                None => trouble().or_else(|| self.run.watch.due(self.limit)),
                Some(_) => trouble(),
            };
            self.stop = due.or(self.stop.take());
        }
        let now = Instant::now();
        match (&self.stop, *kill_at) {
            // Nobody is there to see how it ends, or nothing of it could be kept.
            (Some(Stop::Lease | Stop::Disk(_)), _) => process.kill(),
            (Some(_), None) => {
                process.terminate();
                *kill_at = Some(now + GRACE);
            }
            (Some(_), Some(at)) if now >= at => {
                process.kill();
                *kill_at = Some(now + GRACE);
            }
            _ => {}
        }
    }

    fn next(&self, until: Option<Instant>) -> Option<Message> {
        let wait = until.map_or(super::TICK, |at| at.saturating_duration_since(Instant::now()));
        self.run.inbox.recv_timeout(wait.min(super::TICK)).ok()
    }

    fn reap(&mut self, process: Process) -> ProcessEnd {
        let (status, left) = process.reap();
        if left > 0 {
            self.warn(format!(
                "{left} processes of the case cannot be ended: a disk or a driver of the node hangs"
            ));
        }
        process_end(&status)
    }

    /// Tells how the GPUs were; gives why one of them is broken.
    fn gpus(&mut self, attempt: u32, gpus::Outcome { gpus, trouble }: gpus::Outcome) -> Option<String> {
        let broke = (!trouble.fatal.is_empty()).then(|| trouble.fatal.join("; "));
        let broken = trouble.all();
        for why in &broken {
            self.warn(format!("{why}; what the case measured counts for no baseline"));
        }
        let case = self.case.id.clone();
        self.append(GpusWatched { case, attempt, gpus, broken });
        self.run.gpu_broke.clone_from(&broke);
        broke
    }

    fn conclude(
        self,
        attempt: u32,
        process: &ProcessEnd,
        out_of_memory: bool,
        gpu_broke: Option<&str>,
    ) -> Left {
        let Self { run, case, evaluator, stop, begun, missing, stderr, progress, mut disk, .. } = self;
        let (code, signal) = match process {
            ProcessEnd::Exited(code) => (Some(*code), None),
            ProcessEnd::Signalled { signal, .. } => (None, Some(*signal)),
            ProcessEnd::Aborted => (None, None),
        };
        run.journal.append(ProcessEnded { case: case.id.clone(), attempt, code, signal });
        // A case that was ended from outside says nothing about the code.
        let findings = match stop {
            None | Some(Stop::Aborted(_)) => {
                evaluator.conclude(&End { process: process.clone(), elapsed: begun.elapsed() })
            }
            Some(_) => Vec::<Finding>::new(),
        };
        let (mut outcome, mut reason) = ending(
            &Observations {
                case: &case.spec,
                findings: &findings,
                process,
                stderr: &stderr.text(),
                progress: progress.as_deref(),
                out_of_memory,
                gpu_broke,
                disk_full: disk.as_mut().and_then(|disk| disk.full(&stderr.text())).as_deref(),
            },
            stop.as_ref(),
        );
        if outcome == Outcome::Passed && !missing.is_empty() {
            (outcome, reason) = (Outcome::Failed, Some(missing.join("\n")));
        }
        for finding in findings {
            run.journal.append(Check { case: case.id.clone(), attempt, finding });
        }
        Left { started: true, outcome, reason, stop }
    }
}

fn process_end(status: &io::Result<ExitStatus>) -> ProcessEnd {
    match status.as_ref().map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => ProcessEnd::Exited(code),
        Ok((None, Some(signal))) => ProcessEnd::Signalled { signal, name: signal_name(signal) },
        // Neither happens to a process that was waited for.
        Ok((None, None)) | Err(_) => ProcessEnd::Exited(-1),
    }
}

/// `SIGSEGV` for 11, and so on.
fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("SIG{number}"), |signal| signal.as_str().to_owned())
}

/// Why a case was not started.
struct Unstarted {
    reason: String,
    /// What a shell would exit with, where it is the program that cannot be started.
    code: Option<i32>,
}

impl From<String> for Unstarted {
    fn from(reason: String) -> Self {
        Self { reason, code: None }
    }
}

impl From<&str> for Unstarted {
    fn from(reason: &str) -> Self {
        Self::from(reason.to_owned())
    }
}

impl Unstarted {
    fn of(program: &OsString, error: &io::Error) -> Self {
        let (code, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                Some(127),
                "is it installed on the node and on the PATH there, or named in `files` and called as ./NAME?",
            ),
            io::ErrorKind::PermissionDenied => {
                (Some(126), "is it executable (chmod +x), or should its interpreter be named first?")
            }
            io::ErrorKind::OutOfMemory => (None, "`limits: memory` may be too little to start it at all"),
            io::ErrorKind::WouldBlock => (None, "the node has no more processes to give"),
            _ => (Some(126), "the program must be one that this node can run"),
        };
        Self { reason: format!("{} cannot be started: {error}\nhint: {hint}", program.display()), code }
    }
}
