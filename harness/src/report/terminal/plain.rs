//! Plain lines for a log that is read later, or folded by a viewer: no colour, no cursor, nothing that goes away.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use gpu_suites::event::{self, Event, NodeState, Record};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;

use super::log_lines::LogLines;
use super::{TAIL_LINES, Verbosity, write_end};
use crate::report::case::{CaseState, Progress, seconds_between};
use crate::report::look::Look;
use crate::report::stop_commands::StopCommands;
use crate::report::{Reporter, RunState, receipt, summary};
use crate::text::clean::log_line;
use crate::text::figures::{self, figure};

/// Progress is told when this much has passed since the case was last heard of,
const PAUSE: f64 = 10.0;
/// or at each quarter of its steps, but not more often than this.
const LEAST_PAUSE: f64 = 1.0;

#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    verbosity: Verbosity,
    /// Whether GitHub folds: log excerpts become groups.
    grouping: bool,
    lines: LogLines,
    told: HashMap<CaseId, LastShown>,
    /// When it was last told how far the node is made ready.
    made_ready_at: Option<Timestamp>,
}

/// What was last told of a running case.
#[derive(Debug)]
struct LastShown {
    at: Timestamp,
    quarter: u32,
    phase: Option<String>,
}

impl<W: Write> Plain<W> {
    /// A reporter that writes to `out`.
    pub fn new(out: W, verbosity: Verbosity, grouping: bool) -> Self {
        let (lines, told) = (LogLines::default(), HashMap::new());
        Self { out, verbosity, grouping, lines, told, made_ready_at: None }
    }

    /// Nobody reads any more? The run goes on.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }

    fn is_normal(&self) -> bool {
        self.verbosity >= Verbosity::Normal
    }

    fn started(&mut self, at: Timestamp, event: &event::CaseStarted, state: &RunState) {
        self.told.insert(event.case.clone(), LastShown { at, quarter: 0, phase: None });
        if !self.is_normal() {
            return;
        }
        let place = state.cases().iter().position(|case| *case.id() == event.case).unwrap_or_default() + 1;
        let attempt = if event.attempt > 1 { format!(", attempt {}", event.attempt) } else { String::new() };
        let all = state.cases().len();
        self.say(&format!("started   {} ({place} of {all}{attempt})", log_line(event.case.as_str())));
    }

    fn progressed(&mut self, at: Timestamp, case: &CaseState) {
        let (Some(progress), Some(told)) = (&case.progress, self.told.get_mut(case.id())) else { return };
        if told.phase != progress.phase {
            told.phase.clone_from(&progress.phase);
            told.quarter = 0;
        }
        let quarter = quarter(progress);
        let pause = seconds_between(told.at, at);
        let is_mark = quarter > told.quarter && quarter < 4 && pause >= LEAST_PAUSE;
        if !(is_mark || pause >= PAUSE) {
            return;
        }
        told.at = at;
        told.quarter = quarter;
        let line = progress_line(progress, case);
        self.say(&line);
    }

    fn finished(&mut self, event: &event::CaseFinished, state: &RunState) {
        self.told.remove(&event.case);
        let rest = self.lines.finish(&event.case);
        if self.verbosity == Verbosity::Verbose {
            for line in rest {
                self.say(&format!("  | {line}"));
            }
        }
        let Some(case) = state.case(&event.case) else { return };
        if !self.is_normal() && event.outcome.is_good() {
            return;
        }
        self.say(&outcome_line(case, event));
        for note in summary::notes(case, event.outcome, Look::PLAIN) {
            self.say(&format!("  {note}"));
        }
        if !event.outcome.is_good() && self.verbosity < Verbosity::Verbose {
            self.tail(case);
        }
    }

    /// The last lines of a case's log: standard error's, and standard output's where there is room.
    fn tail(&mut self, case: &CaseState) {
        let lines = tail(case);
        if lines.is_empty() {
            return;
        }
        if self.grouping {
            self.say(&format!("::group::last lines of the log of {}", log_line(case.id().as_str())));
            let stop_commands = StopCommands::new();
            // Twice the care: the lines are clean, and GitHub is told not to look.
            self.say(&stop_commands.begin());
            self.say_log(&lines);
            self.say(&stop_commands.end());
            self.say("::endgroup::");
        } else {
            self.say_log(&lines);
        }
    }

    fn say_log(&mut self, lines: &[String]) {
        for line in lines {
            self.say(&format!("  | {line}"));
        }
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&mut self, record: &Record, state: &RunState) {
        let is_verbose = self.verbosity == Verbosity::Verbose;
        match &record.event {
            Event::CaseStarted(event) => self.started(record.at, event, state),
            Event::CaseFinished(event) => self.finished(event, state),
            Event::Warning(_) if record.from.is_some() && state.warnings_left_out > 1 => {}
            Event::Warning(_) if record.from.is_some() && state.warnings_left_out == 1 => {
                self.say("warning: there are more, in events.ndjson");
            }
            Event::Warning(event) => {
                let about = event.case.as_ref().map(|case| format!("{case}: ")).unwrap_or_default();
                self.say(&format!("warning: {}", log_line(&format!("{about}{}", event.message))));
            }
            Event::TestsUnread(event) => {
                for report in &event.reports {
                    self.say(&format!("failed    {}: {}", log_line(event.case.as_str()), log_line(report)));
                }
            }
            Event::TestsFailed(event) => {
                let told = log_line(&event.to_string());
                self.say(&format!("failed    {}: {told}", log_line(event.case.as_str())));
            }
            Event::ConnectionLost(event) => self.say(&format!("connection lost: {}", log_line(&event.error))),
            Event::Reattached(event) => {
                let away = figures::seconds(event.seconds);
                self.say(&format!("connected again after {away}; nothing was lost"));
            }
            Event::ReclaimNotice(event) => self.say(&event.to_string()),
            Event::Interrupted(event) => self.say(&format!("interrupted by {}", log_line(&event.by))),
            Event::EnvironmentFailed(event) => self.say(&environment_failed(event)),
            Event::Node(event) if event.state == NodeState::Lost => self.say(&node_line(event)),
            _ if !self.is_normal() => {}
            Event::RunCreated(_) => self.say(&summary::heading(state, Look::PLAIN)),
            Event::Node(event) => self.say(&node_line(event)),
            Event::Waiting(event) => self.say(&receipt::waiting_line(event)),
            Event::NodeProvisioned(event) => self.say(&receipt::provisioned_line(event)),
            Event::TakenOver(event) => self.say(&receipt::taken_over_line(event)),
            Event::HandedOn(event) => self.say(&receipt::handed_on_line(event)),
            Event::Upload(event) => self.say(&upload_line(event)),
            Event::EnvironmentProgress(event)
                if self.made_ready_at.is_none_or(|at| seconds_between(at, record.at) >= PAUSE) =>
            {
                self.made_ready_at = Some(record.at);
                self.say(&environment_progress(event));
            }
            Event::EnvironmentReady(event) => self.say(&environment_ready(event)),
            Event::Progress(event::Progress { case, .. }) | Event::Metrics(event::Metrics { case, .. }) => {
                if let Some(case) = state.case(case) {
                    self.progressed(record.at, case);
                }
            }
            Event::Check(event) if is_verbose => self.say(&format!("  {}", summary::finding(&event.finding))),
            Event::Device(event) if is_verbose => self.say(&device_line(event)),
            Event::Log(event) if is_verbose => {
                for line in self.lines.take(event) {
                    self.say(&format!("  | {line}"));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        let _ = write_end(&mut self.out, state, run_dir, exit, Look::PLAIN);
    }
}

/// The last lines of a case's log, cleaned.
pub fn tail(case: &CaseState) -> Vec<String> {
    let errors = case.stderr.last_lines(TAIL_LINES);
    let mut lines = case.stdout.last_lines(TAIL_LINES - errors.len());
    lines.extend(errors);
    lines.iter().map(|line| log_line(line)).collect()
}

/// `passed    suite::case on NVIDIA L4 in 12.3s: loss 0.69 → 0.002, eval/iou 0.99`
pub(super) fn outcome_line(case: &CaseState, event: &event::CaseFinished) -> String {
    let took = figures::seconds(event.seconds);
    let took = if event.attempt > 0 { format!(" in {took}") } else { String::new() };
    let on = case.ran_on().filter(|_| event.attempt > 0);
    let on = on.map_or(String::new(), |device| format!(" on {}", log_line(&device)));
    let end = match event.outcome {
        Outcome::Passed => essence(case),
        _ => event.reason.as_deref().map(log_line).unwrap_or_default(),
    };
    let colon = if end.is_empty() { "" } else { ": " };
    let outcome = event.outcome.to_string();
    format!("{outcome:<9} {}{on}{took}{colon}{end}", log_line(case.id().as_str()))
}

/// What a case came to: its loss and its metric.
pub(super) fn essence(case: &CaseState) -> String {
    let loss = case.loss().map(|loss| format!("loss {}", summary::loss(loss)));
    let metric = case.headline().map(|(name, series)| format!("{} {}", log_line(name), figure(series.last)));
    loss.into_iter().chain(metric).collect::<Vec<_>>().join(", ")
}

fn quarter(progress: &Progress) -> u32 {
    let steps = progress.steps.filter(|steps| *steps > 0);
    steps.map_or(0, |steps| u32::try_from((progress.step.saturating_mul(4) / steps).min(4)).unwrap_or(4))
}

fn progress_line(progress: &Progress, case: &CaseState) -> String {
    let mut parts = Vec::new();
    parts.extend(progress.share().map(|share| format!("{:>3.0}%", share * 100.0)));
    parts.extend(progress.phase.as_deref().map(log_line));
    parts.push(match progress.steps {
        Some(steps) => format!("step {}/{steps}", progress.step),
        None => format!("step {}", progress.step),
    });
    parts.extend(case.loss().map(|loss| format!("loss {}", figure(loss.last))));
    parts.extend(progress.rate().map(|rate| format!("{} steps/s", figures::rate(rate))));
    parts.extend(progress.seconds_left().map(|left| format!("{} left", figures::about(left))));
    format!("  {}", parts.join("  "))
}

fn node_line(event: &event::Node) -> String {
    let state = format!("{:?}", event.state).to_lowercase();
    let detail = log_line(&event.detail);
    let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
    format!("node {} {state}{detail}", log_line(event.node.as_str()))
}

/// `libtorch 2.11.0+cpu: 40 MiB of 117 MiB, 12 MiB/s, 6s left`
pub(super) fn environment_progress(event: &event::EnvironmentProgress) -> String {
    let what = log_line(&event.what);
    if event.total == 0 {
        return format!("{what}: looking for it on the index");
    }
    let [bytes, total] = [event.bytes, event.total].map(figures::bytes);
    let rate = figures::bytes(event.rate);
    let left = event.seconds_left().map_or(String::new(), |left| format!(", {} left", figures::about(left)));
    format!("{what}: {bytes} of {total}, {rate}/s{left}")
}

/// `libtorch 2.11.0+cpu is on the node: 117 MiB in 8.0s`
pub(super) fn environment_ready(event: &event::EnvironmentReady) -> String {
    let (what, bytes) = (log_line(&event.what), figures::bytes(event.bytes));
    format!("{what} is on the node: {bytes} in {}", figures::seconds(event.seconds))
}

pub(super) fn environment_failed(event: &event::EnvironmentFailed) -> String {
    let (what, reason) = (log_line(&event.what), log_line(&event.reason));
    format!("{what} could not be put on the node: {reason}")
}

fn upload_line(event: &event::Upload) -> String {
    let sent = figures::count(event.sent, "file");
    let size = figures::bytes(event.bytes);
    let took = figures::seconds(event.seconds);
    match (event.sent, event.present) {
        (0, present) => format!("sent nothing: {} there already", figures::count(present, "file")),
        (_, 0) => format!("sent {sent} ({size}) in {took}"),
        (_, present) => format!("sent {sent} ({size}) in {took}; {present} there already"),
    }
}

fn device_line(event: &event::Device) -> String {
    let facts = event.facts.iter().map(|(name, fact)| {
        let fact = fact.as_str().map_or_else(|| fact.to_string(), str::to_owned);
        format!("{name} {fact}")
    });
    format!("  device: {}", log_line(&facts.collect::<Vec<_>>().join(", ")))
}
