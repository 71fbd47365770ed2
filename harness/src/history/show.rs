//! The history for a terminal, or as JSON: each series with its curve, its band, the verdict and its changes.

use globset::GlobMatcher;
use gpu_suites::id::CaseId;
use gpu_suites::regression::{Change, Direction, Standing, Verdict, changes};
use serde::Serialize;

use super::judge::Judge;
use super::series::{self, SeriesId};
use super::{History, Key, Line};
use crate::report::look::Look;
use crate::report::words;
use crate::text::clean::log_line;
use crate::text::figures::{count, figure, sparkline};

/// Columns of a curve.
const CURVE: usize = 40;
/// Values that are looked at for changes: the latest.
const CHANGES: usize = 120;

/// A series, judged: its last value against those before.
#[derive(Debug, Serialize)]
pub struct Entry {
    pub case: CaseId,
    pub metric: String,
    pub key: Key,
    /// Which way it is better, where that is known.
    pub better: Option<Direction>,
    /// What the rule says of the latest run.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
    pub values: Vec<Point>,
    /// Where the level changed: places in `values`.
    pub changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
pub struct Point {
    pub run: String,
    pub at: jiff::Timestamp,
    pub commit: Option<String>,
    /// The value; nothing where it is NaN or infinite.
    pub value: Option<f64>,
    /// Whether it may enter a baseline.
    pub healthy: bool,
}

/// The series that a pattern matches by `suite::case`, case or metric; all of them without one.
pub fn entries(history: &History, query: Option<&GlobMatcher>, judge: &Judge) -> Vec<Entry> {
    let is_asked = |id: &SeriesId| {
        query.is_none_or(|glob| {
            [id.case.as_str(), id.case.suite(), id.case.case(), &id.metric]
                .iter()
                .any(|name| glob.is_match(name))
        })
    };
    let all = series::all(history).into_iter().filter(|(id, _)| is_asked(id));
    all.map(|(id, lines)| entry(id, &lines, judge)).collect()
}

fn entry(id: SeriesId, lines: &[&Line], judge: &Judge) -> Entry {
    let better = judge.direction(&id.metric);
    let verdict = better.and_then(|better| judge.last(lines, better));
    let from = lines.len().saturating_sub(CHANGES);
    let recent = lines[from..].iter().map(|line| line.number().filter(|_| line.healthy).unwrap_or(f64::NAN));
    let changes =
        changes(&Vec::from_iter(recent)).into_iter().map(|change| Change { at: change.at + from, ..change });
    let values = lines.iter().map(|line| Point {
        run: line.run.to_string(),
        at: line.at,
        commit: line.commit.clone(),
        value: line.number().filter(|value| value.is_finite()),
        healthy: line.healthy,
    });
    let (values, changes) = (values.collect(), changes.collect());
    Entry { case: id.case, metric: id.metric, key: id.key, better, verdict, values, changes }
}

/// The entries as text, with a newline at the end.
pub fn text(history: &History, entries: &[Entry], look: Look) -> String {
    let mut lines = Vec::new();
    let mut above = None;
    for entry in entries {
        if above != Some(&entry.case) {
            lines.extend(above.map(|_| String::new()));
            lines.push(heading(history, &entry.case, look));
            above = Some(&entry.case);
        }
        lines.extend(of_entry(entry, look));
    }
    if entries.is_empty() {
        lines.push("nothing in the history matches".to_owned());
    }
    let skipped = history.skipped.iter();
    lines.extend(skipped.map(|skipped| {
        format!(
            "{} {} was left out: {}",
            look.odd("warning:"),
            log_line(&skipped.name),
            log_line(&skipped.why)
        )
    }));
    lines.join("\n") + "\n"
}

fn heading(history: &History, case: &CaseId, look: Look) -> String {
    let past = series::outcomes(history, case, None);
    let standing = Standing::of(&past);
    let runs = count(past.len(), "run");
    format!("{}  {}  {}", look.bold(&log_line(case.as_str())), standing.name(), look.dim(&runs))
}

fn of_entry(entry: &Entry, look: Look) -> Vec<String> {
    let healthy = entry.values.iter().filter(|point| point.healthy).filter_map(|point| point.value);
    let points = Vec::from_iter((0..).zip(healthy));
    let last = points.last().map_or("NaN".to_owned(), |(_, value)| figure(*value));
    let left_out = entry.values.len() - points.len();
    let left_out = if left_out > 0 { format!(", {left_out} of them not healthy") } else { String::new() };
    let nights = format!("{}{left_out}", count(entry.values.len(), "value"));
    let recent = &points[points.len().saturating_sub(CURVE)..];
    let mut lines = vec![format!(
        "  {}  {}  {last}  {}",
        log_line(&entry.metric),
        look.curve(&sparkline(recent, CURVE)),
        look.dim(&nights)
    )];
    let key = entry.key.to_string();
    lines.extend((!key.is_empty()).then(|| format!("    {}", look.dim(&log_line(&key)))));
    match (&entry.verdict, entry.better) {
        (Some(verdict), Some(better)) => {
            if let Some(against) = verdict.against() {
                let far = (against.bound - against.median).abs();
                let (low, high) = (figure(against.median - far), figure(against.median + far));
                lines.push(format!("    band {low} to {high}"));
            }
            let told = words::verdict(verdict, better);
            let told = if matches!(verdict, Verdict::Regressed(_)) { look.bad(&told) } else { told };
            lines.push(format!("    {told}"));
        }
        _ => lines.push(
            "    not judged: its name does not say which way is better; say so in `metrics:`".to_owned(),
        ),
    }
    lines.extend(entry.changes.iter().map(|change| {
        let point = entry.values.get(change.at);
        let when = point.map(|point| point.at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        let commit = point
            .and_then(|point| point.commit.as_deref())
            .map(|commit| format!(", commit {}", log_line(commit)));
        let (before, after) = (figure(change.before), figure(change.after));
        format!(
            "    changed by {:+.1} % about {when}{}: {before} → {after}",
            change.share() * 100.0,
            commit.unwrap_or_default()
        )
    }));
    lines
}
