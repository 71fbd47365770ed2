//! When must a case end before its time? The lease, the run's limit, a cancellation, and the case's own limit.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gpu_suites::event::{EndCause, ReclaimNotice};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{OnExpiry, Plan};
use gpu_suites::seal::Key;
use gpu_suites::unit::Span;

use super::readers::Message;
use crate::control::{self, Control, Letter};
use crate::node_lease::NodeLease;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody renewed the lease.
    Lease,
    /// The harness asked for it, for this reason.
    Cancelled(String),
    /// The harness asked for it because a limit was reached, e.g. of money.
    Limit(String),
    /// The cloud takes the node back.
    Reclaimed(ReclaimNotice),
    RunLimit(Span),
    /// The case's own limit.
    CaseLimit(Span),
    /// A check says that what follows is worth nothing.
    Aborted(String),
    /// The journal cannot be written.
    Disk(String),
}

/// A run's end before its last case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EarlyEnd {
    pub(super) cause: EndCause,
    pub(super) reason: String,
    /// How the cases that are left end; `None` where nothing is said of them: nobody listens, or another node runs them.
    pub(super) rest: Option<Outcome>,
}

impl Stop {
    /// The run's end, where the run ends with this case.
    pub(super) fn ends_the_run(&self) -> Option<EarlyEnd> {
        let (cause, rest, reason) = match self {
            Self::CaseLimit(_) | Self::Aborted(_) => return None,
            Self::Lease => (EndCause::Lease, None, "the lease ran out".to_owned()),
            Self::Cancelled(reason) => (EndCause::Cancelled, Some(Outcome::Cancelled), reason.clone()),
            Self::Limit(reason) => (EndCause::Limit, Some(Outcome::Skipped), reason.clone()),
            Self::Reclaimed(notice) => (EndCause::Reclaimed, None, notice.to_string()),
            Self::RunLimit(limit) => {
                (EndCause::Limit, Some(Outcome::Skipped), format!("the run reached its limit of {limit}"))
            }
            Self::Disk(trouble) => (EndCause::Disk, Some(Outcome::Errored), trouble.clone()),
        };
        Some(EarlyEnd { cause, reason, rest })
    }
}

/// What is watched, shared with the threads that listen to the harness and to the cloud.
#[derive(Debug)]
pub(super) struct Watch {
    ttl: Duration,
    /// The machine's, where it was made for the run.
    node_lease: Option<NodeLease>,
    limit: Option<(Instant, Span)>,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    renewed: Instant,
    cancelled: Option<Stop>,
    reclaim: Option<ReclaimNotice>,
    finished: bool,
    bye: bool,
}

impl Watch {
    pub(super) fn begin(plan: &Plan) -> Self {
        let now = Instant::now();
        Self {
            ttl: plan.lease.ttl.0,
            node_lease: (plan.lease.on_expiry == OnExpiry::Shutdown).then(NodeLease::here),
            // A limit beyond what the clock can hold is none.
            limit: plan.timeout.and_then(|limit| Some((now.checked_add(limit.0)?, limit))),
            said: Mutex::new(Said {
                renewed: now,
                cancelled: None,
                reclaim: None,
                finished: false,
                bye: false,
            }),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what whoever has the key says, for as long as the process lives.
    pub(super) fn listen(&self, control: &UnixDatagram, key: &Key, bell: &SyncSender<Message>) {
        let mut letter = vec![0; control::LONGEST];
        loop {
            let Ok(length) = control.recv(&mut letter) else { return };
            let Ok(letter) = serde_json::from_slice::<Letter>(&letter[..length]) else { continue };
            if !letter.key.fits(key) {
                continue;
            }
            match letter.control {
                Control::Renew => {
                    self.said().renewed = Instant::now();
                    if let Some(lease) = &self.node_lease {
                        lease.renew(self.ttl);
                    }
                }
                Control::Cancel { reason, limit } => {
                    let stop = if limit { Stop::Limit(reason) } else { Stop::Cancelled(reason) };
                    self.said().cancelled.get_or_insert(stop);
                }
                Control::Bye => {
                    let mut said = self.said();
                    // Nobody can have received everything of a run that goes on.
                    said.bye |= said.finished;
                }
            }
            // A full channel is being read anyway.
            let _ = bell.try_send(Message::Woken);
        }
    }

    /// Takes in that the cloud takes the node back.
    pub(super) fn reclaim(&self, notice: ReclaimNotice) {
        self.said().reclaim.get_or_insert(notice);
    }

    /// The cloud's notice, where there is one.
    pub(super) fn reclaimed(&self) -> Option<ReclaimNotice> {
        self.said().reclaim.clone()
    }

    pub(super) fn is_expired(&self) -> bool {
        self.is_expired_since(Duration::ZERO)
    }

    /// Whether the lease ran out as long ago as this.
    pub(super) fn is_expired_since(&self, ago: Duration) -> bool {
        self.said().renewed.elapsed() > self.ttl.saturating_add(ago)
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
        if let Some(stop) = self.said().cancelled.clone() {
            return Some(stop);
        }
        if let Some(notice) = self.reclaimed() {
            return Some(Stop::Reclaimed(notice));
        }
        past(self.limit).map(Stop::RunLimit).or_else(|| past(case).map(Stop::CaseLimit))
    }

    /// The next moment at which [`Watch::due`] may say something new by itself.
    pub(super) fn next(&self, case: Option<(Instant, Span)>) -> Option<Instant> {
        let lease = self.said().renewed.checked_add(self.ttl);
        [lease, self.limit.map(|(at, _)| at), case.map(|(at, _)| at)].into_iter().flatten().min()
    }
}
