//! `gpu-harness history`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Subcommand;
use gpu_suites::exit::Exit;

use super::failure::Failure;
use crate::config::Config;
use crate::config::Location;
use crate::history::judge::Judge;
use crate::history::{self, History, Put, Store, show};
use crate::plan;
use crate::report::look::Look;
use crate::text::streams::say;

/// Flags of `history`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  gpu-harness run --history history/                    adds the run, and judges it by the runs before
  gpu-harness history --history history/                every series, with the verdict on its last value
  gpu-harness history '*items_per_second' --json        some metrics, as JSON
  gpu-harness history --html trend/                     the same as a page for a browser, with bands and changes
  gpu-harness history --sql 'SELECT device, median(value) FROM history WHERE healthy GROUP BY device'
  gpu-harness history add gpu-harness-runs/20261122-214503-7f3a9c01 --history history/"
)]
pub(super) struct HistoryVerb {
    #[command(subcommand)]
    deed: Option<Action>,
    /// Only series whose suite, case, `suite::case` or metric matches this glob
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Write a page with every series over time into this folder: index.html, which opens anywhere, and trend.json
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// Ask the table `history` in SQL, by the program `duckdb` (see docs/history.md for its columns)
    #[arg(long, value_name = "SQL", conflicts_with = "query")]
    sql: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add runs that were made without --history
    Add {
        /// Folders of runs that have ended
        #[arg(value_name = "RUN_DIR", required = true)]
        run_dirs: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Where the history lies: a folder, or `s3://BUCKET/PREFIX` [default: `history:` of gpu-harness.yaml]
    #[arg(long, value_name = "PLACE")]
    history: Option<Location>,
}

impl Place {
    fn find(self, config: &Config) -> Result<Location, Failure> {
        let place = self.history.or_else(|| config.history.clone());
        place.ok_or_else(|| {
            Failure::usage("no history is named: give --history PLACE, or set `history:` in gpu-harness.yaml")
        })
    }
}

impl HistoryVerb {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let config = super::project()?;
        if let Some(Action::Add { run_dirs, place }) = self.deed {
            let store = Store::at(&place.find(&config)?)?;
            for run_dir in run_dirs {
                match history::add(&run_dir, &store)? {
                    Put::Added => say(&format!("added {}\n", run_dir.display())),
                    Put::WasThere => say(&format!("{} is in the history already\n", run_dir.display())),
                }
            }
            return Ok(Exit::AllPassed);
        }
        let place = self.place.find(&config)?;
        let history = History::read(&Store::at(&place)?)?;
        if history.runs == 0 && history.skipped.is_empty() {
            return Err(Failure::usage(format_args!(
                "no run is in the history in {place}; `gpu-harness run --history {place}` begins one"
            )));
        }
        if let Some(query) = &self.sql {
            warn_of_skipped(&history);
            history::sql::ask(&history, query, self.json, &super::here()?.env)?;
            return Ok(Exit::AllPassed);
        }
        let query = plan::globs(&Vec::from_iter(self.query))?.pop();
        let judge = Judge::of(&config)?;
        let entries = show::entries(&history, query.as_ref(), &judge);
        let text = if let Some(folder) = self.html {
            let page = history::html::write(&folder, &place, &history, &entries, &judge)?;
            format!("wrote {}\n", page.display())
        } else if self.json {
            warn_of_skipped(&history);
            super::json(&entries) + "\n"
        } else {
            let width = io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
            show::text(&history, &entries, Look { colour: console::colors_enabled(), width })
        };
        say(&text);
        Ok(Exit::AllPassed)
    }
}

fn warn_of_skipped(history: &History) {
    for skipped in &history.skipped {
        crate::text::streams::tell(&format!(
            "gpu-harness: warning: {} was left out: {}",
            skipped.name, skipped.why
        ));
    }
}
