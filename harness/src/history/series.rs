//! The history as series: one metric of one case under one key, night after night.

use std::collections::BTreeMap;

use gpu_suites::id::{CaseId, RunId};
use gpu_suites::regression::standing::Past;

use super::{History, Key, Line};

/// What tells one series from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesId {
    /// The case.
    pub case: CaseId,
    /// The metric.
    pub metric: String,
    /// What it was measured on.
    pub key: Key,
}

impl SeriesId {
    /// The series of a line; `None` for one that measured nothing.
    pub fn of(line: &Line) -> Option<Self> {
        Some(Self { case: line.id(), metric: line.metric.clone()?, key: line.key.clone() })
    }
}

/// The series of a history by their ids, each one's lines the earliest first.
pub type All<'a> = BTreeMap<SeriesId, Vec<&'a Line>>;

/// Every series.
pub fn all(history: &History) -> All<'_> {
    let mut all = All::new();
    for line in &history.lines {
        if let Some(id) = SeriesId::of(line) {
            all.entry(id).or_default().push(line);
        }
    }
    all
}

/// The values that may enter a baseline.
pub fn healthy(lines: &[&Line]) -> Vec<f64> {
    lines.iter().filter(|line| line.healthy).filter_map(|line| line.number()).collect()
}

/// How a case ended in each run, the earliest first.
pub fn outcomes(history: &History, case: &CaseId, but: Option<&RunId>) -> Vec<Past> {
    let (suite, name) = (case.suite(), case.case());
    let is_of = |line: &&Line| line.suite == suite && line.case == name;
    let mut runs = Vec::<(&RunId, Past)>::new();
    for line in history.lines.iter().filter(|line| is_of(line) && Some(&line.run) != but) {
        // A run has a line for each metric of the case.
        if runs.last().is_none_or(|(run, _)| **run != line.run) {
            runs.push((&line.run, Past { outcome: line.outcome, flaky: line.flaky }));
        }
    }
    runs.into_iter().map(|(_, past)| past).collect()
}
