//! How a run ends whose records are all here: its artifacts are brought, and its node is let go.

use std::pin::pin;
use std::time::Duration;

use gpu_suites::event::{Interrupted, NodeState, Warning};
use gpu_suites::plan::OnExpiry;
use gpu_suites::wire::Request;
use tokio::time::{sleep_until, timeout};

use super::alarms::Alarm;
use super::pulse::Pulse;
use super::stop::Stop;
use super::{Ended, Session, SessionError, limits, line};
use crate::node::remote::RemoteError;
use crate::session::moment::Moment;
use crate::text::chain;
use crate::transport::Exec;

/// How long artifacts are fetched once a signal has asked for the end: whoever sent it kills soon.
const AFTER_SIGNAL: Duration = Duration::from_secs(2);
/// How long an agent that was told that it is over may take to end.
const BYE: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// All records are here: brings the artifacts, then lets the run's folder on the node go.
    pub(super) async fn finish(&mut self, mut exec: Exec) -> Result<Ended, SessionError> {
        if self.intake.left_out > 1 {
            let message = format!("{} records of the node's were left out", self.intake.left_out);
            self.recorder.keep(Warning { case: None, message }.into());
            self.intake.left_out = 0;
        }
        let mut refused = None;
        if let Some(bytes) = self.intake.announced.bytes() {
            self.recorder.node_is(NodeState::Draining, "fetching artifacts");
            let limit = match self.stop {
                Some(Stop::Signal(_)) => AFTER_SIGNAL,
                _ => limits::fetching(bytes, self.plan.lease),
            };
            let by = *self.fetched_by.get_or_insert_with(|| Moment::after(limit));
            match self.fetch(&mut exec, by).await {
                // The node is let go all the same.
                Err(error @ SessionError::Remote(RemoteError::Artifacts { .. })) => refused = Some(error),
                Err(SessionError::Remote(error)) if !error.is_transient() => {
                    let message = format!("the artifacts could not be fetched: {}", chain(&error));
                    self.recorder.keep(Warning { case: None, message }.into());
                }
                fetched => fetched?,
            }
        }
        self.recorder.files_came();
        let _ = timeout(BYE, exec.stdin.write(line(&Request::Bye))).await;
        exec.stdin.close();
        // The agent's end says that it heard; a node that keeps it to itself cleans up when the lease ends.
        let _ = timeout(BYE, exec.wait()).await;
        // A node that was made for the run is gone when its cloud says so.
        if self.plan.lease.on_expiry == OnExpiry::Exit {
            self.recorder.node_is(NodeState::Gone, "left as it was found");
        }
        refused.map_or(Ok(Ended::Finished), Err)
    }

    /// Brings the artifacts, and keeps the run on the node alive until they are here.
    async fn fetch(&mut self, exec: &mut Exec, by: Moment) -> Result<(), SessionError> {
        let folder = self.recorder.folder().join("cases");
        let mut pulse = Pulse::begin(self.plan.lease.ttl.0);
        let limit = by.left();
        // The cases have ended.
        (self.alarms.overdue, self.alarms.grace) = (None, None);
        let (remote, recorder, alarms) = (&*self.remote, &mut *self.recorder, &mut self.alarms);
        let mut fetching = pin!(remote.fetch(&self.plan.run, self.intake.announced.clone(), folder));
        let mut listens = true;
        let alarm = loop {
            tokio::select! {
                fetched = &mut fetching => return Ok(fetched?),
                // What the agent has to say yet is that it lives.
                chunk = exec.stdout.recv(), if listens => match chunk {
                    Some(chunk) => {
                        chunk.map_err(RemoteError::from)?;
                        pulse.heard();
                    }
                    None => listens = false,
                },
                () = sleep_until(pulse.renew_at), if listens => pulse.beat(exec, remote).await?,
                () = by.come() => {
                    let node = remote.node().name.to_string();
                    return Err(RemoteError::Slow { node, doing: "send its artifacts", limit }.into());
                }
                alarm = alarms.next() => match alarm {
                    Alarm::Warning(message) => recorder.keep(Warning { case: None, message }.into()),
                    Alarm::Signal(by) => {
                        recorder.keep(Interrupted { by: by.to_owned() }.into());
                        break Alarm::Signal(by);
                    }
                    other => break other,
                },
            }
        };
        Err(self.ended_by(alarm))
    }
}
