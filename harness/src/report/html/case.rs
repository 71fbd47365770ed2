//! One case: its row in the table, and all there is to see of it.

use std::fmt::Write as _;
use std::path::Path;

use gpu_suites::event::{Finding, Stream, Verdict};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::super::case::{CaseState, Exited, Phase};
use super::super::fold::RunState;
use super::super::look::{Look, sign};
use super::super::series::Series;
use super::super::standing::{Standing, Tone};
use super::super::summary;
use super::budget::Budget;
use super::picture::{self, Picture};
use super::plot::{self, Drawing, Drawn, Plots};
use super::stages::{self, Stages};
use super::view::Fact;
use super::{gpu, record};
use crate::files::results::{artifact, case_folder, log_name};
use crate::text::clean;
use crate::text::figures::{self, figure};
use crate::text::limits::CELL;

/// Points of a curve in a cell.
const SPARK: usize = 60;
const FILES: usize = 100;

/// What is written as a number in the way to a file: all that could be a scheme or a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');

#[derive(Debug, Serialize)]
pub(super) struct Row {
    place: usize,
    /// What the filter goes by: a flaky case passed.
    kind: String,
    outcome: Outcome,
    suite: String,
    name: String,
    took: String,
    loss: Option<Spark>,
    headline: String,
    reason: String,
    /// Whether there is more of it below.
    pub(super) has_section: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    tone: Tone,
    sign: &'static str,
    word: String,
}

/// A metric in a cell.
#[derive(Debug, Serialize)]
struct Spark {
    text: String,
    /// For a polyline in a box of 100 by 24; empty where there is no curve.
    line: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) place: usize,
    id: String,
    outcome: Outcome,
    open: bool,
    took: String,
    description: String,
    at: String,
    reason: String,
    notes: Vec<String>,
    history: Vec<String>,
    attempts: Vec<Attempt>,
    drawn: Drawn,
    /// What was seen of each GPU, over the whole time.
    gpus: Vec<gpu::Whole>,
    unwell: String,
    /// What there is to say where no GPU was sampled.
    no_gpu: Option<String>,
    stages: Option<Stages>,
    pictures: Vec<Picture>,
    checks: Vec<Check>,
    checks_said: String,
    metrics: Vec<Metric>,
    metrics_left_out: usize,
    facts: Vec<Fact>,
    files: Vec<Link>,
    logs: Vec<Log>,
}

#[derive(Debug, Serialize)]
struct Attempt {
    number: u32,
    outcome: Outcome,
    took: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Check {
    tone: Tone,
    verdict: &'static str,
    name: String,
    observed: String,
    wanted: String,
    cause: String,
}

#[derive(Debug, Serialize)]
struct Metric {
    name: String,
    line: String,
    first: String,
    last: String,
    least: String,
    most: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Link {
    name: String,
    /// Relative to the page; empty where the file is not there.
    href: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct Log {
    name: &'static str,
    text: String,
    about: String,
    href: String,
}

/// Whether somebody who looks at the run wants to see it first.
pub(super) fn wants_a_look(state: &RunState, case: &CaseState) -> bool {
    !matches!(state.ending(case).standing, Standing::Passed | Standing::Skipped)
        || state.quarantined.contains_key(case.id())
}

fn outcome(state: &RunState, case: &CaseState) -> Outcome {
    let ending = state.ending(case);
    if state.is_live() && case.phase != Phase::Finished {
        let (sign, word) = if case.phase == Phase::Running { ("▶", "running") } else { ("·", "waiting") };
        return Outcome { tone: Tone::Odd, sign, word: word.to_owned() };
    }
    Outcome { tone: ending.tone(), sign: ending.sign(), word: ending.word() }
}

fn took(state: &RunState, case: &CaseState) -> String {
    if case.attempt == 0 { String::new() } else { figures::seconds(state.ending(case).seconds) }
}

/// Why it ended so, in a line.
fn reason(state: &RunState, case: &CaseState) -> String {
    let ending = state.ending(case);
    let first = || {
        let notes = summary::notes(case, ending.outcome, Look::PLAIN);
        let history = summary::by_history(state, case, Look::PLAIN);
        notes.into_iter().chain(history).next().unwrap_or_default()
    };
    let waits = state.is_live() && case.phase != Phase::Finished;
    let why = match &ending.reason {
        _ if waits => String::new(),
        Some(why) if case.broken().next().is_none() => why.clone(),
        _ => first(),
    };
    clean::one_line(&why, CELL)
}

pub(super) fn row(state: &RunState, place: usize, case: &CaseState) -> Row {
    let rate =
        || case.metrics.get_key_value("images_per_second").map(|(name, series)| (name.as_str(), series));
    let headline =
        case.headline().or_else(rate).map(|(name, series)| format!("{name} {}", figure(series.last)));
    Row {
        place,
        kind: state.ending(case).outcome.to_string(),
        outcome: outcome(state, case),
        suite: cell(case.id().suite()),
        name: cell(case.id().case()),
        took: took(state, case),
        loss: case.loss().map(|series| Spark { text: summary::loss(series), line: line(series) }),
        headline: cell(&headline.unwrap_or_default()),
        reason: reason(state, case),
        has_section: false,
    }
}

/// The page that sections are set on.
pub(super) struct Sheet<'a> {
    pub(super) state: &'a RunState,
    pub(super) run_dir: &'a Path,
    /// Whether there are few enough cases to show all of each.
    pub(super) few: bool,
    pub(super) plots: Plots,
    pub(super) budget: Budget,
}

pub(super) fn section(sheet: &mut Sheet<'_>, place: usize, case: &CaseState) -> Section {
    let Sheet { state, run_dir, few, plots, budget } = sheet;
    let (state, run_dir) = (*state, *run_dir);
    let ending = state.ending(case);
    let pictures = picture::of(run_dir, case, budget);
    let logs = logs(run_dir, case, budget);
    let (metrics, metrics_left_out) = metrics(case, budget);
    let curves = state.curves.of(case.id());
    let mut drawing = Drawing { case: place, plots, budget, drawn: 0 };
    let recorded: Option<gpu::Record> = record::read(run_dir, case, "throughput.json");
    let recorded =
        recorded.zip(curves).map(|(recorded, curves)| recorded.samples(curves)).unwrap_or_default();
    let drawn = plot::of(curves, recorded, &mut drawing);
    let pipeline: Option<stages::Record> = record::read(run_dir, case, "pipeline.json");
    let stages = stages::of(case, curves, pipeline.as_ref(), &mut drawing);
    let waits = state.is_live() && case.phase != Phase::Finished;
    let notes = if waits { Vec::new() } else { summary::notes(case, ending.outcome, Look::PLAIN) };
    // The notes say the same, and more.
    let reason = ending.reason.clone().filter(|_| !waits && notes.is_empty()).unwrap_or_default();
    Section {
        place,
        id: cell(case.id().as_str()),
        outcome: outcome(state, case),
        open: *few || (wants_a_look(state, case) && !waits),
        took: took(state, case),
        description: case.summary.description.clone().unwrap_or_default(),
        at: cell(&case.summary.at),
        reason,
        notes,
        history: summary::by_history(state, case, Look::PLAIN),
        attempts: attempts(case),
        no_gpu: (case.attempt > 0 && case.gpus.is_empty() && drawn.gpu.is_empty() && !drawn.rates.is_empty())
            .then(|| no_gpu(case)),
        gpus: case.gpus.iter().map(gpu::whole).collect(),
        unwell: case.unwell.clone().unwrap_or_default(),
        drawn,
        stages,
        pictures,
        checks: case.findings.iter().map(check).collect(),
        checks_said: checks_said(case),
        metrics,
        metrics_left_out,
        facts: facts(case),
        files: case
            .artifacts
            .iter()
            .take(FILES)
            .map(|file| link(run_dir, case, &file.path, file.bytes))
            .collect(),
        logs,
    }
}

fn no_gpu(case: &CaseState) -> String {
    let ran_on = case.device.get("gpu").or(case.device.get("cpu")).cloned().or_else(|| case.ran_on());
    let ran_on = ran_on.as_deref().map(|device| format!(" It ran on {}.", cell(device))).unwrap_or_default();
    format!("No GPU utilisation, clock, temperature or power was sampled for this case.{ran_on}")
}

fn attempts(case: &CaseState) -> Vec<Attempt> {
    if case.ended.len() < 2 {
        return Vec::new();
    }
    let attempt = |attempt: &super::super::case::Attempt| Attempt {
        number: attempt.number,
        outcome: Outcome {
            tone: Tone::of(attempt.outcome),
            sign: sign(attempt.outcome),
            word: attempt.outcome.to_string(),
        },
        took: figures::seconds(attempt.seconds),
        reason: cell(attempt.reason.as_deref().unwrap_or_default()),
    };
    case.ended.iter().map(attempt).collect()
}

fn check(finding: &Finding) -> Check {
    let (tone, verdict) = match finding.verdict {
        Verdict::Held => (Tone::Good, "held"),
        Verdict::Broke => (Tone::Bad, "broke"),
        Verdict::Skipped => (Tone::Dim, "skipped"),
    };
    let step = finding.step.map(|step| format!(" (step {step})")).unwrap_or_default();
    Check {
        tone,
        verdict,
        name: summary::check_name(finding),
        observed: format!("{}{step}", cell(&finding.observed)),
        wanted: cell(&finding.wanted),
        cause: cell(finding.cause.as_deref().unwrap_or_default()),
    }
}

fn checks_said(case: &CaseState) -> String {
    let of = |verdict: Verdict| case.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let told = [(Verdict::Broke, "broke"), (Verdict::Held, "held"), (Verdict::Skipped, "skipped")];
    let told = told.into_iter().filter(|(verdict, _)| of(*verdict) > 0);
    Vec::from_iter(told.map(|(verdict, word)| format!("{} {word}", of(verdict)))).join(", ")
}

fn metrics(case: &CaseState, budget: &mut Budget) -> (Vec<Metric>, usize) {
    let mut rows = Vec::new();
    for (name, series) in &case.metrics {
        if Budget::take(&mut budget.metrics) {
            rows.push(metric(name, series));
        }
    }
    let left_out = case.metrics.len() - rows.len();
    (rows, left_out)
}

fn metric(name: &str, series: &Series) -> Metric {
    let finite = |value: f64| if value.is_finite() { figure(value) } else { "–".to_owned() };
    Metric {
        name: name.to_owned(),
        line: line(series),
        first: figure(series.first),
        last: figure(series.last),
        least: finite(series.min),
        most: finite(series.max),
        count: series.count,
    }
}

/// The curve of a series in a box of 100 by 24, for a page without its script too.
fn line(series: &Series) -> String {
    let points = series.points();
    if points.len() < 3 {
        return String::new();
    }
    let log = series.min > 0.0 && series.max / series.min > 30.0;
    let scale = |value: f64| if log { value.ln() } else { value };
    let (low, high) = (scale(series.min), scale(series.max));
    let every = points.len().div_ceil(SPARK);
    let shown = Vec::from_iter(points.iter().step_by(every).chain(points.last()));
    let end = (shown.len() - 1) as f64;
    let point = |(place, (_, value)): (usize, &&(u64, f64))| {
        let height = if high > low { (scale(*value) - low) / (high - low) } else { 0.5 };
        format!("{:.1},{:.1}", place as f64 / end * 100.0, 22.0 - height * 20.0)
    };
    Vec::from_iter(shown.iter().enumerate().map(point)).join(" ")
}

fn facts(case: &CaseState) -> Vec<Fact> {
    let exit = case.exit.map(|exit| match exit {
        Exited::Code(code) => format!("exit status {code}"),
        Exited::Signal(signal) => format!("signal {signal}"),
    });
    let exit = exit.map(|value| Fact { name: "process".to_owned(), value });
    let fact = |(name, value): (&String, &String)| Fact { name: cell(name), value: cell(value) };
    case.device.iter().chain(&case.facts).map(fact).chain(exit).collect()
}

/// A file of the case, with a link where it was fetched.
fn link(run_dir: &Path, case: &CaseState, path: &str, bytes: u64) -> Link {
    let place = artifact(run_dir, case.id(), path).filter(|place| place.is_file());
    let href = place.map(|place| href(run_dir, &place)).unwrap_or_default();
    let about = if href.is_empty() { "not fetched" } else { "" };
    let about = format!("{}{}{about}", figures::bytes(bytes), if about.is_empty() { "" } else { ", " });
    Link { name: cell(path), href, about }
}

/// The way from the page to a file of the run's folder: no scheme, no query, whatever the name is.
fn href(run_dir: &Path, place: &Path) -> String {
    let Some(below) = place.strip_prefix(run_dir).ok().and_then(Path::to_str) else { return String::new() };
    format!("./{}", utf8_percent_encode(below, ESCAPED))
}

fn logs(run_dir: &Path, case: &CaseState, budget: &mut Budget) -> Vec<Log> {
    let streams = [(Stream::Stderr, "stderr"), (Stream::Stdout, "stdout")];
    let log = |(stream, name): (Stream, &'static str)| {
        let excerpt = case.log(stream);
        if excerpt.total() == 0 {
            return None;
        }
        let text = clean::text(&excerpt.text()).into_owned();
        let place = case_folder(run_dir, case.id()).map(|folder| folder.join(log_name(stream, case.attempt)));
        let href =
            place.filter(|place| place.is_file()).map(|place| href(run_dir, &place)).unwrap_or_default();
        let mut about = figures::bytes(excerpt.total());
        if excerpt.kept() as u64 != excerpt.total() {
            let _ = write!(about, ", {} of them here", figures::bytes(excerpt.kept() as u64));
        }
        let text = if let Some(left) = budget.logs.checked_sub(text.len()) {
            budget.logs = left;
            text
        } else {
            about.push_str("; not on this page, which is large enough without it");
            String::new()
        };
        Some(Log { name, text, about, href })
    };
    let mut logs = Vec::from_iter(streams.into_iter().filter_map(log));
    if case.log_dropped > 0
        && let Some(log) = logs.last_mut()
    {
        let dropped = figures::bytes(case.log_dropped);
        let _ = write!(log.about, "; {dropped} beyond the log's limit were dropped");
    }
    logs
}

fn cell(text: &str) -> String {
    clean::one_line(text, CELL)
}
