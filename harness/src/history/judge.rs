//! What the history says of a run: a verdict for each metric, and where each case stands.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use gpu_suites::event::{Judged, Judgement, Vanished};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use gpu_suites::regression::answers::{self, Answers, Changed};
use gpu_suites::regression::standing::Past;
use gpu_suites::regression::{Against, Band, Direction, Rule, Standing, Verdict};
use gpu_suites::statistics;

use super::series::{self, All, Nights, SeriesId};
use super::{History, Line, fold};
use crate::config::{Better, Config, OnRegression};
use crate::plan::canary;
use crate::report::RunState;
use crate::report::case::CaseState;
use crate::report::words;
use crate::text::Explain;

#[derive(Debug, Clone)]
pub struct Judge {
    rule: Rule,
    on_regression: OnRegression,
    metrics: Vec<(GlobMatcher, Better)>,
}

/// Why the settings say nothing that can be judged by.
#[derive(Debug, thiserror::Error)]
#[error("gpu-harness.yaml, metrics: `{pattern}` is no pattern")]
pub struct PatternError {
    pattern: String,
    source: globset::Error,
}

impl Explain for PatternError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

impl Judge {
    pub fn of(config: &Config) -> Result<Self, PatternError> {
        let matcher = |(pattern, better): (&String, &Better)| match Glob::new(pattern) {
            Ok(glob) => Ok((glob.compile_matcher(), *better)),
            Err(source) => Err(PatternError { pattern: pattern.clone(), source }),
        };
        let metrics = config.metrics.iter().map(matcher).collect::<Result<_, _>>()?;
        Ok(Self { rule: Rule::default(), on_regression: config.regression, metrics })
    }

    /// Which way a metric is better; `None` for one that is not judged.
    pub fn direction(&self, metric: &str) -> Option<Direction> {
        let said = self.metrics.iter().find(|(glob, _)| glob.is_match(metric)).map(|(_, better)| better);
        match said {
            Some(Better::Higher) => Some(Direction::Higher),
            Some(Better::Lower) => Some(Direction::Lower),
            Some(Better::Ignore) => None,
            None => Direction::of(metric),
        }
    }

    /// The verdict on `this_run`, by the healthy values of the nights before.
    pub fn verdict(&self, before: &[f64], this_run: &[f64], direction: Direction) -> Verdict {
        self.rule.judge(before, this_run, direction)
    }

    /// Where a value is as before, by the healthy values of the nights before; `None` where they are too few to tell.
    pub fn band(&self, before: &[f64]) -> Option<Band> {
        self.rule.band(before)
    }

    /// The verdict on the last value of a series, by those before it; `None` without a value. What an unhealthy node measured
    /// is not judged.
    pub fn last(&self, lines: &[&Line], better: Direction) -> Option<Verdict> {
        let (last, before) = lines.split_last()?;
        let measured = if last.healthy { last.numbers() } else { vec![] };
        Some(self.verdict(&series::healthy(before), &measured, better))
    }

    /// What the history says of every case that ran.
    pub fn judge(&self, history: &History, state: &RunState) -> Vec<Judged> {
        let ran = |case: &&CaseState| state.ending(case).outcome != Outcome::Skipped;
        let nights = Nights::of(history);
        let canary = state.case(&canary::id());
        let slow = canary.and_then(|case| self.of_case(&nights, state, case, None).degraded);
        let of_case = |case| self.of_case(&nights, state, case, slow.clone());
        state.cases().iter().filter(ran).map(of_case).collect()
    }

    /// The cases that have to be measured again before anything can be said, the canary among them.
    pub fn suspected(&self, history: &History, state: &RunState) -> Vec<CaseId> {
        let is_suspected = |metric: &Judgement| matches!(metric.verdict, Verdict::Suspected(_));
        let all = series::all(history);
        let is_canarys = |judged: &Judged| {
            let is_it = judged.case == canary::id() && self.on_regression != OnRegression::Off;
            let case = state.case(&judged.case).filter(|_| is_it);
            case.is_some_and(|case| {
                let mut ceilings = case.metrics.keys().filter(|metric| canary::is_canary(metric));
                let verdict = |metric: &String| self.of_metric(&all, state, case, metric, Direction::Higher);
                ceilings.any(|metric| matches!(verdict(metric), Verdict::Suspected(_)))
            })
        };
        let judged = self.judge(history, state).into_iter();
        let suspected = judged.filter(|judged| judged.metrics.iter().any(is_suspected) || is_canarys(judged));
        suspected.map(|judged| judged.case).collect()
    }

    /// The verdict on what a case measured of a metric in this run.
    fn of_metric(
        &self,
        all: &All<'_>,
        state: &RunState,
        case: &CaseState,
        metric: &str,
        better: Direction,
    ) -> Verdict {
        let before = before(all, state, case, metric);
        self.verdict(&before, &fold::measured(case, metric), better)
    }

    fn has_baseline(&self, all: &All<'_>, state: &RunState, case: &CaseState, metric: &str) -> bool {
        self.rule.has_baseline(&before(all, state, case, metric))
    }

    /// The metrics of a case that were judged before on what it ran on this time, and of which nothing came: told until they
    /// were missing on half of the nights that count.
    fn vanished(&self, all: &All<'_>, state: &RunState, case: &CaseState) -> Vec<Vanished> {
        let of_case = all.iter().filter(|(id, _)| id.case == *case.id());
        let others = of_case.clone().flat_map(|(_, lines)| lines.iter());
        let others = others.filter(|line| line.healthy && Some(&line.run) != state.run.as_ref());
        // The runs of the case, the latest first.
        let runs: BTreeSet<_> = others.map(|line| (line.at, &line.run)).collect();
        let last = Vec::from_iter(runs.into_iter().rev().map(|(_, run)| run).take(self.rule.least));
        let is_gone = |id: &SeriesId| {
            !case.metrics.contains_key(&id.metric)
                && self.direction(&id.metric).is_some()
                && id.key == fold::key(state, case, &id.metric)
                && self.has_baseline(all, state, case, &id.metric)
        };
        let gone = of_case.filter(|(id, _)| is_gone(id)).map(|(id, lines)| {
            let came = last.iter().filter(|run| lines.iter().any(|line| line.run == ***run)).count();
            Vanished { metric: id.metric.clone(), nights: came }
        });
        gone.filter(|gone| 2 * gone.nights >= last.len()).collect()
    }

    /// What is to be said of a case on a node that is slow for the given reason.
    fn of_case(
        &self,
        nights: &Nights<'_>,
        state: &RunState,
        case: &CaseState,
        slow: Option<String>,
    ) -> Judged {
        let all = &nights.all;
        let outcome = state.ending(case).outcome;
        let mut past = series::outcomes(nights.history, case.id(), state.run.as_ref());
        past.push(Past { outcome, flaky: case.is_flaky() });
        let mut judged = Judged {
            case: case.id().clone(),
            standing: Standing::of(&past),
            steady: 0,
            metrics: vec![],
            degraded: fold::gpu_trouble(case).or(slow),
            answers: vec![],
            vanished: vec![],
        };
        if outcome != Outcome::Passed || self.on_regression == OnRegression::Off {
            return judged;
        }
        let verdict = |metric: &String, better| self.of_metric(all, state, case, metric, better);
        let mut canaries = case.metrics.keys().filter(|metric| canary::is_canary(metric));
        let is_slow = |metric: &String| {
            let value = statistics::median(&fold::measured(case, metric)).unwrap_or(f64::NAN);
            canary::below_known(case, metric, value)
                .or_else(|| degraded(metric, &verdict(metric, Direction::Higher)))
        };
        judged.degraded = judged.degraded.or_else(|| canaries.find_map(is_slow));
        for metric in case.metrics.keys() {
            let Some(better) = self.direction(metric) else { continue };
            let verdict = verdict(metric, better);
            if matches!(verdict, Verdict::Steady(_)) {
                judged.steady += 1;
                continue;
            }
            // A number that is none any more is worse than any that there was.
            let is_worse = match verdict {
                Verdict::Regressed(_) => true,
                Verdict::NoNumber => self.has_baseline(all, state, case, metric),
                _ => false,
            };
            let fails = is_worse && self.on_regression == OnRegression::Fail && judged.degraded.is_none();
            judged.metrics.push(Judgement { metric: metric.clone(), better, verdict, fails });
        }
        judged.vanished = self.vanished(all, state, case);
        if judged.degraded.is_none() {
            let hashes = case.facts.keys().filter(|metric| answers::is_hash(metric));
            judged
                .answers
                .extend(hashes.filter_map(|metric| self.answers(nights.history, state, case, metric)));
        }
        judged
    }

    /// How this run's answers differ from those of the nights before, by a metric with their hash.
    fn answers(
        &self,
        history: &History,
        state: &RunState,
        case: &CaseState,
        metric: &str,
    ) -> Option<Changed> {
        let is_ignored =
            |(glob, better): &(GlobMatcher, Better)| glob.is_match(metric) && *better == Better::Ignore;
        if self.metrics.iter().any(is_ignored) {
            return None;
        }
        let key = fold::key(state, case, metric);
        let past = series::answers(history, case.id(), metric, &key);
        let before = Vec::from_iter(past.into_iter().filter(|(run, _)| Some(*run) != state.run.as_ref()));
        let before = Vec::from_iter(before.into_iter().map(|(_, answers)| answers));
        let fact = |name: &str| {
            answers::beside(metric, name).and_then(|name| case.facts.get(&name)).map(String::as_str)
        };
        let this_run =
            Answers { hash: case.facts.get(metric)?, sketch: fact("sketch"), sample: fact("sample") };
        let reference = answers::reference(&before, &this_run)?;
        let said = answers::changed(&reference, &this_run, within(key.dtype.as_deref()))?;
        let fails = self.on_regression == OnRegression::Fail;
        Some(Changed { metric: metric.to_owned(), said, fails })
    }
}

/// The healthy values of a metric on the nights before, measured on what the case ran on in this run.
fn before(all: &All<'_>, state: &RunState, case: &CaseState, metric: &str) -> Vec<f64> {
    let id =
        SeriesId { case: case.id().clone(), metric: metric.to_owned(), key: fold::key(state, case, metric) };
    let lines = all.get(&id).map(Vec::as_slice).unwrap_or_default();
    let before = lines.iter().copied().filter(|line| Some(&line.run) != state.run.as_ref());
    series::healthy(&Vec::from_iter(before))
}

/// By how much answers may differ for noise in the last digits, over all rows: batches are of whatever size there is, and each
/// size may have another order of additions.
fn within(dtype: Option<&str>) -> f64 {
    match dtype {
        Some("bf16") => 0.02,
        Some("fp16") => 0.005,
        _ => 0.0005,
    }
}

/// Why the node is slower than such nodes are; nothing where it is not. The series is that of the same device, driver and
/// libtorch: where the device itself got slower, it is the node.
fn degraded(metric: &str, verdict: &Verdict) -> Option<String> {
    let is_beyond = |against: &Against| against.value < against.bound;
    let (Verdict::Regressed(against) | Verdict::Suspected(against)) = verdict else { return None };
    is_beyond(against)
        .then(|| format!("{metric} {}", words::verdict(&Verdict::Regressed(*against), Direction::Higher)))
}
