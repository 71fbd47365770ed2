//! Judges the checks of one case while it runs.

use std::collections::BTreeMap;

use crate::event::Finding;
use crate::metrics::{Line, Value};
use crate::spec::{Case, CheckName, GoldenCheck, MetricCheck, RateCheck, Task, When};
use crate::unit::Share;

use super::ruling::{Kind, Ruling};
use super::seen::{Sample, Seen};
use super::{
    Abort, End, Fold, LastWord, ProcessEnd, exit_status, export_parity, finite, golden, grad_norm_drop,
    gradients, initial_loss, loss_drop, memory_flat, metric, mixed_precision, parity, predictions, rate,
    rows, same_batch, selected, shards, steps, text, time_budget, valid_windows, varied, zeroed_image,
};

/// What a `throughput` case must reach where its suite does not say: windows that agree.
const DEFAULT_RATE: RateCheck = RateCheck {
    dtype: None,
    batch: None,
    at_least: None,
    of_ceiling: None,
    of_base: None,
    spread: Some(Share(0.02)),
    memory: None,
    latency_p99: None,
};

/// The longest text from a case that a finding repeats.
const MAX_TEXT: usize = 2000;

/// Judges the checks of one case while it runs.
#[derive(Debug)]
pub struct Evaluator {
    case: Case,
    folds: Vec<(CheckName, Box<dyn Fold>)>,
    seen: Seen,
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
        let active = selected(case).into_iter().filter(|check| !case.skip_checks.contains_key(check));
        let folds = Vec::from_iter(active.filter_map(|check| Some((check, fold(case, check)?))));
        let mut seen = Seen::default();
        for (_, fold) in &folds {
            seen.keep(fold.keeps());
        }
        let aborts = folds.iter().any(|(check, _)| *check == CheckName::Finite);
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
                if !matches!(check, CheckName::ExitStatus | CheckName::Finite | CheckName::TimeBudget) {
                    self.skips.insert(*check, text::clip(reason, MAX_TEXT));
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

    /// The verdicts, in the order of [`CheckName::ALL`].
    pub fn conclude(mut self, end: &End) -> Vec<Finding> {
        self.seen.elapsed = end.elapsed;
        self.seen.settle();
        let process = self.process(end);
        let cut_short = self.cut_short(end, process.as_ref());
        let mut findings = Vec::new();
        if let Some(ruling) = process {
            findings.push(ruling.finding(CheckName::ExitStatus));
        }
        for check in selected(&self.case) {
            if let Some(reason) = self.case.skip_checks.get(&check) {
                if check != CheckName::ExitStatus || findings.is_empty() {
                    findings.push(
                        Ruling::skipped(reason, "not judged: the suite file leaves it out").finding(check),
                    );
                }
            } else if let Some(reason) = self.skips.get(&check) {
                findings.push(
                    Ruling::skipped(reason, "not judged: the case says that it cannot be").finding(check),
                );
            } else if let Some((_, fold)) = self.folds.iter().find(|(name, _)| *name == check) {
                for ruling in fold.conclude(&self.seen) {
                    let ruling = self.in_context(check, fold.as_ref(), ruling, cut_short.as_ref());
                    findings.push(ruling.finding(check));
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
            return (!by_worker && !self.case.skip_checks.contains_key(&CheckName::ExitStatus))
                .then(|| Ruling::skipped(why, "judged only where the program ends by itself"));
        }
        if by_worker {
            return exit_status::of_worker(&end.process, self.error.as_ref());
        }
        let judged = !self.case.skip_checks.contains_key(&CheckName::ExitStatus);
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
        check: CheckName,
        fold: &dyn Fold,
        ruling: Ruling,
        cut_short: Option<&CutShort>,
    ) -> Ruling {
        let not_judged = match (ruling.kind, cut_short) {
            (Kind::Missing, Some(cut)) if cut.early => Some(cut.why.clone()),
            (Kind::Missing, Some(cut)) => Some(format!("{}: {}", ruling.observed, cut.why)),
            (Kind::Missing, None) if self.case.must_fail.contains(&check) => {
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

/// The check at work, with the case's parameters; `exit-status` is not a fold over lines.
fn fold(case: &Case, check: CheckName) -> Option<Box<dyn Fold>> {
    let checks = &case.checks;
    Some(match check {
        CheckName::ExitStatus => return None,
        CheckName::Finite => Box::new(finite::Finite::default()),
        CheckName::InitialLoss => {
            Box::new(initial_loss::InitialLoss::new(checks.initial_loss.unwrap_or_default()))
        }
        CheckName::SameBatch => Box::new(same_batch::SameBatch::default()),
        CheckName::Gradients => Box::new(gradients::Gradients::new(checks.gradients.unwrap_or_default())),
        CheckName::LossDrop => Box::new(loss_drop::LossDrop(checks.loss_drop.unwrap_or_default())),
        CheckName::Metric => {
            Box::new(metric::Metrics::new(checks.metric.clone().unwrap_or_else(|| default_metrics(case))))
        }
        CheckName::GradNormDrop => {
            Box::new(grad_norm_drop::GradNormDrop::new(checks.grad_norm_drop.unwrap_or_default()))
        }
        CheckName::ZeroedImage => {
            let metric = case.train.as_ref().map(|train| metric_of(train.data.task));
            Box::new(zeroed_image::ZeroedImage::new(checks.zeroed_image.unwrap_or_default(), metric))
        }
        CheckName::Deterministic => Box::new(parity::Parity::new(&parity::DETERMINISTIC)),
        CheckName::MixedPrecision => {
            Box::new(mixed_precision::MixedPrecision::new(checks.mixed_precision.unwrap_or_default()))
        }
        CheckName::ResumeParity => Box::new(parity::Parity::new(&parity::RESUME)),
        CheckName::MemoryFlat => {
            Box::new(memory_flat::MemoryFlat::new(checks.memory_flat.unwrap_or_default()))
        }
        CheckName::ExportParity => {
            Box::new(export_parity::ExportParity::new(checks.export_parity.unwrap_or_default()))
        }
        CheckName::Steps => Box::new(steps::Steps::new(checks.steps.unwrap_or_default())),
        CheckName::Rows => Box::new(rows::Rows::new(checks.rows.unwrap_or_default())),
        CheckName::Golden => {
            // The losses of a training with a file of them, where the suite does not say more.
            let losses = || vec![GoldenCheck { name: "loss".to_owned(), within: 0.0 }];
            Box::new(golden::Goldens::new(checks.golden.clone().unwrap_or_else(losses)))
        }
        CheckName::Varied => Box::new(varied::Varied::new(checks.varied.clone().unwrap_or_default())),
        CheckName::ValidWindows => Box::new(valid_windows::ValidWindows::default()),
        CheckName::Rate => {
            Box::new(rate::Rate::new(checks.rate.clone().unwrap_or_else(|| vec![DEFAULT_RATE])))
        }
        CheckName::Shards => Box::new(shards::Shards::new(checks.shards.unwrap_or_default())),
        CheckName::Predictions => {
            Box::new(predictions::Predictions::new(checks.predictions.unwrap_or_default()))
        }
        CheckName::TimeBudget => Box::new(time_budget::TimeBudget(checks.time_budget?)),
    })
}

fn metric_of(task: Task) -> &'static str {
    match task {
        Task::Segment => "iou",
        Task::Classify => "accuracy",
    }
}

/// What a `train` case must reach where its suite does not say: the one batch by heart, in train and in eval mode.
fn default_metrics(case: &Case) -> Vec<MetricCheck> {
    let Some(train) = &case.train else { return Vec::new() };
    let at_least = match train.data.task {
        Task::Segment => 0.99,
        Task::Classify => 1.0,
    };
    let check = |mode: &str| MetricCheck {
        name: format!("{mode}/{}", metric_of(train.data.task)),
        at_least: Some(at_least),
        at_most: None,
        when: When::Final,
    };
    vec![check("train"), check("eval")]
}
