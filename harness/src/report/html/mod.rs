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
use std::time::Duration;

use super::{Report, ReportError, RunState};
use crate::page::{Kind, PageError};

const PAGE: Kind = Kind { template: include_str!("report.html"), script: include_str!("report.js") };

pub fn html(state: &RunState, run_dir: &Path) -> Result<String, PageError> {
    let (view, data) = view::of(state, run_dir);
    PAGE.page(&view, &data)
}

pub struct Page;

impl Report for Page {
    fn name(&self) -> &'static str {
        "report.html"
    }

    fn about(&self) -> &'static str {
        "for a browser: one file with curves, pictures and logs, which opens anywhere"
    }

    /// It is large, and for people: of a run that goes on it may be a little behind.
    fn pause(&self) -> Option<Duration> {
        Some(Duration::from_secs(15))
    }

    fn content(&self, state: &RunState, run_dir: &Path) -> Result<Vec<u8>, ReportError> {
        Ok(html(state, run_dir)?.into_bytes())
    }
}

#[cfg(test)]
mod tests;
