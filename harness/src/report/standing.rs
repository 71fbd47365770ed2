//! How a case counts and for whose fault: judged once, in the fold, and only rendered by every report.

use gpu_suites::outcome::{Blame, Outcome};
use serde::Serialize;

use super::look::sign;

/// How a case counts in a report, whether or not the run came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub seconds: f64,
    /// What that amounts to, with what the history says.
    pub standing: Standing,
}

/// What the outcome of a case amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Passed,
    /// It passed, but not at once.
    Flaky,
    /// It was not to run.
    Skipped,
    /// It passed, and a figure or an answer became worse than the history allows: the code is at fault.
    Regressed,
    /// It is not good, and that is to blame.
    Bad(Blame),
    /// It is in quarantine, and the code may be at fault: shown, and nothing that fails a build.
    Excused {
        /// Whether it passed, and regressed.
        regressed: bool,
    },
}

/// What of the history bears on a case.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    pub(super) flaky: bool,
    pub(super) regressed: bool,
    pub(super) quarantined: bool,
}

impl Standing {
    pub(super) fn of(outcome: Outcome, circumstances: Circumstances) -> Self {
        let Circumstances { flaky, regressed, quarantined } = circumstances;
        let regressed = regressed && outcome == Outcome::Passed;
        match outcome.blame() {
            blame if quarantined && (regressed || blame.may_be_the_codes()) => Self::Excused { regressed },
            Blame::Nobody if outcome == Outcome::Skipped => Self::Skipped,
            Blame::Nobody if regressed => Self::Regressed,
            Blame::Nobody if flaky => Self::Flaky,
            Blame::Nobody => Self::Passed,
            blame => Self::Bad(blame),
        }
    }

    /// Who is to blame: what the exit code goes by.
    pub fn blame(self) -> Blame {
        match self {
            Self::Passed | Self::Flaky | Self::Skipped | Self::Excused { .. } => Blame::Nobody,
            Self::Regressed => Blame::Code,
            Self::Bad(blame) => blame,
        }
    }

    /// Whether a figure or an answer became worse, excused or not.
    pub fn is_regressed(self) -> bool {
        matches!(self, Self::Regressed | Self::Excused { regressed: true })
    }
}

impl Ending {
    /// The outcome in a word, with what the history makes of a pass.
    pub fn word(&self) -> String {
        match self.standing {
            Standing::Flaky => "flaky".to_owned(),
            standing if standing.is_regressed() => "regressed".to_owned(),
            _ => self.outcome.to_string(),
        }
    }

    /// The sign of that.
    pub fn sign(&self) -> &'static str {
        sign(if self.standing.is_regressed() { Outcome::Failed } else { self.outcome })
    }

    /// How it is to be taken.
    pub fn tone(&self) -> Tone {
        match self.standing {
            Standing::Flaky | Standing::Excused { .. } => Tone::Odd,
            Standing::Regressed => Tone::Bad,
            Standing::Passed | Standing::Skipped | Standing::Bad(_) => Tone::of(self.outcome),
        }
    }
}

/// How something is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// It is as it should be.
    Good,
    Bad,
    Odd,
    Dim,
}

impl Tone {
    /// Of an attempt, or of a case that nothing else is known of.
    pub fn of(outcome: Outcome) -> Self {
        match outcome.blame() {
            Blame::Nobody if outcome == Outcome::Skipped => Self::Dim,
            Blame::Nobody => Self::Good,
            Blame::Code | Blame::Infrastructure | Blame::Limit => Self::Bad,
            Blame::User => Self::Odd,
        }
    }
}
