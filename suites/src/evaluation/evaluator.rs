//! Judges the checks of one case while it runs.

use std::collections::BTreeMap;

use crate::checks::observations::{Observations, Sample};
use crate::checks::ruling::{Kind, Ruling};
use crate::checks::{
    Abort, End, ExitStatus, Finite, Fold, LastWord, ProcessEnd, TimeBudget, exit_status, text,
};
use crate::event::Finding;
use crate::id::CheckName;
use crate::metrics::{Line, Value};
use crate::spec::Case;

/// The longest text from a case that a finding repeats.
const MAX_TEXT: usize = 2000;

/// Judges the checks of one case while it runs.
#[derive(Debug)]
pub struct Evaluator {
    case: Case,
    folds: Vec<(CheckName, Box<dyn Fold>)>,
    seen: Observations,
    /// What the process says cannot be judged here.
    skips: BTreeMap<CheckName, String>,
    /// The worker's own word on why it cannot go on.
    error: Option<LastWord>,
    /// The first metric that is not finite, where that ends the case.
    stopped: Option<String>,
    aborts: bool,
}

impl Evaluator {
    /// The evaluator of a case that is about to start.
    pub fn for_case(case: &Case) -> Self {
        let folds = case.started_checks();
        let mut seen = Observations::default();
        for (_, fold) in &folds {
            seen.keep(fold.keeps());
        }
        let aborts = folds.iter().any(|(check, _)| *check == Finite::NAME);
        Self { case: case.clone(), folds, seen, skips: BTreeMap::new(), error: None, stopped: None, aborts }
    }

    /// Takes in a line. `Some` means that the case must be stopped now.
    pub fn observe(&mut self, line: &Line) -> Option<Abort> {
        match line {
            Line::Metrics { step, values } => {
                for (name, value) in values {
                    self.sample(&Sample { name, step: *step, value });
                }
                let reason = self.stopped.clone()?;
                Some(Abort { reason })
            }
            Line::Skip { check, reason } => {
                // How the process ends, how long it takes and what is NaN is not its own to leave out.
                if ![ExitStatus::NAME, Finite::NAME, TimeBudget::NAME].contains(check) {
                    self.skips.insert(check.clone(), text::clip(reason, MAX_TEXT));
                }
                None
            }
            Line::Error { what, hint, fault } => {
                let hint = hint.as_deref().map(|hint| text::clip(hint, MAX_TEXT));
                self.error.get_or_insert_with(|| LastWord {
                    what: text::clip(what, MAX_TEXT),
                    hint,
                    fault: *fault,
                });
                None
            }
            Line::Progress { .. } | Line::Artifact(_) | Line::Device(_) => None,
        }
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        self.seen.observe(sample);
        for (_, fold) in &mut self.folds {
            fold.observe(sample);
        }
        if let (true, None, Value::Number(number)) = (self.aborts, &self.stopped, sample.value)
            && !number.is_finite()
        {
            let name = text::clip(sample.name, 64);
            self.stopped = Some(format!("`{name}` is {}{}", text::short(*number), text::at(sample.step)));
        }
    }

    /// The verdicts, in the order of [`crate::checks::names`].
    pub fn conclude(mut self, end: &End) -> Vec<Finding> {
        self.seen.elapsed = end.elapsed;
        self.seen.settle();
        let process = self.process(end);
        let cut_short = self.cut_short(end, process.as_ref());
        let mut findings = Vec::new();
        if let Some(ruling) = process {
            findings.push(ruling.finding(&ExitStatus::NAME));
        }
        for check in self.case.selected_checks() {
            if let Some(reason) = self.case.skip_checks.get(&check) {
                if check != ExitStatus::NAME || findings.is_empty() {
                    findings.push(
                        Ruling::skipped(reason, "not judged: the suite file leaves it out").finding(&check),
                    );
                }
            } else if let Some(reason) = self.skips.get(&check) {
                findings.push(
                    Ruling::skipped(reason, "not judged: the case says that it cannot be").finding(&check),
                );
            } else if let Some((_, fold)) = self.folds.iter().find(|(name, _)| *name == check) {
                for ruling in fold.conclude(&self.seen) {
                    let ruling = self.in_context(&check, fold.as_ref(), ruling, cut_short.as_ref());
                    findings.push(ruling.finding(&check));
                }
            }
        }
        findings
    }

    /// The verdict on how the process ended; of a worker only where it did not end well.
    fn process(&self, end: &End) -> Option<Ruling> {
        let by_worker = self.case.needs_worker();
        if self.stopped.is_some() || end.process == ProcessEnd::Aborted {
            let why = format!("the case was stopped: {}", self.stopped.as_deref().unwrap_or("a check broke"));
            return (!by_worker && !self.case.skip_checks.contains_key(&ExitStatus::NAME))
                .then(|| Ruling::skipped(why, "judged only where the program ends by itself"));
        }
        if by_worker {
            return exit_status::of_worker(&end.process, self.error.as_ref());
        }
        let judged = !self.case.skip_checks.contains_key(&ExitStatus::NAME);
        let ruling = exit_status::of_command(&end.process, self.case.checks.exit_status.unwrap_or_default());
        (judged || exit_status::is_from_outside(&ruling)).then_some(ruling)
    }

    /// Why the process did not do all that it was to do, where it did not.
    fn cut_short(&self, end: &End, process: Option<&Ruling>) -> Option<CutShort> {
        let early = |why: String| Some(CutShort { why, early: true });
        match (&self.stopped, &end.process) {
            (Some(stopped), _) => early(format!("the case was stopped: {stopped}")),
            (None, ProcessEnd::Aborted) => early("the case was stopped".into()),
            (None, ProcessEnd::Signalled { name, .. }) => early(format!("ended by {}", text::clip(name, 32))),
            (None, ProcessEnd::Exited(_)) => process
                .filter(|ruling| ruling.kind != Kind::Held)
                .map(|ruling| CutShort { why: ruling.observed.clone(), early: false }),
        }
    }

    /// A check says nothing about a process that did not run to its end, and a control is not noticed by a metric
    /// that nobody wrote.
    fn in_context(
        &self,
        check: &CheckName,
        fold: &dyn Fold,
        ruling: Ruling,
        cut_short: Option<&CutShort>,
    ) -> Ruling {
        let not_judged = match (ruling.kind, cut_short) {
            (Kind::Missing, Some(cut)) if cut.early => Some(cut.why.clone()),
            (Kind::Missing, Some(cut)) => Some(format!("{}: {}", ruling.observed, cut.why)),
            (Kind::Missing, None) if self.case.must_fail.contains(check) => {
                Some(format!("{}, so that the control shows nothing", ruling.observed))
            }
            (Kind::Held | Kind::Broke, Some(cut)) if cut.early && fold.wants_the_end() => {
                Some(cut.why.clone())
            }
            _ => None,
        };
        match not_judged {
            Some(why) => Ruling { subject: ruling.subject, ..Ruling::skipped(why, ruling.wanted) },
            None => ruling,
        }
    }
}

/// A process that did not do all that it was to do.
struct CutShort {
    why: String,
    /// It was ended; else it ended by itself with the wrong exit code, and what it wrote may be all there is.
    early: bool,
}
