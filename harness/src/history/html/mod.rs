//! The trend page: each metric of the history over time, with its band, what changed when, and what to look at first.
//!
//! | module | question it answers |
//! | --- | --- |
//! | `status` | how does a series stand? |
//! | `series` | what is drawn of it, and what is said? |

mod series;
mod status;

use std::io;
use std::path::{Path, PathBuf};

use gpu_suites::exit::Exit;
use serde::Serialize;

use self::series::{Data, Shown};
use self::status::Status;
use super::show::Entry;
use super::{History, judge::Judge};
use crate::config::Location;
use crate::page::{Kind, PageError};
use crate::report::write_atomic;
use crate::text::Explain;
use crate::text::figures::count;

const PAGE: Kind = Kind { template: include_str!("trend.html"), script: include_str!("trend.js") };

/// Series on one page; a query asks for others.
const SERIES: usize = 1_500;
/// Values on one page.
const VALUES: usize = 120_000;
/// Values of one series, at most.
const OF_SERIES: usize = 400;

#[derive(Debug, thiserror::Error)]
pub enum TrendError {
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Explain for TrendError {
    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

#[derive(Debug, Serialize)]
struct View<'a> {
    place: String,
    tone: &'static str,
    sign: &'static str,
    word: String,
    runs: usize,
    since: String,
    until: String,
    counts: Vec<Count>,
    suites: Vec<&'a str>,
    series: Vec<Shown<'a>>,
    left_out: usize,
    skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Count {
    status: Status,
    word: &'static str,
    tone: &'static str,
    number: usize,
}

/// Writes `index.html` and `trend.json` into the folder; gives the page's path.
pub fn write(
    folder: &Path,
    place: &Location,
    history: &History,
    entries: &[Entry],
    judge: &Judge,
) -> Result<PathBuf, TrendError> {
    let written = |path: &Path, text: &str| {
        write_atomic(path, text.as_bytes()).map_err(|source| TrendError::Write { path: path.into(), source })
    };
    let page = folder.join("index.html");
    let json = serde_json::to_string(entries).unwrap_or_default() + "\n";
    written(&folder.join("trend.json"), &json)?;
    written(&page, &html(place, history, entries, judge)?)?;
    Ok(page)
}

pub fn html(
    place: &Location,
    history: &History,
    entries: &[Entry],
    judge: &Judge,
) -> Result<String, PageError> {
    let most = (VALUES / entries.len().max(1)).clamp(30, OF_SERIES);
    let mut data = Data::default();
    // Entries are sorted: those of one metric of one case, measured on different things, stand together.
    let kin = entries.chunk_by(|one, other| one.case == other.case && one.metric == other.metric);
    let all = kin.flat_map(|kin| kin.iter().map(move |entry| (status::of(entry, kin), entry, kin)));
    let mut shown = Vec::from_iter(all);
    shown.sort_by_key(|(status, ..)| *status);
    let mut counts = Vec::<Count>::new();
    for (status, ..) in &shown {
        match counts.last_mut().filter(|count| count.status == *status) {
            Some(count) => count.number += 1,
            None => {
                counts.push(Count { status: *status, word: status.word(), tone: status.tone(), number: 1 });
            }
        }
    }
    let left_out = shown.len().saturating_sub(SERIES);
    shown.truncate(SERIES);
    let series = shown.iter().enumerate().map(|(number, (status, entry, kin))| {
        series::of(number, *status, entry, kin, judge, most, &mut data)
    });
    let series = Vec::from_iter(series);
    let Headline { tone, sign, word } = Headline::of(&counts);
    let mut suites = Vec::from_iter(entries.iter().map(|entry| entry.case.suite()));
    suites.sort_unstable();
    suites.dedup();
    let day = |line: Option<&super::Line>| line.map(|line| line.at.strftime("%Y-%m-%d").to_string());
    let view = View {
        place: place.to_string(),
        tone,
        sign,
        word,
        runs: history.runs,
        since: day(history.lines.first()).unwrap_or_default(),
        until: day(history.lines.last()).unwrap_or_default(),
        counts,
        suites,
        series,
        left_out,
        skipped: history
            .skipped
            .iter()
            .map(|one| format!("{} was left out: {}", one.name, one.why))
            .collect(),
    };
    PAGE.page(&view, &data)
}

/// What stands over the page.
struct Headline {
    tone: &'static str,
    sign: &'static str,
    word: String,
}

impl Headline {
    /// The most important thing first.
    fn of(counts: &[Count]) -> Self {
        let of = |status: Status| {
            counts.iter().filter(|count| count.status == status).map(|count| count.number).sum::<usize>()
        };
        let metrics = |number| count(number, "metric");
        if of(Status::Regressed) > 0 {
            let word = format!("{} regressed", metrics(of(Status::Regressed)));
            return Self { tone: "bad", sign: "✗", word };
        }
        let looked_at = [Status::Suspected, Status::NoNumber, Status::Drifting];
        let number = looked_at.into_iter().map(of).sum::<usize>();
        if number > 0 {
            return Self { tone: "odd", sign: "!", word: format!("{} to look at", metrics(number)) };
        }
        if of(Status::Fine) + of(Status::Improved) == 0 {
            return Self { tone: "odd", sign: "?", word: "Not enough nights to tell".to_owned() };
        }
        Self { tone: "good", sign: "✓", word: "Nothing regressed".to_owned() }
    }
}

#[cfg(test)]
mod tests;
