//! How a series stands, by its last value and its changes: what has to be looked at comes first.

use gpu_suites::regression::Verdict;
use serde::Serialize;

use super::super::show::Entry;

/// A change counts as news for so many values.
const NEWS: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// The last value is worse, and measured three times.
    Regressed,
    /// The last value looks worse, and was not measured again.
    Suspected,
    /// The last value is no number.
    NoNumber,
    /// No single night is worse, but the level is than it was.
    Drifting,
    /// The last value is better.
    Improved,
    /// Too few nights to tell.
    InsufficientData,
    Fine,
    /// Its name does not say which way is better.
    NotJudged,
    /// The case is measured on something else by now.
    Superseded,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Suspected => "suspected",
            Self::NoNumber => "no number",
            Self::Drifting => "drifting",
            Self::Improved => "improved",
            Self::InsufficientData => "insufficient data",
            Self::Fine => "fine",
            Self::NotJudged => "not judged",
            Self::Superseded => "superseded",
        }
    }

    pub(super) fn tone(self) -> &'static str {
        match self {
            Self::Regressed => "bad",
            Self::Suspected | Self::NoNumber | Self::Drifting => "odd",
            Self::Improved | Self::Fine => "good",
            Self::InsufficientData | Self::NotJudged | Self::Superseded => "dim",
        }
    }
}

pub(super) fn of(entry: &Entry, all: &[Entry]) -> Status {
    if all.iter().any(|other| is_newer(other, entry)) {
        return Status::Superseded;
    }
    let (Some(better), Some(verdict)) = (entry.better, &entry.verdict) else { return Status::NotJudged };
    let news = entry.values.len().saturating_sub(NEWS);
    let drifts = || {
        let recent = entry.changes.iter().rfind(|change| change.at >= news);
        recent.is_some_and(|change| better.worsening(change.before, change.after) > 0.0)
    };
    match verdict {
        Verdict::Regressed(_) => Status::Regressed,
        Verdict::Suspected(_) => Status::Suspected,
        Verdict::NoNumber => Status::NoNumber,
        Verdict::InsufficientData { .. } => Status::InsufficientData,
        Verdict::Steady(_) | Verdict::Improved(_) if drifts() => Status::Drifting,
        Verdict::Improved(_) => Status::Improved,
        Verdict::Steady(_) => Status::Fine,
    }
}

/// Whether one series begins after the other has ended, and is about the same metric of the same case at the same point.
pub(super) fn is_newer(one: &Entry, other: &Entry) -> bool {
    let is_same = one.case == other.case
        && one.metric == other.metric
        && one.key != other.key
        && one.key.dtype == other.key.dtype
        && one.key.batch == other.key.batch
        && one.key.instance_type == other.key.instance_type;
    let (Some(first), Some(last)) = (one.values.first(), other.values.last()) else { return false };
    is_same && first.at > last.at
}
