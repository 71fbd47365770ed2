//! What a person sees of a run: a live view on a terminal, plain lines in a log.
//!
//! Every text of the node goes through [`crate::text::clean`] before it is printed, but for what a command prints whose output
//! another program reads.

mod line;
mod live;
mod log_lines;
mod plain;
mod screen;
mod through;

use std::io::{self, Write};
use std::path::Path;

use gpu_suites::exit::Exit;

use super::look::Look;
use super::{Reporter, RunState, summary};
use crate::here::Env;
use crate::text::streams::Stdout;

pub use live::Live;
pub use plain::{Plain, tail};
pub use through::Through;

/// Lines of log that are shown of a case that is not good.
const TAIL_LINES: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What is wrong, and the summary.
    Quiet,
    Normal,
    /// Every log line and every check too.
    Verbose,
}

/// The reporter for standard output: `live` where that is a terminal that can move its cursor.
pub fn reporter(live: bool, verbosity: Verbosity, env: &Env) -> Box<dyn Reporter> {
    if live && verbosity > Verbosity::Quiet {
        return Box::new(Live::on_stdout(verbosity));
    }
    let grouping = env.get("GITHUB_ACTIONS").is_some();
    Box::new(Plain::new(Stdout, verbosity, grouping))
}

/// The summary, where the files are, and what the exit code means.
fn write_end(
    out: &mut dyn Write,
    state: &RunState,
    run_dir: &Path,
    exit: Exit,
    look: Look,
) -> io::Result<()> {
    let path = |name: &str| crate::text::clean::text(&run_dir.join(name).to_string_lossy()).into_owned();
    writeln!(out, "\n{}", summary::summary(state, look))?;
    writeln!(out, "{} {}", look.dim("report:"), path("report.html"))?;
    writeln!(out, "{}  {}", look.dim("junit:"), path("junit.xml"))?;
    writeln!(out, "{}    {}", look.dim("run:"), path(""))?;
    let meaning = format!("exit {}: {}", exit.code(), summary::meaning(exit));
    let meaning = if exit == Exit::AllPassed { look.good(&meaning) } else { look.bad(&meaning) };
    writeln!(out, "{meaning}")?;
    out.flush()
}
