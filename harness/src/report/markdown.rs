//! `report.md`: a page about a run in GitHub's Markdown: the verdict, a row a case, what did not hold, curves, the receipt.

use std::fmt::Write as _;
use std::path::Path;

use gpu_suites::exit::Exit;

use crate::report::RunState;
use crate::report::case::CaseState;
use crate::report::look::Look;
use crate::report::series::Series;
use crate::report::standing::Standing;
use crate::report::{Report, ReportError, summary, terminal};
use crate::text::clean::log_line;
use crate::text::figures::{self, figure};

/// Rows of the table; a page with more is read by nobody.
const ROWS: usize = 500;
/// Cases of which the details are shown.
const DETAILS: usize = 50;
/// Curves that are drawn, and points of each.
const CURVES: usize = 6;
const POINTS: usize = 40;

pub fn page(state: &RunState, exit: Exit) -> String {
    let mut page = String::new();
    let verdict = if exit == Exit::AllPassed { "✅" } else { "❌" };
    let _ = writeln!(page, "## {verdict} gpu-harness: {}\n", escaped(&summary::tally(state, Look::PLAIN)));
    let _ = writeln!(page, "{}\n", escaped(&summary::heading(state, Look::PLAIN)));
    if exit != Exit::AllPassed {
        let _ = writeln!(page, "Exit code {}: {}.\n", exit.code(), summary::meaning(exit));
    }
    table(&mut page, state);
    details(&mut page, state);
    curves(&mut page, state);
    receipt(&mut page, state);
    let _ = writeln!(page, "\n`report.html` in the run's folder has every curve, picture and log.");
    page
}

pub struct Markdown;

impl Report for Markdown {
    fn name(&self) -> &'static str {
        "report.md"
    }

    fn about(&self) -> &'static str {
        "for a page of a CI service, a merge request or a wiki: GitHub's Markdown, with the curves of the loss"
    }

    fn content(&self, state: &RunState, _: &Path) -> Result<Vec<u8>, ReportError> {
        Ok(page(state, state.exit()).into_bytes())
    }
}

fn table(page: &mut String, state: &RunState) {
    let _ = writeln!(page, "| outcome | case | time | loss | metric |\n| --- | --- | ---: | --- | --- |");
    for case in state.cases().iter().take(ROWS) {
        let ending = state.ending(case);
        let took = if case.attempt == 0 { String::new() } else { figures::seconds(ending.seconds) };
        let loss = case.loss().map(summary::loss).unwrap_or_default();
        let metric =
            case.headline().map(|(name, series)| format!("{} {}", log_line(name), figure(series.last)));
        let cells = [&log_line(case.id().as_str()), &took, &loss, &metric.unwrap_or_default()];
        let cells = cells.map(|cell| escaped(cell)).join(" | ");
        let _ = writeln!(page, "| {} {} | {cells} |", ending.sign(), ending.word());
    }
    if state.cases().len() > ROWS {
        let _ = writeln!(page, "\nand {} more", figures::count(state.cases().len() - ROWS, "case"));
    }
}

/// What did not hold, folded; the log's last lines under it.
fn details(page: &mut String, state: &RunState) {
    let is_plain =
        |case: &CaseState| matches!(state.ending(case).standing, Standing::Passed | Standing::Skipped);
    let bad = state.cases().iter().filter(|case| !is_plain(case));
    for case in bad.take(DETAILS) {
        let ending = state.ending(case);
        let mut lines = Vec::new();
        lines.extend(ending.reason.as_deref().map(log_line));
        lines.extend(summary::notes(case, ending.outcome, Look::PLAIN));
        let log = terminal::tail(case);
        if !log.is_empty() {
            lines.push(String::new());
            lines.push("the last lines of its log:".to_owned());
            lines.extend(log.into_iter().map(|line| format!("  {line}")));
        }
        let title = escaped(&log_line(case.id().as_str()));
        let _ = writeln!(page, "\n<details><summary>{} <b>{title}</b></summary>\n", ending.word());
        block(page, &lines);
        let _ = writeln!(page, "\n</details>");
    }
}

/// Curves of the loss, by GitHub's own Mermaid.
fn curves(page: &mut String, state: &RunState) {
    let drawn = state.cases().iter().filter_map(|case| Some((case, case.loss()?)));
    for (case, loss) in drawn.filter(|(_, loss)| loss.points().len() > 2).take(CURVES) {
        let _ = writeln!(page, "\n```mermaid\n{}```", chart(case, loss));
    }
}

fn chart(case: &CaseState, series: &Series) -> String {
    let points = series.points();
    let every = points.len().div_ceil(POINTS);
    let values = Vec::from_iter(points.iter().step_by(every).map(|(_, value)| format!("{value:e}")));
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    // An axis needs some height.
    let top = if series.max > series.min { series.max } else { series.min + 1.0 };
    format!(
        "xychart-beta\n  title \"loss of {}\"\n  x-axis \"step\" {first} --> {last}\n  y-axis \"loss\" {:e} --> {top:e}\n  line [{}]\n",
        plain(case.id().as_str()),
        series.min.min(0.0),
        values.join(", ")
    )
}

fn receipt(page: &mut String, state: &RunState) {
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    let lines = state.receipt.lines(run, Look::PLAIN);
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(
        page,
        "\n<details><summary>what was launched, whether it is gone, and what it cost</summary>\n"
    );
    block(page, &lines);
    let _ = writeln!(page, "\n</details>");
}

/// Lines as they are. Not a fence, which a line of backticks could end.
fn block(page: &mut String, lines: &[String]) {
    page.push_str("<pre>");
    for line in lines {
        page.push_str(&escaped(line));
        // An empty line would end the element: what follows would be Markdown.
        page.push_str(if line.is_empty() { "&#10;" } else { "\n" });
    }
    page.push_str("</pre>\n");
}

/// Text that is nothing but text, in Markdown and in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(
            char,
            '&' | '<'
                | '>'
                | '"'
                | '\''
                | '|'
                | '`'
                | '*'
                | '_'
                | '['
                | ']'
                | '#'
                | '~'
                | '\\'
                | '$'
                | '@'
                | '!'
                | ':'
        ) {
            let _ = write!(safe, "&#{};", u32::from(char));
        } else {
            safe.push(char);
        }
    }
    safe
}

/// A name of which nothing can be syntax.
fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_ascii_alphanumeric() || "-_.: ".contains(char) { char } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_has_a_row_a_case_and_says_what_did_not_hold() {
        let state = sample::state(&sample::every_outcome());
        insta::assert_snapshot!(page(&state, state.exit()));
    }

    #[test]
    fn nothing_that_a_node_says_is_markup() {
        let state = sample::state(&sample::hostile());
        let page = page(&state, state.exit());
        let ours = ["details", "/details", "summary", "/summary", "b", "/b", "pre", "/pre"];
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            assert!(ours.iter().any(|known| tag.starts_with(known)), "<{tag}>");
        }
        assert!(!page.contains("](") && !page.contains("!["), "{page}");
    }

    #[test]
    fn a_chart_is_drawn_of_a_curve_and_not_of_a_point() {
        let page = page(&sample::state(&sample::every_outcome()), Exit::CheckFailed);
        assert!(page.contains("xychart-beta"), "{page}");
        let line = page.lines().find(|line| line.trim_start().starts_with("line [")).unwrap();
        assert!(line.split(',').count() <= POINTS + 1, "{line}");
        assert!(!line.contains("NaN") && !line.contains("inf"), "{line}");
    }
}
