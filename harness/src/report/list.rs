//! The reports of a run: each is a file in its folder, made of its events alone. A new one is a file beside this one, and a
//! line in [`REPORTS`].

use std::path::Path;
use std::time::Duration;

use super::{ReportError, RunState, html, junit, markdown, receipt, summary, write_atomic};

/// A file in a run's folder that is made of its events.
pub trait Report: Sync {
    fn name(&self) -> &'static str;

    /// Whom it is for, in a few words.
    fn about(&self) -> &'static str;

    /// How often it is written while the run goes on, at most; `None` where only its end makes one.
    fn pause(&self) -> Option<Duration> {
        None
    }

    /// Whether this run has one.
    fn is_wanted(&self, _: &RunState) -> bool {
        true
    }

    /// Its content. The run's folder has the files that its cases made.
    fn content(&self, state: &RunState, run_dir: &Path) -> Result<Vec<u8>, ReportError>;
}

/// Every report, in the order in which they are written: what other programs go by comes first.
pub static REPORTS: [&dyn Report; 5] =
    [&junit::JUnit, &receipt::ReceiptFile, &summary::Summary, &markdown::Markdown, &html::Page];

/// Writes a report, where the run has one.
pub fn write(report: &dyn Report, state: &RunState, run_dir: &Path) -> Result<(), ReportError> {
    if !report.is_wanted(state) {
        return Ok(());
    }
    let path = run_dir.join(report.name());
    let content = report.content(state, run_dir)?;
    write_atomic(&path, &content).map_err(|source| ReportError::new(&path, source))
}

/// Writes the JUnit report to another place.
pub fn write_junit(state: &RunState, run_dir: &Path, path: &Path) -> Result<(), ReportError> {
    write_atomic(path, &junit::xml(state, run_dir)).map_err(|source| ReportError::new(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_named_once_and_told_of_in_the_documentation() {
        let docs = include_str!("../../../docs/reports.md");
        let names = REPORTS.map(Report::name);
        for report in REPORTS {
            let (name, about) = (report.name(), report.about());
            assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name}");
            let row = format!("| `{name}` | {about} |");
            assert!(docs.contains(&row), "docs/reports.md has no such row: {row}");
        }
    }
}
