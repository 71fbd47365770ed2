//! The essence of a run for a terminal: the verdict first, then each case with its curves, and the way there.

use globset::GlobMatcher;
use gpu_suites::event::Verdict;

use super::case::{CaseState, Phase};
use super::fold::RunState;
use super::look::Look;
use super::series::Series;
use super::{receipt, summary, terminal};
use crate::text::clean::log_line;
use crate::text::figures::{self, count, figure, sparkline};

/// Columns of a curve, of the longest name, and of a bar.
const CURVE: usize = 24;
const NAME: usize = 38;
const BAR: usize = 30;
/// Metrics of a case, where not all are asked for.
const METRICS: usize = 6;

/// What is shown of which cases.
#[derive(Debug, Default)]
pub struct Shown {
    /// Only cases that one of these matches; none means every case.
    pub cases: Vec<GlobMatcher>,
    /// Every metric, check, fact and file of each, and what is left of its log.
    pub everything: bool,
}

/// The run as text, with a newline at its end.
pub fn show(state: &RunState, shown: &Shown, look: Look) -> String {
    let verdict = if state.is_live() { going_on(state, look) } else { summary::tally(state, look) };
    let mut lines = vec![summary::heading(state, look), verdict];
    let is_shown = |case: &&CaseState| {
        let id = case.id().as_str();
        let name = id.rsplit("::").next().unwrap_or(id);
        shown.cases.is_empty() || shown.cases.iter().any(|glob| glob.is_match(id) || glob.is_match(name))
    };
    for case in state.cases().iter().filter(is_shown) {
        lines.push(String::new());
        lines.extend(of_case(state, case, shown.everything, look));
    }
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    for bill in &state.receipt.nodes {
        lines.push(String::new());
        lines.push(format!("start of {} ({})", log_line(&bill.instance), log_line(&bill.instance_type)));
        lines.extend(start_up(bill, look));
    }
    let receipt = state.receipt.lines(run, look);
    if !receipt.is_empty() {
        lines.push(String::new());
        lines.extend(receipt);
    }
    lines.join("\n") + "\n"
}

fn going_on(state: &RunState, look: Look) -> String {
    let ended = state.cases().iter().filter(|case| case.phase == Phase::Finished).count();
    look.odd(&format!("goes on: {ended} of {} have ended", count(state.cases().len(), "case")))
}

fn of_case(state: &RunState, case: &CaseState, everything: bool, look: Look) -> Vec<String> {
    let ending = state.ending(case);
    if state.is_live() && case.phase != Phase::Finished {
        let word = if case.phase == Phase::Running { "▶ running" } else { "· waiting" };
        let mut lines = vec![format!("{}  {}", look.odd(word), look.bold(&log_line(case.id().as_str())))];
        lines.extend(curves(case, everything, look));
        return lines.into_iter().map(|line| summary::fit(&line, look.columns())).collect();
    }
    let outcome = look.tone(ending.tone(), &format!("{} {}", ending.sign(), ending.word()));
    let took =
        if case.attempt == 0 { String::new() } else { format!("  {}", figures::seconds(ending.seconds)) };
    let mut lines =
        vec![format!("{outcome}  {}{}", look.bold(&log_line(case.id().as_str())), look.dim(&took))];
    lines.extend(case.summary.description.as_deref().map(|text| indented(&look.dim(&log_line(text)))));
    let notes = summary::notes(case, ending.outcome, look);
    if let (Some(reason), true) = (&ending.reason, notes.is_empty()) {
        lines.push(indented(&log_line(reason)));
    }
    lines.extend(notes.iter().map(|note| indented(note)));
    lines.extend(curves(case, everything, look));
    lines.extend(checks(case, everything).into_iter().map(|line| indented(&line)));
    if everything {
        lines.extend(facts(case).into_iter().map(|line| indented(&line)));
    }
    if !case.artifacts.is_empty() {
        let files = case.artifacts.iter();
        let files = files.map(|file| format!("{} ({})", log_line(&file.path), figures::bytes(file.bytes)));
        lines.push(indented(&format!("files: {}", files.collect::<Vec<_>>().join(", "))));
    }
    if everything || !ending.outcome.is_good() {
        let log = terminal::tail(case);
        lines.extend(log.iter().map(|line| indented(&look.dim(&format!("| {line}")))));
    }
    lines.into_iter().map(|line| summary::fit(&line, look.columns())).collect()
}

/// The metrics that say most, most telling first; or all of them.
fn metrics(case: &CaseState, everything: bool) -> Vec<(&str, &Series)> {
    let all = || case.metrics.iter().map(|(name, series)| (name.as_str(), series));
    if everything {
        return all().collect();
    }
    let loss = case.loss().map(|series| ("loss", series));
    let mut chosen = Vec::from_iter(loss.into_iter().chain(case.headline()));
    let rates = all().filter(|(name, _)| name.ends_with("items_per_second"));
    let curves = all().filter(|(_, series)| series.points().len() > 1);
    for (name, series) in rates.chain(curves) {
        if chosen.len() < METRICS && chosen.iter().all(|(known, _)| *known != name) {
            chosen.push((name, series));
        }
    }
    chosen
}

fn curves(case: &CaseState, everything: bool, look: Look) -> Vec<String> {
    let metrics = metrics(case, everything);
    let widest =
        metrics.iter().map(|(name, _)| console::measure_text_width(&log_line(name))).max().unwrap_or(0);
    metrics.into_iter().map(|(name, series)| metric(name, widest.min(NAME), series, look)).collect()
}

fn metric(name: &str, width: usize, series: &Series, look: Look) -> String {
    let name =
        console::pad_str(&summary::fit_end(&log_line(name), width), width, console::Alignment::Left, None)
            .into_owned();
    let curve = sparkline(series.points(), CURVE);
    let odd =
        if series.non_finite > 0 { format!(", {} not finite", series.non_finite) } else { String::new() };
    if series.count < 2 {
        return indented(&format!("{name}  {}", figure(series.last)));
    }
    let curve = console::pad_str(&curve, CURVE, console::Alignment::Left, None).into_owned();
    let ends = format!("{} → {}", figure(series.first), figure(series.last));
    let values = usize::try_from(series.count).unwrap_or(usize::MAX);
    let values = look.dim(&format!("{}{odd}", count(values, "value")));
    indented(&format!("{name}  {}  {ends}  {values}", look.curve(&curve)))
}

/// How many held; each of them, where everything is asked for. Those that broke are among the notes.
fn checks(case: &CaseState, everything: bool) -> Vec<String> {
    if everything {
        let held = case.findings.iter().filter(|finding| finding.verdict != Verdict::Broke);
        return held.map(summary::finding).collect();
    }
    let of = |verdict: Verdict| case.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let told = [(Verdict::Held, "held"), (Verdict::Broke, "broke"), (Verdict::Skipped, "skipped")];
    let told = told.into_iter().filter(|(verdict, _)| of(*verdict) > 0);
    let told = told.map(|(verdict, word)| format!("{} {word}", of(verdict))).collect::<Vec<_>>();
    if told.is_empty() { Vec::new() } else { vec![format!("checks: {}", told.join(", "))] }
}

fn facts(case: &CaseState) -> Vec<String> {
    let line = |(name, value): (&String, &String)| format!("{}: {}", log_line(name), log_line(value));
    case.device.iter().chain(&case.facts).map(line).collect()
}

/// A bar for each phase, one after another: where the time until the first event went.
fn start_up(bill: &receipt::Bill, look: Look) -> Vec<String> {
    let whole = bill.start_up.values().sum::<f64>();
    let mut before = 0.0;
    let mut lines = Vec::new();
    for (phase, seconds) in &bill.start_up {
        let begin = cells(before, whole);
        before += seconds;
        let length = cells(before, whole).saturating_sub(begin).max(1);
        let bar = format!("{}{}", " ".repeat(begin.min(BAR - 1)), "█".repeat(length.min(BAR)));
        let bar = console::pad_str(&bar, BAR, console::Alignment::Left, Some("")).into_owned();
        let name =
            console::pad_str(receipt::phase_name(*phase), 12, console::Alignment::Left, None).into_owned();
        lines.push(indented(&format!("{name}{}  {}", look.curve(&bar), figures::seconds(*seconds))));
    }
    lines
}

/// A length in columns.
fn cells(part: f64, whole: f64) -> usize {
    let share = if whole > 0.0 { part / whole } else { 0.0 };
    (1..=BAR).take_while(|column| *column as f64 <= share * BAR as f64 + 0.5).count()
}

fn indented(line: &str) -> String {
    format!("    {line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_essence_of_a_run_fits_a_terminal() {
        let look = Look { colour: false, width: Some(100) };
        let text = show(&sample::state(&sample::every_outcome()), &Shown::default(), look);
        // The count of outcomes is never cut.
        for line in text.lines().skip(2) {
            assert!(console::measure_text_width(line) <= 100, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_case_can_be_looked_at_whole() {
        let glob = globset::Glob::new("unet*").unwrap().compile_matcher();
        let shown = Shown { cases: vec![glob], everything: true };
        insta::assert_snapshot!(show(&sample::state(&sample::every_outcome()), &shown, Look::PLAIN));
    }

    #[test]
    fn a_hostile_node_steers_no_terminal() {
        let shown = Shown { cases: Vec::new(), everything: true };
        let text = show(&sample::state(&sample::hostile()), &shown, Look::PLAIN);
        assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
    }
}
