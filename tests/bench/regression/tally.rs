//! What a rule said, counted.

use super::rules::Said;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    quiet: u64,
    alarms: u64,
    again: u64,
    steps: u64,
    first: u64,
    soon: u64,
}

impl Tally {
    /// A night on which nothing had happened.
    pub(super) fn quiet(&mut self, said: Said) {
        self.quiet += 1;
        self.alarms += u64::from(said.is_alarm);
        self.again += said.measured_again;
    }

    /// A step, and on which of three nights it was found.
    pub(super) fn step(&mut self, found: Option<u64>) {
        self.steps += 1;
        self.first += u64::from(found == Some(0));
        self.soon += u64::from(found.is_some());
    }

    pub(super) fn sum(tallies: &[Self]) -> Self {
        tallies.iter().fold(Self::default(), |sum, one| Self {
            quiet: sum.quiet + one.quiet,
            alarms: sum.alarms + one.alarms,
            again: sum.again + one.again,
            steps: sum.steps + one.steps,
            first: sum.first + one.first,
            soon: sum.soon + one.soon,
        })
    }

    pub(super) fn first(&self) -> String {
        percent(self.first, self.steps)
    }

    pub(super) fn soon(&self) -> String {
        percent(self.soon, self.steps)
    }

    pub(super) fn false_alarms(&self) -> String {
        per_thousand(self.alarms, self.quiet)
    }

    pub(super) fn measured_again(&self) -> String {
        per_thousand(self.again, self.quiet)
    }
}

pub(super) fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", part as f64 / all as f64 * 100.0)
}

pub(super) fn per_thousand(part: u64, all: u64) -> String {
    format!("{:.2}", part as f64 / all as f64 * 1e3)
}
