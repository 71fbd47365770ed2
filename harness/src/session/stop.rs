//! What an alarm does: the agent is asked to end the run before its last case, or the run ends here.

use std::pin::pin;
use std::time::Duration;

use gpu_suites::event::{Interrupted, Warning};
use gpu_suites::wire::Request;
use tokio::time::timeout;

use super::alarms::Alarm;
use super::pulse::renewal;
use super::{Session, SessionError, limits, line};
use crate::node::remote::{Remote, RemoteError};
use crate::session::moment::Moment;
use crate::transport::Exec;

/// How long the agent may take to end a run that was cancelled: its grace for the case is 5 s.
const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// Who wants the run to end before its last case.
pub(super) enum Stop {
    Signal(&'static str),
    Money(String),
}

impl Stop {
    /// How the agent is asked to end what runs.
    pub(super) fn request(&self) -> Request {
        match self {
            Self::Signal(by) => Request::Cancel { reason: format!("interrupted by {by}"), limit: false },
            Self::Money(why) => Request::Cancel { reason: why.clone(), limit: true },
        }
    }
}

impl Session<'_> {
    /// What an alarm means while cases run: the agent is asked to end them, or the run ends here.
    pub(super) async fn alarmed(&mut self, alarm: Alarm, exec: &mut Exec) -> Result<(), SessionError> {
        let stop = match alarm {
            Alarm::Warning(message) => {
                self.recorder.keep(Warning { case: None, message }.into());
                return Ok(());
            }
            Alarm::Signal(by) if self.started && self.stop.is_none() => {
                self.recorder.keep(Interrupted { by: by.to_owned() }.into());
                Stop::Signal(by)
            }
            Alarm::Spent(why) if self.started && self.stop.is_none() => Stop::Money(why),
            // The run ends already, and has its time for that.
            Alarm::Spent(_) if self.started => return Ok(()),
            other => return Err(self.ended_by(other)),
        };
        let cancel = line(&stop.request());
        self.stop = Some(stop);
        self.alarms.grace = Some(Moment::after(CANCEL_GRACE));
        let _ = timeout(renewal(self.plan.lease.ttl.0), exec.stdin.write(cancel)).await;
        Ok(())
    }

    /// The end of the run by an alarm, where nothing else is left to do.
    pub(super) fn ended_by(&self, alarm: Alarm) -> SessionError {
        let node = self.node();
        match (alarm, self.stop.as_ref()) {
            (Alarm::Spent(why), _) => SessionError::Money { why },
            (Alarm::Signal(by), _) | (_, Some(&Stop::Signal(by))) => SessionError::Interrupted { by },
            (_, Some(Stop::Money(why))) => SessionError::Money { why: why.clone() },
            (Alarm::Overdue, None) => {
                let (started, plan) = (self.started, &self.plan);
                let within = if started { limits::cases(plan) } else { limits::starting(plan.lease) };
                SessionError::Overdue { node, started, within }
            }
            (Alarm::Limit | Alarm::Grace | Alarm::Warning(_), None) => SessionError::Limit { node },
        }
    }

    /// Has the node do something that takes as long as this at most.
    pub(super) async fn within_limit<T>(
        &mut self,
        doing: &'static str,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Remote) -> Result<T, RemoteError>,
    ) -> Result<T, SessionError> {
        let node = self.node();
        let alarm = {
            let (remote, recorder, alarms) = (&mut *self.remote, &mut *self.recorder, &mut self.alarms);
            let mut working = pin!(timeout(limit, work(remote)));
            loop {
                tokio::select! {
                    done = &mut working => {
                        return Ok(done.map_err(|_| RemoteError::Slow { node, doing, limit }).flatten()?);
                    }
                    alarm = alarms.next() => match alarm {
                        Alarm::Warning(message) => recorder.keep(Warning { case: None, message }.into()),
                        other => break other,
                    },
                }
            }
        };
        Err(self.ended_by(alarm))
    }

    /// Waits for something that is no work of the node's.
    pub(super) async fn meanwhile(&mut self, waiting: impl Future<Output = ()>) -> Result<(), SessionError> {
        let mut waiting = pin!(waiting);
        loop {
            tokio::select! {
                () = &mut waiting => return Ok(()),
                alarm = self.alarms.next() => match alarm {
                    Alarm::Warning(message) => self.recorder.keep(Warning { case: None, message }.into()),
                    other => return Err(self.ended_by(other)),
                },
            }
        }
    }
}
