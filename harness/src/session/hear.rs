//! What one line of an agent's means: a record that is kept, or an answer to what it was asked.

use std::ops::ControlFlow;

use gpu_suites::event::{EndCause, Event, NodeState, Phase, StartPhase, Warning};
use gpu_suites::lines::TooLong;
use gpu_suites::plan::PROTOCOL;
use gpu_suites::wire::{Heard, Reply};
use tokio::time::Instant;

use super::{Ended, Session, SessionError, limits};
use crate::node::remote::RemoteError;
use crate::session::intake::Taken;
use crate::session::moment::Moment;

/// How much is shown of what an agent says it is.
const LONGEST_VERSION: usize = 60;

/// What can be wrong with a line.
pub(super) enum Trouble {
    Odd(String),
    Gone,
    Refused(gpu_suites::wire::Refusal),
}

impl Trouble {
    fn unasked() -> Self {
        Self::Odd("an answer to what was not asked".into())
    }
}

impl From<TooLong> for Trouble {
    fn from(error: TooLong) -> Self {
        Self::Odd(error.to_string())
    }
}

impl Session<'_> {
    /// Takes one line of the agent's.
    pub(super) fn heard(&mut self, line: &[u8]) -> Result<ControlFlow<Ended>, Trouble> {
        let text = std::str::from_utf8(line).map_err(|_| Trouble::Odd("a line that is not UTF-8".into()))?;
        let record = match Heard::parse(text).map_err(|error| Trouble::Odd(error.to_string()))? {
            Heard::Record(record) => *record,
            Heard::Answer(reply) => {
                self.intake.charge(line.len()).map_err(Trouble::Odd)?;
                return self.answered(reply);
            }
        };
        if record.seq < self.next {
            self.intake.charge(line.len()).map_err(Trouble::Odd)?;
            return Ok(ControlFlow::Continue(()));
        }
        if record.seq > self.next {
            return Err(Trouble::Odd(format!("record {} where {} was next", record.seq, self.next)));
        }
        self.next += 1;
        self.patience.renew();
        if let Event::RunFinished(finished) = &record.event {
            self.complete = true;
            self.reclaimed = finished.cause == Some(EndCause::Reclaimed);
        }
        match self.intake.take(record, line).map_err(Trouble::Odd)? {
            Taken::In(record) => {
                let made_ready = match &record.event {
                    Event::EnvironmentReady(ready) if self.is_new_node => Some(ready.seconds),
                    _ => None,
                };
                self.recorder.node(*record);
                if let Some(seconds) = made_ready {
                    let (node, phase) = (self.remote.node().name.clone(), StartPhase::Environment);
                    self.recorder.keep(Phase { node, phase, seconds }.into());
                }
            }
            Taken::LeftOut { is_first: true } => {
                let message = format!("{} tells of what is not its own; that is left out", self.node());
                self.recorder.keep(Warning { case: None, message }.into());
            }
            Taken::LeftOut { is_first: false } => {}
        }
        self.phase_is_over(None);
        Ok(if self.complete { ControlFlow::Break(Ended::Finished) } else { ControlFlow::Continue(()) })
    }

    /// Keeps how long the start-up phase that goes on has taken; `following` begins.
    fn phase_is_over(&mut self, following: Option<StartPhase>) {
        let Some((phase, begun)) = self.starting.take() else { return };
        self.starting = following.map(|phase| (phase, Instant::now()));
        let (node, seconds) = (self.remote.node().name.clone(), begun.elapsed().as_secs_f64());
        self.recorder.keep(Phase { node, phase, seconds }.into());
    }

    fn answered(&mut self, reply: Reply) -> Result<ControlFlow<Ended>, Trouble> {
        match reply {
            Reply::Hello { .. } if !std::mem::take(&mut self.asked.hello) => return Err(Trouble::unasked()),
            Reply::Started if !std::mem::take(&mut self.asked.start) => return Err(Trouble::unasked()),
            Reply::Hello { protocol, agent, .. } => {
                if protocol != PROTOCOL {
                    return Err(Trouble::Odd(format!("that it speaks protocol {protocol}, not {PROTOCOL}")));
                }
                if !self.reachable {
                    self.reachable = true;
                    let agent = crate::text::clean::one_line(&agent, LONGEST_VERSION);
                    self.recorder.node_is(NodeState::Reachable, &format!("gpu-agent {agent}"));
                }
            }
            Reply::Started => {
                if !self.started {
                    self.started = true;
                    self.patience.renew();
                    self.alarms.overdue = Some(Moment::after(limits::cases(&self.plan)));
                    self.recorder.node_is(NodeState::Running, "");
                    self.phase_is_over(Some(StartPhase::FirstEvent));
                }
            }
            Reply::Alive => {
                self.asked.renewals = self.asked.renewals.checked_sub(1).ok_or_else(Trouble::unasked)?;
                self.patience.renew();
            }
            Reply::Missing { .. } if !self.asked.start => return Err(Trouble::unasked()),
            Reply::Missing { blobs } => return Ok(ControlFlow::Break(Ended::Missing(blobs))),
            Reply::Refused { error } => return Err(Trouble::Refused(error)),
            Reply::Gone => return Err(Trouble::Gone),
            Reply::Received { .. } => return Err(Trouble::unasked()),
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn trouble(&self, trouble: Trouble) -> SessionError {
        match trouble {
            Trouble::Odd(problem) => SessionError::Protocol { node: self.node(), problem },
            Trouble::Gone => SessionError::AgentDied { node: self.node() },
            Trouble::Refused(refusal) => RemoteError::Refused { node: self.node(), refusal }.into(),
        }
    }
}
