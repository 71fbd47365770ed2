//! One conversation with an agent: opened, listened to, kept alive, until the run or the connection ends.

use std::ops::ControlFlow;
use std::time::Duration;

use gpu_suites::lines::{Line, Lines, TooLong};
use gpu_suites::plan::{PROTOCOL, Plan};
use gpu_suites::wire::Request;
use tokio::time::{sleep, sleep_until, timeout};

use super::pulse::{Pulse, SILENCE};
use super::{Asked, Ended, Opening, Session, SessionError, Trouble, limits, line};
use crate::node::remote::{Remote, RemoteError};
use crate::session::intake::LONGEST_LINE;
use crate::session::moment::Moment;
use crate::transport::Exec;

/// How soon it is looked again whether there is room for more records.
const NO_ROOM: Duration = Duration::from_millis(20);

impl Session<'_> {
    /// One conversation, to its end or to the end of the connection.
    pub(super) async fn converse(&mut self, opening: Opening) -> Result<Ended, SessionError> {
        let mut exec = self.remote.start(&["serve"]).await?;
        // All is said at once: each answer waited for would cost a round trip.
        let open = Request::Open { protocol: PROTOCOL, harness: env!("CARGO_PKG_VERSION").to_owned() };
        let second = match opening {
            Opening::Start => {
                Request::Start { plan: Box::new(Plan::clone(&self.plan)), key: self.key.clone() }
            }
            Opening::Attach => {
                Request::Attach { run: self.plan.run.clone(), from: self.next, key: self.key.clone() }
            }
        };
        let mut said = line(&open);
        said.extend(line(&second));
        // Said before the cut, it may not have been heard.
        said.extend(self.stop.iter().filter(|_| self.started).flat_map(|stop| line(&stop.request())));
        if exec.stdin.write(said).await.is_err() {
            return self.unexpected_end(exec).await;
        }
        if self.complete {
            return self.finish(exec).await;
        }
        if !self.started {
            let limit = limits::starting(self.plan.lease);
            self.alarms.overdue = Some(*self.start_by.get_or_insert_with(|| Moment::after(limit)));
        }
        self.asked = Asked { hello: true, start: true, renewals: 0 };
        let mut lines = Lines::of_at_most(LONGEST_LINE);
        let mut pulse = Pulse::begin(self.plan.lease.ttl.0);
        loop {
            if self.recorder.is_broken() {
                return Err(SessionError::Unrecorded);
            }
            let has_room = self.recorder.has_room();
            tokio::select! {
                chunk = exec.stdout.recv(), if has_room => {
                    let Some(chunk) = chunk else { return self.unexpected_end(exec).await };
                    let chunk = chunk.map_err(RemoteError::from)?;
                    pulse.heard();
                    let mut end = ControlFlow::Continue(());
                    lines.feed(&chunk, |line| {
                        let Line::Whole(line) = line else { return Err(TooLong { most: LONGEST_LINE }.into()) };
                        if end.is_continue() {
                            end = self.heard(line)?;
                        }
                        Ok::<_, Trouble>(())
                    }).map_err(|trouble| self.trouble(trouble))?;
                    match end {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(Ended::Finished) => return self.finish(exec).await,
                        ControlFlow::Break(ended) => return Ok(ended),
                    }
                }
                // A node that is not listened to cannot be blamed for its silence.
                () = sleep(NO_ROOM), if !has_room => pulse.heard(),
                () = sleep_until(pulse.renew_at) => {
                    self.asked.renewals += 1;
                    pulse.beat(&mut exec, self.remote).await?;
                }
                alarm = self.alarms.next() => self.alarmed(alarm, &mut exec).await?,
            }
        }
    }

    /// The agent's output ended before the run did.
    async fn unexpected_end(&mut self, exec: Exec) -> Result<Ended, SessionError> {
        let mut exec = exec;
        // It may have closed its output and live on.
        let Ok(status) = timeout(SILENCE, exec.wait()).await else {
            let (node, said) = (self.node(), exec.stderr_text());
            return Err(RemoteError::Silent { node, silence: SILENCE, said }.into());
        };
        let status = status.map_err(RemoteError::from)?;
        if Remote::lacks_agent(&status) {
            return Ok(Ended::NoAgent);
        }
        Err(self.remote.ended("serve", status, &exec).into())
    }
}
