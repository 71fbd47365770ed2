//! The history as series: one metric of one case under one key, night after night.

use std::collections::BTreeMap;

use gpu_suites::id::{CaseId, RunId};
use gpu_suites::metrics::Value;
use gpu_suites::regression::answers::{self, Answers};
use gpu_suites::regression::standing::Past;

use super::{History, Key, Line};

/// What tells one series from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesId {
    pub case: CaseId,
    pub metric: String,
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

pub fn all(history: &History) -> All<'_> {
    let mut all = All::new();
    for line in &history.lines {
        // Answers are no figures.
        if let Some(id) = SeriesId::of(line).filter(|_| !matches!(line.value, Some(Value::Text(_)))) {
            all.entry(id).or_default().push(line);
        }
    }
    all
}

/// A history, and its series.
#[derive(Debug)]
pub struct Nights<'a> {
    pub history: &'a History,
    pub all: All<'a>,
}

impl<'a> Nights<'a> {
    pub fn of(history: &'a History) -> Self {
        Self { history, all: all(history) }
    }
}

/// The values that may enter a baseline.
pub fn healthy(lines: &[&Line]) -> Vec<f64> {
    lines.iter().filter(|line| line.healthy).filter_map(|line| line.number()).collect()
}

/// The answers of a case in the runs whose node was well, the earliest first, by a metric with their hash.
pub fn answers<'h>(
    history: &'h History,
    case: &CaseId,
    metric: &str,
    key: &Key,
) -> Vec<(&'h RunId, Answers<'h>)> {
    let (suite, name) = (case.suite(), case.case());
    let of_case =
        history.lines.iter().filter(|line| line.suite == suite && line.case == name && line.key == *key);
    let lines = Vec::from_iter(of_case.filter(|line| line.healthy));
    let text = |run: &RunId, metric: &str| {
        let line = lines.iter().find(|line| line.run == *run && line.metric.as_deref() == Some(metric))?;
        match &line.value {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    };
    let of_run = |line: &&'h Line| {
        let run = &line.run;
        let beside = |name: &str| text(run, &answers::beside(metric, name)?);
        let hash = text(run, metric)?;
        Some((run, Answers { hash, sketch: beside("sketch"), sample: beside("sample") }))
    };
    lines.iter().filter(|line| line.metric.as_deref() == Some(metric)).filter_map(of_run).collect()
}

/// The last text of a metric, of the runs but one.
pub fn last_text<'h>(
    history: &'h History,
    case: &CaseId,
    metric: &str,
    but: Option<&RunId>,
) -> Option<&'h str> {
    let is_of = |line: &&Line| {
        line.id() == *case && line.metric.as_deref() == Some(metric) && line.healthy && Some(&line.run) != but
    };
    match &history.lines.iter().rev().find(is_of)?.value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
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
