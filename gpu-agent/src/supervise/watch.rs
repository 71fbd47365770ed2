//! When must a case end before its time? The lease, the run's limit, a cancellation, and the case's own limit.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gpu_suites::outcome::Outcome;
use gpu_suites::plan::Plan;
use gpu_suites::unit::Span;

use super::readers::Message;
use crate::control::Control;

/// Why a case is ended from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody renewed the lease.
    Lease,
    /// The harness asked for it, for this reason.
    Cancelled(String),
    /// The run's limit.
    RunLimit(Span),
    /// The case's own limit.
    CaseLimit(Span),
    /// A check says that what follows is worth nothing.
    Aborted(String),
    /// The journal cannot be written.
    Disk(String),
}

impl Stop {
    /// What becomes of the cases that are left, where the run ends with this one.
    pub(super) fn rest(&self) -> Option<(Outcome, String)> {
        match self {
            Self::CaseLimit(_) | Self::Aborted(_) => None,
            Self::Lease => Some((Outcome::Cancelled, "the lease ran out".to_owned())),
            Self::Cancelled(reason) => Some((Outcome::Cancelled, reason.clone())),
            Self::RunLimit(limit) => {
                Some((Outcome::Skipped, format!("the run reached its limit of {limit}")))
            }
            Self::Disk(trouble) => Some((Outcome::Errored, trouble.clone())),
        }
    }
}

/// What is watched, shared with the thread that listens at the control FIFO.
#[derive(Debug)]
pub(super) struct Watch {
    ttl: Duration,
    limit: Option<(Instant, Span)>,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    renewed: Instant,
    cancelled: Option<String>,
    finished: bool,
    bye: bool,
}

impl Watch {
    pub(super) fn begin(plan: &Plan) -> Self {
        let now = Instant::now();
        Self {
            ttl: plan.lease.ttl.0,
            // A limit beyond what the clock can hold is none.
            limit: plan.timeout.and_then(|limit| Some((now.checked_add(limit.0)?, limit))),
            said: Mutex::new(Said { renewed: now, cancelled: None, finished: false, bye: false }),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what is said at the control FIFO, for as long as the process lives.
    pub(super) fn listen(&self, control: File, bell: &SyncSender<Message>) {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { return };
            match serde_json::from_str(&line) {
                Ok(Control::Renew) => self.said().renewed = Instant::now(),
                Ok(Control::Cancel(reason)) => {
                    self.said().cancelled.get_or_insert(reason);
                }
                Ok(Control::Bye) => {
                    let mut said = self.said();
                    // Nobody can have received everything of a run that goes on.
                    said.bye |= said.finished;
                }
                Err(error) => eprintln!("gpu-agent: at the control FIFO: {error}"),
            }
            // A full channel is being read anyway.
            let _ = bell.try_send(Message::Woken);
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.said().renewed.elapsed() > self.ttl
    }

    /// From now on the harness may say bye.
    pub(super) fn finish(&self) {
        self.said().finished = true;
    }

    pub(super) fn said_bye(&self) -> bool {
        self.said().bye
    }

    /// Why the running case must end now, if it must; the gravest reason first.
    pub(super) fn due(&self, case: Option<(Instant, Span)>) -> Option<Stop> {
        let now = Instant::now();
        let past = |limit: Option<(Instant, Span)>| limit.filter(|(at, _)| now >= *at).map(|(_, span)| span);
        if self.is_expired() {
            return Some(Stop::Lease);
        }
        if let Some(reason) = self.said().cancelled.clone() {
            return Some(Stop::Cancelled(reason));
        }
        past(self.limit).map(Stop::RunLimit).or_else(|| past(case).map(Stop::CaseLimit))
    }

    /// The next moment at which [`Watch::due`] may say something new by itself.
    pub(super) fn next(&self, case: Option<(Instant, Span)>) -> Option<Instant> {
        let lease = self.said().renewed.checked_add(self.ttl);
        [lease, self.limit.map(|(at, _)| at), case.map(|(at, _)| at)].into_iter().flatten().min()
    }
}
