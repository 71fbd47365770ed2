//! What is drawn of a series, and what is said about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gpu_suites::regression::{Band, Verdict};
use serde::Serialize;

use super::super::Key;
use super::super::judge::Judge;
use super::super::show::{Entry, Point};
use super::status::{self, Status};
use crate::page::plotted;
use crate::report::words;
use crate::text::figures::{count, figure};

#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    number: usize,
    status: Status,
    word: &'static str,
    tone: &'static str,
    suite: &'a str,
    case: &'a str,
    metric: &'a str,
    key: String,
    last: String,
    /// Against the median before, e.g. `−6.0 %`.
    by: String,
    said: String,
    changes: Vec<String>,
    about: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Data {
    plots: BTreeMap<usize, Plot>,
}

#[derive(Debug, Serialize)]
struct Plot {
    at: Vec<f64>,
    value: Vec<Option<f64>>,
    /// Values that enter no baseline.
    unhealthy: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
    median: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
    labels: Vec<String>,
    marks: Vec<f64>,
}

pub(super) fn of<'a>(
    number: usize,
    status: Status,
    entry: &'a Entry,
    all: &[Entry],
    judge: &Judge,
    most: usize,
    data: &mut Data,
) -> Shown<'a> {
    let (plot, changes) = plot(entry, all, judge, most);
    data.plots.insert(number, plot);
    let last = entry.values.iter().rev().find_map(|point| point.value);
    let unhealthy = entry.values.iter().filter(|point| !point.healthy).count();
    let mut about = count(entry.values.len(), "value");
    if unhealthy > 0 {
        let _ = write!(about, ", {unhealthy} of them in no baseline");
    }
    if entry.values.len() > most {
        let _ = write!(about, "; the last {most} are drawn");
    }
    Shown {
        number,
        status,
        word: status.word(),
        tone: status.tone(),
        suite: entry.case.suite(),
        case: entry.case.case(),
        metric: &entry.metric,
        key: entry.key.to_string(),
        last: last.map(figure).unwrap_or_default(),
        by: by(entry),
        said: said(entry),
        changes,
        about,
    }
}

/// How far the last value is from the median before it.
fn by(entry: &Entry) -> String {
    let Some(against) = entry.verdict.as_ref().and_then(Verdict::against) else { return String::new() };
    let change = against.value - against.median;
    let share = if change.abs() > 0.0 { change / against.median.abs() * 100.0 } else { 0.0 };
    if share.is_finite() { format!("{share:+.1} %").replace('-', "−") } else { String::new() }
}

fn said(entry: &Entry) -> String {
    match (&entry.verdict, entry.better) {
        (Some(verdict), Some(better)) => words::verdict(verdict, better),
        _ => "not judged: its name does not say which way is better; say so in `metrics:`".to_owned(),
    }
}

fn plot(entry: &Entry, all: &[Entry], judge: &Judge, most: usize) -> (Plot, Vec<String>) {
    let from = entry.values.len().saturating_sub(most);
    let mut plot = Plot {
        at: Vec::new(),
        value: Vec::new(),
        unhealthy: Vec::new(),
        low: Vec::new(),
        median: Vec::new(),
        high: Vec::new(),
        labels: Vec::new(),
        marks: Vec::new(),
    };
    let mut before = Vec::new();
    for (place, point) in entry.values.iter().enumerate() {
        if place >= from {
            plot.push(point, judge.band(&before));
        }
        before.extend(point.value.filter(|_| point.healthy));
    }
    let mut changes = Vec::new();
    if let (Some(older), Some(first)) = (older(entry, all), entry.values.first().filter(|_| from == 0)) {
        plot.marks.push(plot.at[0]);
        let what = differences(&older.key, &entry.key).join(", ");
        changes.push(format!("{}: measured on something else from here on: {what}", when(first)));
    }
    for change in entry.changes.iter().filter(|change| change.at >= from) {
        let Some(point) = entry.values.get(change.at) else { continue };
        plot.marks.push(plot.at[change.at - from]);
        let on = Vec::from_iter(
            [entry.key.device.clone(), entry.key.driver.as_ref().map(|driver| format!("driver {driver}"))]
                .into_iter()
                .flatten(),
        );
        let on = if on.is_empty() { String::new() } else { format!(" ({})", on.join(", ")) };
        changes.push(format!(
            "{}: the level changed by {:+.1} %, from {} to {}{on}",
            when(point),
            change.share() * 100.0,
            figure(change.before),
            figure(change.after),
        ));
    }
    (plot, changes)
}

impl Plot {
    fn push(&mut self, point: &Point, band: Option<Band>) {
        let at = point.at.as_second() as f64;
        // Two runs of one second still follow each other.
        let at = self.at.last().map_or(at, |last| at.max(last + 1.0));
        let value = point.value.map(plotted);
        self.at.push(at);
        self.value.push(value.filter(|_| point.healthy));
        self.unhealthy.push(value.filter(|_| !point.healthy));
        self.low.push(band.map(|band| plotted(band.low)));
        self.median.push(band.map(|band| plotted(band.median)));
        self.high.push(band.map(|band| plotted(band.high)));
        let commit = point.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        self.labels.push(format!("run {}{commit}", point.run));
    }
}

/// `2026-11-24, commit 1f9d3c2`.
fn when(point: &Point) -> String {
    let commit = point.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!("{}{commit}", point.at.strftime("%Y-%m-%d"))
}

/// The latest series that this one took the place of.
fn older<'a>(entry: &Entry, all: &'a [Entry]) -> Option<&'a Entry> {
    let olders = all.iter().filter(|other| status::is_newer(entry, other));
    olders.max_by_key(|other| other.values.last().map(|point| point.at))
}

/// What is not the same, `driver 580.95 → 590.10`.
fn differences(before: &Key, after: &Key) -> Vec<String> {
    let parts = [
        ("model", &before.model, &after.model),
        ("device", &before.device, &after.device),
        ("threads", &before.threads, &after.threads),
        ("driver", &before.driver, &after.driver),
        ("libtorch", &before.libtorch, &after.libtorch),
        ("node", &before.node, &after.node),
    ];
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "unknown".to_owned());
    let changed = parts.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(name, before, after)| format!("{name} {} → {}", text(before), text(after))).collect()
}
