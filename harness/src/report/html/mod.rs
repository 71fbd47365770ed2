//! `report.html`: one file that shows a run in a browser. Made from the run's state and the files that its cases made.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`view`] | what stands on the page, and how much of it? |
//! | `verdict` | how did it end, at a glance? |
//! | `case` | what is there to see of one case? |
//! | `plot`, `gpu`, `stages` | which curves are drawn? |
//! | `picture`, `record` | what is taken from the files of a case? |
//! | `way` | where did the time go? |
//! | `budget` | how much may it all take? |

mod budget;
mod case;
mod gpu;
mod picture;
mod plot;
mod record;
mod stages;
mod verdict;
mod view;
mod way;

use std::path::Path;

use super::{ReportError, RunState, write_atomic};
use crate::page::{Kind, PageError};

const PAGE: Kind = Kind { template: include_str!("report.html"), script: include_str!("report.js") };

/// The page.
pub fn html(state: &RunState, run_dir: &Path) -> Result<String, PageError> {
    let (view, data) = view::of(state, run_dir);
    PAGE.page(&view, &data)
}

/// Writes `report.html`.
pub fn write(state: &RunState, run_dir: &Path) -> Result<(), ReportError> {
    let path = run_dir.join("report.html");
    let page = html(state, run_dir)?;
    write_atomic(&path, page.as_bytes()).map_err(|source| ReportError::new(&path, source))
}

#[cfg(test)]
mod tests;
