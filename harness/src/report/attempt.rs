//! How an event changes the case that it is about.

use std::collections::BTreeMap;

use gpu_suites::event::{self, Event, Stream};
use gpu_suites::gpu_watch::GpuSeen;
use gpu_suites::metrics::Value;
use jiff::Timestamp;

use super::case::{Artifact, Attempt, CaseState, Exited, Phase, Progress};
use super::series::Series;
use crate::text::clean::cut;
use crate::text::limits::{LINE, NAME};

const ATTEMPTS: usize = 16;
const FINDINGS: usize = 64;
const METRICS: usize = 128;
const FACTS: usize = 64;
const ARTIFACTS: usize = 256;
const GPUS: usize = 16;

/// Takes in an event other than the end of the case; those about no case change nothing.
pub(super) fn apply(case: &mut CaseState, at: Timestamp, event: &Event) {
    match event {
        Event::CaseStarted(event) => start(case, at, event.attempt),
        Event::Device(event) => {
            for (name, fact) in &event.facts {
                let fact = fact.as_str().map_or_else(|| short(&fact.to_string()), short);
                keep(&mut case.device, FACTS, name, fact);
            }
        }
        Event::Progress(event) => progress(case, at, event),
        Event::Metrics(event) => metrics(case, at, event),
        Event::Log(event) => match event.stream {
            Stream::Stdout => case.stdout.push(&event.text),
            Stream::Stderr => case.stderr.push(&event.text),
        },
        Event::LogTruncated(event) => case.log_dropped = case.log_dropped.saturating_add(event.dropped),
        Event::Artifact(event) if event.sha256.is_valid() && case.artifacts.len() < ARTIFACTS => {
            let path = short(&event.path);
            case.artifacts.retain(|known| known.path != path);
            case.artifacts.push(Artifact { path, bytes: event.bytes, sha256: event.sha256.clone() });
        }
        Event::ProcessEnded(event) => {
            case.exit = event.signal.map(Exited::Signal).or(event.code.map(Exited::Code));
        }
        Event::GpusWatched(event) => {
            case.gpus = event.gpus.iter().take(GPUS).map(short_gpu).collect();
            if !event.broken.is_empty() {
                case.unwell = Some(short(&event.broken.join("; ")));
            }
        }
        Event::Check(event) if case.findings.len() < FINDINGS => {
            case.findings.push(short_finding(&event.finding));
        }
        _ => {}
    }
}

/// A new attempt begins with nothing known of it.
fn start(case: &mut CaseState, at: Timestamp, attempt: u32) {
    let fresh = CaseState::new(case.summary.clone());
    let old = std::mem::replace(case, fresh);
    case.phase = Phase::Running;
    case.attempt = attempt;
    case.started = Some(at);
    case.ended = old.ended;
    case.stumbled = old.stumbled;
    case.log_dropped = old.log_dropped;
    // An attempt that was started anew without having ended did not end well.
    case.stumbled |= old.phase == Phase::Running;
}

pub(super) fn finish(case: &mut CaseState, at: Timestamp, event: &event::CaseFinished) {
    let said_before = case.last_ended().is_some_and(|last| last.number == event.attempt);
    if said_before {
        // Said twice: the last word counts.
        case.ended.pop_back();
    }
    case.stumbled |= case.ended.iter().any(|attempt| attempt.outcome.is_stumble());
    if case.ended.len() == ATTEMPTS {
        case.ended.pop_front();
    }
    case.phase = Phase::Finished;
    if event.attempt > 0 {
        // One that is left out on its second node was started on its first.
        case.attempt = event.attempt;
    }
    case.ended.push_back(Attempt {
        number: event.attempt,
        outcome: event.outcome,
        reason: event.reason.as_deref().map(short),
        seconds: sane_seconds(event.seconds),
        at,
        figures: case.metrics.iter().map(|(name, series)| (name.clone(), series.last)).collect(),
        on_slow_node: false,
        unwell: case.unwell.clone(),
    });
}

fn progress(case: &mut CaseState, at: Timestamp, event: &event::Progress) {
    match &mut case.progress {
        Some(progress) if progress.told && progress.goes_on(event.phase.as_ref(), event.step) => {
            progress.advance(at, event.step, event.steps);
        }
        _ => {
            let phase = event.phase.as_deref().map(|phase| cut(phase, NAME).into_owned());
            case.progress = Some(Progress::new(at, phase, event.step, event.steps, true));
        }
    }
}

fn metrics(case: &mut CaseState, at: Timestamp, event: &event::Metrics) {
    match (&mut case.progress, event.step) {
        (None, Some(step)) => case.progress = Some(Progress::new(at, None, step, None, false)),
        (Some(progress), Some(step)) if !progress.told && step > progress.step => {
            progress.advance(at, step, None);
        }
        _ => {}
    }
    for (name, value) in &event.values {
        match value {
            Value::Number(number) => match case.metrics.get_mut(name) {
                Some(series) => series.push(event.step, *number),
                None => keep(&mut case.metrics, METRICS, name, Series::new(event.step, *number)),
            },
            Value::Text(text) => keep(&mut case.facts, FACTS, name, short(text)),
            Value::Flag(flag) => keep(&mut case.facts, FACTS, name, flag.to_string()),
        }
    }
}

/// Sets an entry, unless that would be one too many or its name is no name.
fn keep<T>(map: &mut BTreeMap<String, T>, most: usize, name: &str, value: T) {
    if name.len() <= NAME && (map.len() < most || map.contains_key(name)) {
        map.insert(name.to_owned(), value);
    }
}

/// What is kept of a text.
pub(super) fn short(text: &str) -> String {
    cut(text, LINE).into_owned()
}

fn short_gpu(gpu: &GpuSeen) -> GpuSeen {
    let brief = |text: &Option<String>| text.as_deref().map(|text| cut(text, NAME).into_owned());
    GpuSeen { name: brief(&gpu.name), uuid: brief(&gpu.uuid), ..gpu.clone() }
}

fn short_finding(finding: &event::Finding) -> event::Finding {
    event::Finding {
        check: finding.check.clone(),
        subject: finding.subject.as_deref().map(short),
        verdict: finding.verdict,
        observed: short(&finding.observed),
        wanted: short(&finding.wanted),
        step: finding.step,
        cause: finding.cause.as_deref().map(short),
    }
}

/// A node may claim any duration; what is shown and summed is not absurd.
pub(super) fn sane_seconds(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.clamp(0.0, 1e9) } else { 0.0 }
}
