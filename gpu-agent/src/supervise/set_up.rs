//! Makes the node ready before the first case: what it lacks is put there by a process of its own, which this one hears, and
//! ends where the run ends or it takes too long.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use gpu_suites::event::{EnvironmentFailed, EnvironmentProgress, EnvironmentReady};
use gpu_suites::spec::Device;
use gpu_suites::unit::Span;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal};

use super::Run;
use crate::install::{Order, Said, Wanted};
use crate::libtorch;

/// How often it is looked whether the run goes on.
const LOOK: Duration = Duration::from_millis(100);

/// How making ready ended.
enum Ended {
    Said(Said),
    /// The run ends; the cases say why.
    Stopped,
}

impl Run<'_> {
    /// Has what the cases need put there, where it is not. What fails is told by the cases that need it.
    pub(super) fn make_ready(&mut self) {
        let Some(order) = self.lacks() else { return };
        let begun = Instant::now();
        let what = order.what();
        let ended = self.carry_out(&order).unwrap_or_else(|error| {
            Ended::Said(Said::Failed(format!("its process cannot be started: {error}")))
        });
        let seconds = begun.elapsed().as_secs_f64();
        match ended {
            Ended::Said(Said::Ready { place, bytes }) => {
                let found = libtorch::find(self.plan.libtorch.as_deref(), &self.folder, order.libtorch);
                self.libtorch = Some(found.map_err(|error| error.to_string()));
                self.journal.append(EnvironmentReady { what, place, bytes, seconds });
            }
            Ended::Said(Said::Failed(reason)) => {
                self.libtorch =
                    Some(Err(format!("environment: {what} could not be put on the node: {reason}")));
                self.journal.append(EnvironmentFailed { what, reason, seconds });
            }
            Ended::Said(Said::Progress { .. }) | Ended::Stopped => {}
        }
        self.journal.flush();
    }

    /// What is to be put there.
    fn lacks(&self) -> Option<Order> {
        let wanted = self.wanted();
        let is_there = match &self.libtorch {
            Some(Ok(found)) => !found.may_be_bettered(wanted),
            Some(Err(_)) => false,
            None => true,
        };
        let may = self.plan.may_need_libtorch() && !is_there;
        may.then(|| Order { libtorch: wanted, index: self.plan.environment.index.clone() })
    }

    /// Which build the cases need.
    pub(super) fn wanted(&self) -> Wanted {
        let some_use_a_gpu = |case: &gpu_suites::plan::PlannedCase| {
            case.spec.needs_worker() && case.spec.skip.is_none() && case.spec.device != Device::Cpu
        };
        Wanted::on_this_node(self.plan.cases.iter().any(some_use_a_gpu))
    }

    fn carry_out(&mut self, order: &Order) -> io::Result<Ended> {
        let limit = self.plan.environment.timeout;
        let ends_at = Instant::now().checked_add(limit.0);
        let mut process = SetUp::start(order)?;
        loop {
            match process.said.recv_timeout(LOOK) {
                Ok(Said::Progress { bytes, total, rate }) => {
                    let what = order.what();
                    self.journal.append(EnvironmentProgress { what, bytes, total, rate });
                    self.journal.flush();
                }
                Ok(said) => return Ok(Ended::Said(said)),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Said(process.died())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.journal.trouble().is_some() || self.watch.due(None).is_some() {
                return Ok(Ended::Stopped);
            }
            if ends_at.is_some_and(|at| Instant::now() >= at) {
                return Ok(Ended::Said(Said::Failed(too_slow(limit))));
            }
        }
    }
}

fn too_slow(limit: Span) -> String {
    format!("it was not there after {limit} (`environment: timeout`); what has come is kept for the next run")
}

/// The process, and what it says. Dropped, it is ended.
struct SetUp {
    child: Child,
    said: Receiver<Said>,
}

impl SetUp {
    fn start(order: &Order) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("gpu-agent").arg("environment").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let supervisor = getpid();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // The supervisor may have died before the line above.
                if getppid() == Some(supervisor) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
            });
        }
        let mut child = command.spawn()?;
        let (tell, said) = channel();
        if let Some(out) = child.stdout.take() {
            let listening = std::thread::Builder::new().name("environment".into());
            listening.spawn(move || listen(out, |said| tell.send(said).is_ok()))?;
        }
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&serde_json::to_vec(order)?)?;
        }
        Ok(Self { child, said })
    }

    /// What it comes to that it ended without a word.
    fn died(&mut self) -> Said {
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        Said::Failed(format!("its process ended without a word: {how}"))
    }
}

impl Drop for SetUp {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn listen(out: ChildStdout, mut tell: impl FnMut(Said) -> bool) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        // What is no line of its own ends it: then its end is told.
        let Ok(said) = serde_json::from_str(&line) else { return };
        if !tell(said) {
            return;
        }
    }
}
