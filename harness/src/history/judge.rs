//! What the history says of a run: a verdict for each metric, and where each case stands.

use globset::{Glob, GlobMatcher};
use gpu_suites::event::{Judged, Judgement};
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use gpu_suites::regression::standing::Past;
use gpu_suites::regression::{Against, Band, Direction, Rule, Standing, Verdict};

use super::series::{self, All, SeriesId};
use super::{History, Line, fold, words};
use crate::config::{Better, Config, OnRegression};
use crate::report::RunState;
use crate::report::case::CaseState;

/// What the project says about judging.
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

impl Judge {
    /// By the project's settings.
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

    /// The verdict on `tonight`, by the healthy values of the nights before.
    pub fn verdict(&self, before: &[f64], tonight: &[f64], direction: Direction) -> Verdict {
        self.rule.judge(before, tonight, direction)
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
        let all = series::all(history);
        let judged = state.cases().iter().filter(ran).map(|case| self.of_case((history, &all), state, case));
        judged.collect()
    }

    /// The cases that have to be measured again before anything can be said.
    pub fn suspected(&self, history: &History, state: &RunState) -> Vec<CaseId> {
        let is_suspected = |metric: &Judgement| matches!(metric.verdict, Verdict::Suspected(_));
        let judged = self.judge(history, state).into_iter();
        judged.filter(|judged| judged.metrics.iter().any(is_suspected)).map(|judged| judged.case).collect()
    }

    fn of_case(&self, (history, all): (&History, &All<'_>), state: &RunState, case: &CaseState) -> Judged {
        let outcome = state.ending(case).outcome;
        let mut past = series::outcomes(history, case.id(), state.run.as_ref());
        past.push(Past { outcome, flaky: case.is_flaky() });
        let mut judged = Judged {
            case: case.id().clone(),
            standing: Standing::of(&past),
            steady: 0,
            metrics: vec![],
            degraded: None,
        };
        if outcome != Outcome::Passed || self.on_regression == OnRegression::Off {
            return judged;
        }
        let verdict = |metric: &String, better: Direction| {
            let id = SeriesId {
                case: case.id().clone(),
                metric: metric.clone(),
                key: fold::key(state, case, metric),
            };
            let lines = all.get(&id).map(Vec::as_slice).unwrap_or_default();
            let before = lines.iter().copied().filter(|line| Some(&line.run) != state.run.as_ref());
            let before = series::healthy(&Vec::from_iter(before));
            self.verdict(&before, &fold::measured(case, metric), better)
        };
        let mut canaries = case.metrics.keys().filter(|metric| is_canary(metric));
        judged.degraded = canaries.find_map(|metric| degraded(metric, &verdict(metric, Direction::Higher)));
        for metric in case.metrics.keys() {
            let Some(better) = self.direction(metric) else { continue };
            let verdict = verdict(metric, better);
            if matches!(verdict, Verdict::Steady(_)) {
                judged.steady += 1;
                continue;
            }
            let fails = matches!(verdict, Verdict::Regressed(_))
                && self.on_regression == OnRegression::Fail
                && judged.degraded.is_none();
            judged.metrics.push(Judgement { metric: metric.clone(), better, verdict, fails });
        }
        judged
    }
}

/// Whether a metric is what the device can do at best, which no model has a part in.
fn is_canary(metric: &str) -> bool {
    metric.rsplit('/').next().is_some_and(|name| name.starts_with("ceiling_"))
}

/// Why the node is slower than such nodes are; nothing where it is not. The series is that of the same device, driver and
/// libtorch: where the device itself got slower, it is the node.
fn degraded(metric: &str, verdict: &Verdict) -> Option<String> {
    let is_beyond = |against: &Against| against.value < against.bound;
    let (Verdict::Regressed(against) | Verdict::Suspected(against)) = verdict else { return None };
    is_beyond(against)
        .then(|| format!("{metric} {}", words::verdict(&Verdict::Regressed(*against), Direction::Higher)))
}
