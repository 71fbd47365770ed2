//! The end of a run in words: who ran where, a row per case, what did not hold, and the count.

use std::path::Path;

use gpu_suites::event::{Finding, Verdict};
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use gpu_suites::regression::answers::Changed;
use gpu_suites::regression::{self, Standing as Lately};

use super::case::{Attempt, CaseState};
use super::fold::RunState;
use super::look::Look;
use super::standing::{Ending, Standing, Tone};
use super::{Report, ReportError};
use crate::report::words;
use crate::text::clean::{log_line, one_line};
use crate::text::figures::{self, count, figure};
use crate::text::limits::CELL;

/// The whole summary, with a newline at its end.
pub fn summary(state: &RunState, look: Look) -> String {
    let mut lines = vec![heading(state, look)];
    lines.extend(the_device(state).map(|device| fit(&format!("on {}", cell(&device)), look.columns())));
    lines.push(String::new());
    lines.extend(table(state, look));
    let troubles = troubles(state, look);
    if !troubles.is_empty() {
        lines.push(String::new());
        lines.extend(troubles);
    }
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    let receipt = state.receipt.lines(run, look);
    if !receipt.is_empty() {
        lines.push(String::new());
        lines.extend(receipt);
    }
    lines.push(String::new());
    lines.push(tally(state, look));
    lines.join("\n") + "\n"
}

pub struct Summary;

impl Report for Summary {
    fn name(&self) -> &'static str {
        "summary.txt"
    }

    fn about(&self) -> &'static str {
        "for a terminal"
    }

    fn content(&self, state: &RunState, _: &Path) -> Result<Vec<u8>, ReportError> {
        Ok(summary(state, Look::PLAIN).into_bytes())
    }
}

pub fn heading(state: &RunState, look: Look) -> String {
    let mut parts = vec![format!("gpu-harness {}", cell(state.harness.as_deref().unwrap_or("?")))];
    parts.extend(state.run.as_ref().map(|run| format!("run {}", cell(run.as_str()))));
    parts.extend(state.node.as_ref().map(|node| format!("node {}", cell(node.as_str()))));
    parts.extend(state.commit.as_ref().map(|commit| format!("commit {}", cell(commit))));
    look.bold(&fit(&parts.join(" · "), look.columns()))
}

/// The columns of the table, and the places of those that are not like the others.
const COLUMNS: [&str; 6] = ["outcome", "case", "device", "time", "loss", "metric"];
const OUTCOME: usize = 0;
const CASE: usize = 1;
const DEVICE: usize = 2;
const TIME: usize = 3;
const LOSS: usize = 4;
const METRIC: usize = 5;
/// Names matter most: where not all has room, these give way, in this order.
const GIVES_WAY: [usize; 4] = [DEVICE, METRIC, LOSS, TIME];
/// Names are not cut further than this.
const SHORTEST_NAME: usize = 16;

struct Row {
    tone: Tone,
    cells: [String; COLUMNS.len()],
}

fn row(state: &RunState, case: &CaseState) -> Row {
    let ending = state.ending(case);
    let outcome = format!("{} {}", ending.sign(), ending.word());
    let took = if case.attempt == 0 { String::new() } else { figures::seconds(ending.seconds) };
    let loss = case.loss().map(loss).unwrap_or_default();
    let metric = case.headline().map(|(name, series)| format!("{} {}", cell(name), figure(series.last)));
    let id = cell(case.id().as_str());
    let device = case.ran_on().map(|device| cell(&device)).unwrap_or_default();
    Row { tone: ending.tone(), cells: [outcome, id, device, took, loss, metric.unwrap_or_default()] }
}

/// `first → last` of a loss.
pub fn loss(series: &super::series::Series) -> String {
    if series.count < 2 {
        return figure(series.last);
    }
    format!("{} → {}", figure(series.first), figure(series.last))
}

fn table(state: &RunState, look: Look) -> Vec<String> {
    let rows: Vec<Row> = state.cases().iter().map(|case| row(state, case)).collect();
    let titles = COLUMNS.map(str::to_owned);
    let mut widths = [0; COLUMNS.len()];
    for cells in rows.iter().map(|row| &row.cells).chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(console::measure_text_width(cell));
        }
    }
    let is_empty = |column: usize| rows.iter().all(|row| row.cells[column].is_empty());
    let shown = shown(widths, look.columns(), the_device(state).is_none(), is_empty);
    let others = shown.iter().filter(|column| **column != CASE).map(|column| widths[*column]).sum::<usize>();
    widths[CASE] =
        widths[CASE].min(look.columns().saturating_sub(others + 2 * shown.len()).max(SHORTEST_NAME));
    let set = |cells: &[String; COLUMNS.len()], paint: &dyn Fn(&str) -> String| {
        let padded = shown.iter().map(|&column| {
            let (cell, width) = (&cells[column], widths[column]);
            let alignment = if column == TIME { console::Alignment::Right } else { console::Alignment::Left };
            let cell = if column == CASE { fit_end(cell, width) } else { fit(cell, width) };
            let cell = console::pad_str(&cell, width, alignment, None).into_owned();
            if column == OUTCOME { paint(&cell) } else { cell }
        });
        fit(format!("  {}", Vec::from_iter(padded).join("  ")).trim_end(), look.columns())
    };
    let mut lines = vec![look.dim(&set(&titles, &str::to_owned))];
    lines.extend(rows.iter().map(|row| set(&row.cells, &|text| look.tone(row.tone, text))));
    lines
}

/// The columns that have room beside whole names: those in which nothing stands give way first, then the device.
fn shown(
    widths: [usize; COLUMNS.len()],
    room: usize,
    with_device: bool,
    is_empty: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let mut shown = Vec::from_iter((0..COLUMNS.len()).filter(|column| with_device || *column != DEVICE));
    let (empty, filled): (Vec<usize>, Vec<usize>) =
        GIVES_WAY.into_iter().partition(|column| is_empty(*column));
    for gone in empty.into_iter().chain(filled) {
        let taken = shown.iter().map(|column| widths[*column] + 2).sum::<usize>();
        if taken > room {
            shown.retain(|column| *column != gone);
        }
    }
    shown
}

/// The device that every case ran on which was run, where it is the same.
fn the_device(state: &RunState) -> Option<String> {
    let mut devices = state.cases().iter().filter(|case| case.attempt > 0).map(CaseState::ran_on);
    let first = devices.next()??;
    devices.all(|device| device.as_ref() == Some(&first)).then_some(first)
}

/// What a reader has to know besides the table.
fn troubles(state: &RunState, look: Look) -> Vec<String> {
    let mut lines = Vec::new();
    for case in state.cases() {
        let mut notes = notes(case, state.ending(case).outcome, look);
        notes.extend(by_history(state, case, look));
        if state.ending(case).outcome != Outcome::Passed || !notes.is_empty() {
            lines.push(headline(state, case, look));
        }
        lines.extend(notes.iter().map(|note| format!("  {note}")));
    }
    if state.cut_off {
        lines.push(look.odd("the events of this run end before the run does: gpu-harness was killed"));
    }
    if let Some(error) = state.closed.as_ref().and_then(|closed| closed.error.as_ref()) {
        lines.push(look.bad(&format!("the run ended early: {}", log_line(error))));
    }
    if state.loss_count > 0 {
        // Not `sum`, which is -0.0 for nothing.
        let away = state.losses.iter().filter_map(|loss| loss.seconds).fold(0.0, |all, one| all + one);
        let times = figures::count(usize::try_from(state.loss_count).unwrap_or(usize::MAX), "time");
        let away = figures::seconds(away);
        lines.push(format!("the connection was lost {times}, for {away} in all; no event was lost with it"));
    }
    lines.extend(state.reclaims.iter().map(|notice| look.odd(&notice.to_string())));
    for warning in &state.warnings {
        let about =
            warning.case.as_ref().map(|case| format!("{}: ", cell(case.as_str()))).unwrap_or_default();
        lines.push(format!("{} {about}{}", look.odd("warning:"), log_line(&warning.message)));
    }
    if state.warnings_left_out > 0 {
        lines.push(format!("and {} warnings more, in events.ndjson", state.warnings_left_out));
    }
    lines
}

fn headline(state: &RunState, case: &CaseState, look: Look) -> String {
    let ending = state.ending(case);
    let why = ending.reason.as_deref().map(log_line).filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} {}{why}", look.outcome(ending.outcome, &ending.outcome.to_string()), cell(case.id().as_str()))
}

/// What there is to say about a case's outcome: nothing for one that simply passed.
pub fn notes(case: &CaseState, outcome: Outcome, look: Look) -> Vec<String> {
    let mut notes = Vec::new();
    let is_control = outcome == Outcome::Passed && case.broken().next().is_some();
    if is_control {
        let broken: Vec<String> = case.broken().map(check_name).collect();
        notes.push(look.dim(&format!("negative control: {} broke, as it must", broken.join(", "))));
    } else {
        for broken in case.broken() {
            notes.push(finding(broken));
            let usual = broken.cause.as_ref().map(|usual| format!("  usual cause: {}", log_line(usual)));
            notes.extend(usual.map(|usual| look.dim(&usual)));
        }
    }
    if case.log_dropped > 0 {
        let dropped = figures::bytes(case.log_dropped);
        notes.push(look.dim(&format!("log cut at its limit: {dropped} beyond it were dropped")));
    }
    for interrupted in case.interruptions() {
        notes.push(look.odd(&format!("ran again: {}", told(interrupted))));
    }
    if outcome == Outcome::Passed && case.is_flaky() {
        let before = case.ended.iter().rev().skip(1).find(|attempt| attempt.outcome.is_stumble());
        let before = before.map_or_else(|| "an earlier attempt did not end".to_owned(), told);
        notes.push(look.odd(&format!("flaky: passed on attempt {}; {before}", case.attempt)));
    }
    notes
}

/// What the history says of a case, and whether it is in quarantine: nothing where all is as before.
pub fn by_history(state: &RunState, case: &CaseState, look: Look) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(quarantined) = state.quarantined.get(case.id()) {
        let until = quarantined.until;
        let reason = log_line(&quarantined.reason);
        notes.push(look.odd(&format!("in quarantine until {until}, does not fail the build: {reason}")));
    }
    let Some(judged) = state.judged.get(case.id()) else { return notes };
    if let Lately::Flaky | Lately::Failing | Lately::ConsistentlyFailing = judged.standing {
        notes.push(look.odd(&format!("over the last runs: {}", judged.standing.name())));
    }
    if let Some(why) = &judged.degraded {
        notes.push(look.odd(&format!(
            "degraded node, its figures judge nothing and enter no baseline: {}",
            cell(&log_line(why))
        )));
    }
    for Changed { metric, said, .. } in &judged.answers {
        notes.push(look.bad(&cell(&log_line(&format!("{metric} changed: {said}")))));
    }
    notes.extend(judged.vanished.iter().map(|gone| look.odd(&cell(&log_line(&words::vanished(gone))))));
    let mut unknown = 0;
    for metric in &judged.metrics {
        match metric.verdict {
            regression::Verdict::InsufficientData { .. } => unknown += 1,
            regression::Verdict::Regressed(_) if judged.degraded.is_some() => {
                notes.push(look.dim(&cell(&words::judgement(metric))));
            }
            regression::Verdict::Regressed(_) | regression::Verdict::NoNumber => {
                notes.push(look.bad(&cell(&words::judgement(metric))));
            }
            _ => notes.push(cell(&words::judgement(metric))),
        }
    }
    let insufficient = judged.metrics.iter().find_map(|metric| match metric.verdict {
        regression::Verdict::InsufficientData { have, need } => Some((have, need)),
        _ => None,
    });
    if let Some((have, need)) = insufficient {
        let metrics = count(unknown, "metric");
        notes.push(look.dim(&format!(
            "history: insufficient data for {metrics} ({have} of the {need} nights it takes)"
        )));
    }
    notes
}

/// `attempt 1 failed: exit status 1`.
fn told(attempt: &Attempt) -> String {
    let why = attempt.reason.as_deref().map(|why| format!(": {}", log_line(why))).unwrap_or_default();
    format!("attempt {} {}{why}", attempt.number, attempt.outcome)
}

/// One check on one line.
pub fn finding(finding: &Finding) -> String {
    let name = check_name(finding);
    let observed = log_line(&finding.observed);
    match finding.verdict {
        Verdict::Held => format!("{name} held: {observed}; wanted {}", log_line(&finding.wanted)),
        Verdict::Skipped => format!("{name} skipped: {observed}"),
        Verdict::Broke => {
            let step = finding.step.map(|step| format!(" (step {step})")).unwrap_or_default();
            format!("{name} broke: {observed}{step}; wanted {}", log_line(&finding.wanted))
        }
    }
}

pub fn check_name(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} {}", finding.check, cell(subject)),
        None => finding.check.to_string(),
    }
}

/// A failed case in a line.
pub fn failure(case: &CaseState, ending: &Ending) -> String {
    let mut broken = case.broken();
    let Some(first) = broken.next() else {
        return ending.reason.clone().unwrap_or_else(|| "a check did not hold".to_owned());
    };
    let more = broken.count();
    let more = if more > 0 { format!(" (and {} more)", count(more, "check")) } else { String::new() };
    finding(first) + &more
}

/// `5 passed, 1 failed in 1m 23s`.
pub fn tally(state: &RunState, look: Look) -> String {
    let parts: Vec<String> = state
        .tally()
        .into_iter()
        .map(|(outcome, number)| look.outcome(outcome, &format!("{number} {outcome}")))
        .collect();
    let standings = Vec::from_iter(state.cases().iter().map(|case| state.ending(case).standing));
    let flaky = standings.iter().filter(|standing| **standing == Standing::Flaky).count();
    let flaky = if flaky > 0 { look.odd(&format!(" ({flaky} flaky)")) } else { String::new() };
    let regressed = standings.iter().filter(|standing| standing.is_regressed()).count();
    let regressed =
        if regressed > 0 { look.bad(&format!(" ({regressed} regressed)")) } else { String::new() };
    let cases = if parts.is_empty() { look.bad("no case was run") } else { parts.join(", ") };
    format!("{cases}{flaky}{regressed} in {}", figures::seconds(state.seconds()))
}

pub fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::AllPassed => "every case passed",
        Exit::CheckFailed => "a check did not hold",
        Exit::Usage => "what was asked for is wrong; nothing was run",
        Exit::Infrastructure => "trouble with the node, not with what was tested",
        Exit::Limit => "a time or money limit was reached",
        Exit::Interrupted => "interrupted",
    }
}

fn cell(text: &str) -> String {
    log_line(&one_line(text, CELL))
}

pub fn fit(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

/// The end of the text in at most so many columns.
pub fn fit_end(text: &str, columns: usize) -> String {
    if console::measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let starts = text.char_indices().map(|(start, _)| start);
    let mut ends = starts.map(|start| &text[start..]);
    let end = ends.find(|end| console::measure_text_width(end) < columns).unwrap_or_default();
    format!("…{end}")
}
