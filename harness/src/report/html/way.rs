//! Where the time went: a node's start-up phase by phase, and the cases along the run.

use gpu_suites::event::NodeState;
use jiff::Timestamp;
use serde::Serialize;

use super::super::case::{CaseState, Phase, seconds_between};
use super::super::fold::RunState;
use super::super::receipt::{Bill, phase_name};
use super::super::standing::Tone;
use crate::text::figures::{count, seconds};

/// Bars of one chart.
const BARS: usize = 300;

/// Bars that share one scale.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    title: String,
    note: String,
    /// What the whole width stands for.
    whole: String,
    bars: Vec<Bar>,
}

/// A stretch of time: of a width that is 1000.
#[derive(Debug, Serialize)]
struct Bar {
    label: String,
    took: String,
    from: u32,
    length: u32,
    tone: Tone,
    /// The case that it leads to.
    case: Option<usize>,
}

pub(super) fn of(state: &RunState) -> Vec<Chart> {
    let mut charts =
        Vec::from_iter(state.receipt.nodes.iter().filter(|bill| !bill.start_up.is_empty()).map(bill));
    if charts.is_empty() {
        charts.extend(by_states(state));
    }
    charts.extend(cases(state));
    charts
}

/// How long a part is of a bar that is 1000 long.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
pub(super) fn permille(part: f64, whole: f64) -> u32 {
    let share = if whole > 0.0 { part / whole } else { 0.0 };
    (share.clamp(0.0, 1.0) * 1000.0).round() as u32
}

/// The least length that can be seen.
const LEAST: u32 = 3;

fn bar(label: String, (from, to): (f64, f64), whole: f64, tone: Tone) -> Bar {
    let begin = permille(from, whole).min(1000 - LEAST);
    let length = (permille(to, whole).saturating_sub(begin)).max(LEAST);
    Bar { label, took: seconds(to - from), from: begin, length, tone, case: None }
}

/// The phases of a node's start-up, one after another.
fn bill(bill: &Bill) -> Chart {
    let whole = bill.start_up.values().sum::<f64>();
    let mut before = 0.0;
    let mut bars = Vec::new();
    for (phase, took) in &bill.start_up {
        bars.push(bar(phase_name(*phase).to_owned(), (before, before + took), whole, Tone::Dim));
        before += took;
    }
    Chart {
        title: format!("Start of {}", bill.instance),
        note: format!("{} {} in {}, until its first event", bill.instance_type, bill.market, bill.zone),
        whole: seconds(whole),
        bars,
    }
}

/// For a node that was there before the run: what had to be reached until its first case.
fn by_states(state: &RunState) -> Option<Chart> {
    let first = state.cases().iter().filter_map(began).min()?;
    let mut steps =
        Vec::from_iter(state.node_states.iter().take_while(|step| step.at <= first).map(|step| {
            let name = match step.state {
                NodeState::Requested => "asked for",
                NodeState::Booting => "booting",
                NodeState::Reachable => "reachable",
                NodeState::Healthy => "ready",
                NodeState::Running => "running",
                NodeState::Draining | NodeState::Terminating | NodeState::Gone | NodeState::Lost => "ended",
            };
            (name, step.at)
        }));
    steps.push(("first case", first));
    let begin = steps.first()?.1;
    let whole = seconds_between(begin, first);
    let bars = steps.windows(2).map(|pair| {
        let stretch = (seconds_between(begin, pair[0].1), seconds_between(begin, pair[1].1));
        bar(format!("{} → {}", pair[0].0, pair[1].0), stretch, whole, Tone::Dim)
    });
    let bars = Vec::from_iter(bars);
    (!bars.is_empty()).then(|| Chart {
        title: "Start of the node".to_owned(),
        note: "until its first case".to_owned(),
        whole: seconds(whole),
        bars,
    })
}

/// When the first attempt that is known of a case began.
fn began(case: &CaseState) -> Option<Timestamp> {
    let first = case.ended.iter().find(|attempt| attempt.number > 0);
    let first = first.map(|attempt| begin(attempt.at, attempt.seconds));
    first.into_iter().chain(case.started).min()
}

fn begin(end: Timestamp, took: f64) -> Timestamp {
    jiff::SignedDuration::try_from_secs_f64(took)
        .ok()
        .and_then(|took| end.checked_sub(took).ok())
        .unwrap_or(end)
}

/// Each attempt, along the run.
fn cases(state: &RunState) -> Option<Chart> {
    let run = state.began?;
    let whole = state.seconds();
    let mut bars = Vec::new();
    let mut left_out = 0;
    for (place, case) in state.cases().iter().enumerate() {
        let many = case.ended.len() > 1;
        let attempts = case.ended.iter().filter(|attempt| attempt.number > 0).map(|attempt| {
            let name = if many {
                format!("{} (attempt {})", case.id(), attempt.number)
            } else {
                case.id().to_string()
            };
            (name, begin(attempt.at, attempt.seconds), attempt.at, Tone::of(attempt.outcome))
        });
        let running = case.started.filter(|_| case.phase == Phase::Running);
        let running = running.map(|at| (case.id().to_string(), at, state.latest.unwrap_or(at), Tone::Odd));
        for (name, from, to, tone) in attempts.chain(running) {
            if bars.len() >= BARS {
                left_out += 1;
                continue;
            }
            let stretch = (seconds_between(run, from), seconds_between(run, to));
            bars.push(Bar { case: Some(place), ..bar(name, stretch, whole, tone) });
        }
    }
    let note = if left_out > 0 {
        format!("{} more are left out", count(left_out, "attempt"))
    } else {
        String::new()
    };
    (!bars.is_empty()).then(|| Chart {
        title: "Cases along the run".to_owned(),
        note,
        whole: seconds(whole),
        bars,
    })
}
