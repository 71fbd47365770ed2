//! One case as a test: run by the holder, its output shown, its outcome put into words.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gpu_suites::event::{Event, Record, Stream};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::outcome::{Blame, Outcome};
use gpu_suites::unit::Span;
use libtest_mimic::{Failed, Trial};

use super::command_line::Streams;
use super::test_node::TestNode;
use crate::ci::Service;
use crate::here::{Env, Here};
use crate::holder::IDLE;
use crate::holder::client::{Client, ClientError};
use crate::holder::wire::Verdict;
use crate::report;
use crate::report::excerpt::Excerpt;
use crate::text::clean;
use crate::text::{Explain as _, chain};

/// How long a node is kept that nobody uses.
const DEFAULT_IDLE: Duration = Duration::from_secs(5 * 60);
/// The longest reason that stands beside a name.
const SHORT: usize = 80;
/// The longest last line of a failure.
const LAST_LINE: usize = 2_000;
/// Which of the group's places a test has, as nextest numbers them.
const SLOT: &str = "NEXTEST_TEST_GROUP_SLOT";

/// What all tests of this process share.
pub(super) struct Trials {
    way: HolderKey,
    /// Made by the first that runs: a listing makes nothing.
    client: OnceLock<Result<Client, String>>,
    streams: Streams,
    env: Env,
}

/// What a way to the holder follows from.
struct HolderKey {
    holder: Option<PathBuf>,
    node: Option<String>,
    /// All that makes another node of it.
    settings: String,
    project: PathBuf,
    files: Vec<PathBuf>,
}

impl HolderKey {
    fn client(&self, env: &Env) -> Result<Client, String> {
        let (project, files) = (self.project.clone(), self.files.clone());
        match &self.holder {
            Some(socket) => Ok(Client::at(socket.clone(), project, files)),
            None => Client::of_this_run(self.node.clone(), &self.settings, project, files, idle(env), env)
                .map_err(|error| chain(&error)),
        }
    }
}

impl Trials {
    pub(super) fn new(
        place: &TestNode,
        project: &Path,
        files: Vec<PathBuf>,
        streams: Streams,
        env: Env,
    ) -> Self {
        let way = HolderKey {
            holder: place.holder.clone(),
            node: place.name.clone(),
            settings: format!("{:?}", place.node),
            project: project.to_owned(),
            files,
        };
        Self { way, client: OnceLock::new(), streams, env }
    }

    /// The test for a case. `ignored`: why it is not to be run, where that is shown beside its name.
    pub(super) fn trial(self: &Arc<Self>, id: CaseId, ignored: Option<String>) -> Trial {
        let (trials, case) = (Arc::clone(self), id.clone());
        let trial = Trial::test(id.0, move || trials.run(&case));
        match ignored {
            // What to do about it stands after a colon, and in the list.
            Some(reason) => {
                let short = reason.split(':').next().unwrap_or_default();
                trial.with_kind(clean::one_line(short, SHORT))
            }
            None => trial,
        }
    }

    /// Tells the CI service of a case that is not good. Who holds the node for a whole command does that at its end.
    fn tell(&self, case: &CaseId, verdict: &Verdict) {
        if self.way.holder.is_none()
            && let Ok(here) = Here::of_process()
            && let Some(service) = Service::of(&here.env)
            && let Ok(state) = report::read(&verdict.run_dir)
        {
            service.tell_case(&state, case, &here);
        }
    }

    fn run(&self, case: &CaseId) -> Result<(), Failed> {
        let mut log = Excerpt::default();
        let streams = self.streams;
        let ended = match self.client.get_or_init(|| self.way.client(&self.env)) {
            Ok(client) => client.run(case, slot(&self.env), |record| {
                show(record, streams, &mut log);
                ControlFlow::Continue(())
            }),
            Err(why) => Err(ClientError::Odd(why.clone())),
        };
        if let Ok(verdict) = &ended
            && verdict.outcome != Outcome::Passed
        {
            self.tell(case, verdict);
        }
        let (problem, run_dir) = match ended {
            Ok(Verdict { outcome: Outcome::Passed, .. }) => return Ok(()),
            Ok(verdict) => (in_words(&verdict), Some(verdict.run_dir)),
            Err(error) if error.exit() == Exit::Usage => (chain(&error), None),
            Err(error) => (infrastructure(&chain(&error)), None),
        };
        let mut told = if streams == Streams::OnFailure { log.text() } else { String::new() };
        if let Some(folder) = run_dir {
            let _ = writeln!(told, "what came of it is in {}", folder.display());
        }
        // Several lines, such as a diagnostic with its place, come before the one that a runner reports.
        let problem = clean::text(problem.trim()).into_owned();
        if problem.contains('\n') {
            told.push_str(&problem);
            told.push('\n');
        }
        let last = clean::one_line(&problem, LAST_LINE);
        // In one piece: other tests of this process write too.
        let _ = std::io::stderr().lock().write_all(format!("{told}Error: {last}\n").as_bytes());
        Err(last.into())
    }
}

/// Shows what the case writes.
fn show(record: &Record, streams: Streams, log: &mut Excerpt) {
    let Event::Log(event) = &record.event else { return };
    let text: String = event.text.split_inclusive('\n').map(shown).collect();
    match (streams, event.stream) {
        (Streams::OnFailure, _) => log.push(&text),
        (Streams::Live, Stream::Stdout) => {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
        (Streams::Live, Stream::Stderr) => {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }
}

/// A line as no terminal and no CI system takes it for more than text.
fn shown(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => clean::log_line(line) + "\n",
        None => clean::log_line(line),
    }
}

/// Anything but a pass is a failure of the test; the words say which.
fn in_words(verdict: &Verdict) -> String {
    let reason = verdict.reason.as_deref().unwrap_or("it says no reason");
    match verdict.outcome.blame() {
        Blame::Nobody if verdict.outcome == Outcome::Skipped => {
            format!("not run, since its suite leaves it out: {reason}")
        }
        Blame::Nobody | Blame::Code => reason.to_owned(),
        Blame::Limit | Blame::User => format!("{}: {reason}", verdict.outcome),
        Blame::Infrastructure => infrastructure(reason),
    }
}

fn infrastructure(reason: &str) -> String {
    format!("infrastructure, not the code under test: {reason}")
}

fn slot(env: &Env) -> Option<u32> {
    env.get(SLOT)?.parse().ok()
}

fn idle(env: &Env) -> Duration {
    let set = env.get(IDLE).and_then(|text| text.parse::<Span>().ok());
    set.map_or(DEFAULT_IDLE, |span| span.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_infrastructure_says_so_and_nothing_but_a_pass_passes() {
        for (outcome, said) in [
            (Outcome::Failed, "why"),
            (Outcome::Errored, "infrastructure, not the code under test: why"),
            (Outcome::Interrupted, "infrastructure, not the code under test: why"),
            (Outcome::TimedOut, "timed out: why"),
            (Outcome::Skipped, "not run, since its suite leaves it out: why"),
            (Outcome::Cancelled, "cancelled: why"),
        ] {
            let verdict = Verdict { outcome, reason: Some("why".into()), run_dir: "/r".into() };
            assert_eq!(in_words(&verdict), said);
        }
    }
}
