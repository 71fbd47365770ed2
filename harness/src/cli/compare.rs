//! `gpu-harness compare`.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use gpu_suites::event::Record;
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use tokio::runtime::Runtime;

use super::failure::Failure;
use super::{Bounds, Choice, is_live, runtime, say};
use crate::cloud::search::Search as OneNode;
use crate::compare::bisect::{self, Culprit, Search, Tested};
use crate::compare::version::{VersionError, resolve};
use crate::compare::{Compared, Ready, Version, words};
use crate::here::Here;
use crate::history::judge::Judge;
use crate::node::NodeSpec;
use crate::report::look::Look;
use crate::report::terminal::{self, Verbosity};
use crate::report::{Reporter, RunState, write_atomic};
use crate::run::{OfSearch, RunContext, RunError, RunOptions};
use crate::text::clean::log_line;

/// The comparison's file in the run's folder.
const FILE: &str = "comparison.json";

/// Flags of `compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The base, and the head, is one of:
  REV       a revision of the git repository; its suites, models and other files are had from it, not from the working tree
  RUN_DIR   the folder of an earlier run: the commit that it was of
  FILE      (the base only) the head with this file in place of its input of the same name, e.g. another build or model

Examples:
  gpu-harness compare --base origin/main --node gpu
  gpu-harness compare --base v1.2 --case 'rate*' --prepare 'python export_model.py'
  gpu-harness compare --base old/model.pt suites/throughput.yaml
  gpu-harness compare --base v1.2 --bisect --node gpu

Exit codes: 0 nothing became worse, 1 a figure became worse or a case of the head fails, else as of `run`.")]
pub(super) struct Compare {
    #[command(flatten)]
    choice: Choice,
    /// What to compare with
    #[arg(long, value_name = "REV|RUN_DIR|FILE")]
    base: String,
    /// What to compare [default: the working tree]
    #[arg(long, value_name = "REV|RUN_DIR")]
    head: Option<String>,
    /// Runs of each version
    #[arg(long, value_name = "N", default_value_t = gpu_suites::regression::pairs::LEAST)]
    pairs: usize,
    /// Run this in the files of each commit first, e.g. to export its model
    #[arg(long, value_name = "COMMAND")]
    prepare: Option<String>,
    /// Find the commit between base and head that made the worst figure worse
    #[arg(long)]
    bisect: bool,
    #[command(flatten)]
    bounds: Bounds,
}

/// What all comparisons of a command share.
struct Shared {
    asked: RunOptions,
    pairs: usize,
    here: Here,
    cwd: PathBuf,
    judge: Judge,
    runtime: Runtime,
    look: Look,
}

impl Compare {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let here = super::here()?;
        let cwd = here.folder.clone();
        let judge = Judge::of(&super::project()?)?;
        let Self { choice, base, head, pairs, prepare, bisect, bounds } = self;
        let asked = choice.within(bounds);
        let colour = io::stdout().is_terminal() && console::colors_enabled();
        let look = Look { colour, width: None };
        let shared = Shared { asked, pairs, judge, runtime: runtime()?, look, here, cwd };
        let version = |text: &str| Version::find(text, &shared.cwd, prepare.as_deref());
        let exit = if bisect {
            let ends =
                [base.as_str(), head.as_deref().unwrap_or("HEAD")].map(|end| resolve(end, &shared.cwd));
            let [base, head] = ends;
            shared.bisect(&base?, &head?, prepare.as_deref())
        } else {
            let head = head.as_deref().map_or(Ok(Version::Working), &version)?;
            if matches!(head, Version::File(_)) {
                return Err(Failure::usage("--head: a file is for --base alone"));
            }
            shared.compare((&version(&base)?, &head), &shared.asked.cases, None).map(|(_, exit)| exit)
        };
        // A thread that still waits for a dead connection must not keep the process.
        shared.runtime.shutdown_background();
        exit
    }
}

impl Shared {
    /// Runs both versions in turn, and prints and keeps what came of it.
    fn compare(
        &self,
        (base, head): (&Version, &Version),
        cases: &[String],
        search: Option<OfSearch>,
    ) -> Result<(Compared, Exit), Failure> {
        let ready = Ready::read((base, head), &self.asked.suites, cases, self.pairs, &self.cwd)
            .map_err(RunError::from)?;
        let reporter =
            Box::new(TroubleOnly(terminal::reporter(is_live(&self.here), Verbosity::Quiet, &self.here.env)));
        let asked = RunOptions { search, ..self.asked.clone() };
        let context = RunContext::new(self.here.clone(), reporter);
        let ran = self.runtime.block_on(crate::run::compare(context, asked, &ready));
        let (state, run_dir) = ran?;
        let cases = Vec::from_iter(ready.head().cases().into_iter().map(|case| case.id));
        let compared = Compared::of(&state, (base.name(), head.name()), &cases, &self.judge);
        keep(&compared, &run_dir)?;
        let run = format!("run: {}\n", run_dir.display());
        say(&(words::text(&compared, self.look) + &self.look.dim(&run)));
        let exit = compared.exit(state.exit());
        Ok((compared, exit))
    }

    /// Finds the commit after `base`, up to `head`, that did it, on one node.
    fn bisect(&self, base: &str, head: &str, prepare: Option<&str>) -> Result<Exit, Failure> {
        let node = NodeSpec::choose(self.asked.node.as_deref(), &super::project()?)?;
        let held = OneNode::begin(&node, self.cwd.clone(), &self.here.env);
        let mut held =
            held.map_err(|error| Failure::of_this_machine("keep one node for the search", &error))?;
        let exit = self.halves(base, head, prepare, &mut held);
        for said in self.runtime.block_on(async {
            match held {
                Some(held) => held.close().await,
                None => Vec::new(),
            }
        }) {
            say(&format!("{}\n", log_line(&said)));
        }
        exit
    }

    fn halves(
        &self,
        base: &str,
        head: &str,
        prepare: Option<&str>,
        held: &mut Option<OneNode>,
    ) -> Result<Exit, Failure> {
        let at = |commit: &str| Version::find(commit, &self.cwd, prepare);
        let before = at(base)?;
        let commits = bisect::commits(base, head, &self.cwd)?;
        let steps = u32::try_from(commits.len()).unwrap_or(u32::MAX).max(1).ilog2() + 1;
        let (compared, exit) =
            self.compare((&before, &at(head)?), &self.asked.cases, Some(self.of_search(1 + steps)))?;
        let worsening = |ratio: f64| ratio.ln().abs();
        let worst = compared
            .worse()
            .filter_map(|(case, metric)| Some((case.clone(), metric.metric.clone(), metric.ratio?)))
            .max_by(|one, other| worsening(one.2.ratio).total_cmp(&worsening(other.2.ratio)));
        let Some((case, metric, ratio)) = worst else {
            say("nothing became worse, so there is no commit to find\n");
            return Ok(exit);
        };
        let mut search = Search::new(commits, ratio).ok_or_else(|| {
            Failure::usage(format_args!(
                "{head} does not come after {base}, so there are no commits between them to search"
            ))
        })?;
        while let Some(commit) = search.next().map(str::to_owned) {
            let left = search.steps_left();
            let line = log_line(&bisect::line(&commit, &self.cwd));
            say(&format!("\nstep: {line} ({left} more at most)\n"));
            if left <= 1 {
                held.iter_mut().for_each(OneNode::last);
            }
            let step = Step { base: &before, commit: &commit, prepare, runs: left };
            let tested = self.test(&step, &case, &metric)?;
            let said = match (tested, search.take(tested)) {
                (Tested::Measured(ratio), Some(true)) => format!("bad: {metric} {}", words::interval(&ratio)),
                (Tested::Measured(ratio), _) => format!("good: {metric} {}", words::interval(&ratio)),
                (Tested::Untestable, _) => format!("left out: it has no {metric}"),
            };
            say(&(said + "\n"));
        }
        let found = match search.culprit() {
            Culprit::Commit(commit) => vec![commit],
            Culprit::OneOf(commits) => commits,
        };
        let which =
            if found.len() == 1 { "the first bad commit" } else { "one of these is the first bad commit" };
        let line = |commit: &String| format!("  {}", log_line(&bisect::line(commit, &self.cwd)));
        let lines = Vec::from_iter(found.iter().map(line));
        say(&format!(
            "\n{case}, {metric}: {} from {base} to {head}; {which}:\n{}\n",
            words::interval(&ratio),
            lines.join("\n")
        ));
        Ok(Exit::CheckFailed)
    }

    /// One step of a search.
    fn test(&self, step: &Step<'_>, case: &CaseId, metric: &str) -> Result<Tested, Failure> {
        let Step { base, commit, prepare, runs } = *step;
        let version = match Version::find(commit, &self.cwd, prepare) {
            Ok(version) => version,
            Err(error @ VersionError::Prepare { .. }) => {
                say(&format!("{error}\n"));
                return Ok(Tested::Untestable);
            }
            Err(error) => return Err(error.into()),
        };
        let search = Some(self.of_search(runs));
        let (compared, exit) = match self.compare((base, &version), &[case.to_string()], search) {
            Ok(ended) => ended,
            // Such a commit has mistakes of its own, or no such case.
            Err(failure) if failure.exit == Exit::Usage => {
                say(&format!("{}\n", failure.text()));
                return Ok(Tested::Untestable);
            }
            Err(failure) => return Err(failure),
        };
        if exit == Exit::Interrupted {
            return Err(Failure::interrupted("interrupted; the steps so far are printed above"));
        }
        let mut metrics = compared.cases.iter().flat_map(|case| &case.metrics);
        let ratio = metrics.find(|one| one.metric == metric).and_then(|metric| metric.ratio);
        Ok(ratio.map_or(Tested::Untestable, Tested::Measured))
    }
}

/// One step of a search.
#[derive(Clone, Copy)]
struct Step<'a> {
    base: &'a Version,
    commit: &'a str,
    prepare: Option<&'a str>,
    /// How many are left at most, this one among them.
    runs: u32,
}

impl Shared {
    fn of_search(&self, runs: u32) -> OfSearch {
        OfSearch { root: self.cwd.clone(), runs }
    }
}

/// The comparison is what is shown at the end; the run's own summary is where something went wrong.
struct TroubleOnly(Box<dyn Reporter>);

impl Reporter for TroubleOnly {
    fn event(&mut self, record: &Record, state: &RunState) {
        self.0.event(record, state);
    }

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        if exit != Exit::AllPassed {
            self.0.finish(state, run_dir, exit);
        }
    }
}

fn keep(compared: &Compared, run_dir: &Path) -> Result<(), Failure> {
    let path = run_dir.join(FILE);
    let text = super::json(compared) + "\n";
    write_atomic(&path, text.as_bytes()).map_err(|error| Failure::write(&path, &error))
}
