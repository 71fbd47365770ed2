//! What may end a run before its time: signals, limits of time, the money. Whatever a session waits for, it hears these
//! meanwhile.

use crate::session::interrupt::Interrupts;
use crate::session::moment::Moment;

#[derive(Debug, Clone)]
pub struct Budget {
    pub warn_at: Option<(Moment, String)>,
    pub end_at: (Moment, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The user, or CI, wants the run to end.
    Signal(&'static str),
    /// The money is as good as spent, in these words.
    Warning(String),
    Spent(String),
    /// The run's time limit was reached, and the agent had time to say so.
    Limit,
    /// The agent has not ended its cases in all the time that they may take.
    Overdue,
    /// An agent that was asked to end the run has not.
    Grace,
}

pub(super) struct Alarms<'a> {
    interrupts: &'a mut Interrupts,
    budget: Option<Budget>,
    /// When the run has to have ended by its own limit.
    pub(super) limit: Option<Moment>,
    /// When its cases have to have ended by theirs.
    pub(super) overdue: Option<Moment>,
    /// When an agent that was asked to end the run has to have done so.
    pub(super) grace: Option<Moment>,
}

impl<'a> Alarms<'a> {
    pub(super) fn new(interrupts: &'a mut Interrupts) -> Self {
        Self { interrupts, budget: None, limit: None, overdue: None, grace: None }
    }

    pub(super) fn within(&mut self, budget: Option<Budget>) {
        self.budget = budget;
    }

    /// The next one. What was said of the money is said once.
    pub(super) async fn next(&mut self) -> Alarm {
        let warn_at = self.budget.as_ref().and_then(|budget| Some(budget.warn_at.as_ref()?.0));
        let spent_at = self.budget.as_ref().map(|budget| budget.end_at.0);
        tokio::select! {
            biased;
            by = self.interrupts.next() => Alarm::Signal(by),
            () = Moment::of(spent_at) => {
                let why = self.budget.take().map(|budget| budget.end_at.1);
                Alarm::Spent(why.unwrap_or_default())
            }
            () = Moment::of(warn_at) => {
                let warning = self.budget.as_mut().and_then(|budget| budget.warn_at.take());
                Alarm::Warning(warning.map(|(_, words)| words).unwrap_or_default())
            }
            () = Moment::of(self.grace) => Alarm::Grace,
            () = Moment::of(self.limit) => Alarm::Limit,
            () = Moment::of(self.overdue) => Alarm::Overdue,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_said_of_the_money_is_said_once_and_a_signal_comes_first() {
        let (interrupt, mut interrupts) = Interrupts::inside();
        let mut alarms = Alarms::new(&mut interrupts);
        let now = Moment::now();
        alarms.within(Some(Budget { warn_at: Some((now, "soon".into())), end_at: (now, "spent".into()) }));
        alarms.overdue = Some(Moment::after(Duration::from_millis(20)));
        interrupt.send("SIGINT").unwrap();
        assert_eq!(alarms.next().await, Alarm::Signal("SIGINT"));
        assert_eq!(alarms.next().await, Alarm::Spent("spent".into()));
        assert_eq!(alarms.next().await, Alarm::Overdue);
        alarms.within(Some(Budget {
            warn_at: Some((now, "soon".into())),
            end_at: (Moment::after(Duration::from_secs(60)), "spent".into()),
        }));
        alarms.limit = Some(now);
        assert_eq!(alarms.next().await, Alarm::Warning("soon".into()));
        assert_eq!(alarms.next().await, Alarm::Limit);
    }
}
