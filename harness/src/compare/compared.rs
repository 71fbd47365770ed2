//! What came of a comparison: for each case and figure the ratio of the pairs.

use std::collections::{BTreeMap, BTreeSet};

use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use gpu_suites::regression::Direction;
use gpu_suites::regression::pairs::{LEAST, PairVerdict, Ratio, without_ratio};
use serde::Serialize;

use super::arms::Arm;
use crate::history::fold;
use crate::history::judge::Judge;
use crate::report::RunState;
use crate::report::case::CaseState;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    pub base: String,
    pub head: String,
    pub node: String,
    /// Each case in the plan's order.
    pub cases: Vec<ComparedCase>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedCase {
    pub case: CaseId,
    pub pairs: usize,
    /// Why there is nothing to compare, where there is not.
    pub why_not: Option<String>,
    /// Whether each run of the head was good.
    pub head_is_good: bool,
    /// Each figure that both have.
    pub metrics: Vec<ComparedMetric>,
    /// Figures whose name says which way is better, and that the head did not measure as often as the base.
    pub gone: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedMetric {
    pub metric: String,
    /// Which way is better, where that is known.
    pub better: Option<Direction>,
    /// The pairs, base first.
    pub values: Vec<(f64, f64)>,
    /// Head by base; nothing where a value is none that has a ratio.
    pub ratio: Option<Ratio>,
    /// What that says, where it is known which way is better.
    pub found: Option<PairVerdict>,
}

impl Compared {
    /// Of a run that was planned by [`super::Ready`].
    pub fn of(state: &RunState, (base, head): (String, String), cases: &[CaseId], judge: &Judge) -> Self {
        let node = state.node.as_ref().map(ToString::to_string).unwrap_or_default();
        let cases = cases.iter().map(|case| of_case(state, case, judge)).collect();
        Self { base, head, node, cases }
    }

    /// The figures that became worse.
    pub fn worse(&self) -> impl Iterator<Item = (&CaseId, &ComparedMetric)> {
        let all =
            self.cases.iter().flat_map(|case| case.metrics.iter().map(move |metric| (&case.case, metric)));
        all.filter(|(_, metric)| metric.found == Some(PairVerdict::Worse))
    }

    /// How a process ends that was to find this out, where the run itself ended so.
    pub fn exit(&self, run: Exit) -> Exit {
        if !matches!(run, Exit::AllPassed | Exit::CheckFailed) {
            return run;
        }
        let head_is_good = self.cases.iter().all(|case| case.head_is_good);
        if head_is_good && self.worse().next().is_none() { Exit::AllPassed } else { Exit::CheckFailed }
    }
}

fn of_case(state: &RunState, case: &CaseId, judge: &Judge) -> ComparedCase {
    let runs = |arm: Arm| (1..).map_while(move |pair| state.case(&arm.id(case, pair)));
    let pairs = Vec::from_iter(runs(Arm::Base).zip(runs(Arm::Head)));
    let has_figures = |run: &CaseState| {
        matches!(state.ending(run).outcome, Outcome::Passed | Outcome::Failed) && !run.metrics.is_empty()
    };
    let whole = Vec::from_iter(pairs.iter().filter(|(base, head)| has_figures(base) && has_figures(head)));
    let mut metrics: BTreeMap<&String, Vec<(f64, f64)>> = BTreeMap::new();
    for (base, head) in &whole {
        for metric in base.metrics.keys().filter(|metric| head.metrics.contains_key(*metric)) {
            let last = |run: &CaseState| fold::measured(run, metric).last().copied().unwrap_or(f64::NAN);
            metrics.entry(metric).or_default().push((last(base), last(head)));
        }
    }
    let came = |run: &CaseState, metric: &str| run.metrics.contains_key(metric);
    let of_base: BTreeSet<&String> = whole.iter().flat_map(|(base, _)| base.metrics.keys()).collect();
    let is_gone = |metric: &&&String| {
        let count =
            |of: &dyn Fn(&(&CaseState, &CaseState)) -> bool| whole.iter().filter(|pair| of(pair)).count();
        judge.direction(metric).is_some()
            && count(&|(_, head)| came(head, metric)) < count(&|(base, _)| came(base, metric))
    };
    let gone = of_base.iter().filter(is_gone).map(|metric| (*metric).clone()).collect();
    // A figure that some runs lack cannot be compared with itself.
    metrics.retain(|_, values| values.len() == whole.len());
    let is_bad = |run: &&CaseState| !state.ending(run).outcome.is_good();
    let first_bad = runs(Arm::Base).chain(runs(Arm::Head)).find(is_bad);
    let why_not = (whole.len() < LEAST).then(|| match first_bad {
        Some(bad) => {
            let ending = state.ending(bad);
            let reason = ending.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} {}{reason}", bad.id().case(), ending.outcome)
        }
        None => format!("{} of the {LEAST} pairs that it takes have figures", whole.len()),
    });
    ComparedCase {
        case: case.clone(),
        pairs: whole.len(),
        why_not,
        head_is_good: runs(Arm::Head).all(|run| state.ending(run).outcome.is_good()),
        metrics: metrics.into_iter().map(|(metric, values)| of_metric(metric, values, judge)).collect(),
        gone,
    }
}

fn of_metric(metric: &str, values: Vec<(f64, f64)>, judge: &Judge) -> ComparedMetric {
    let (better, ratio) = (judge.direction(metric), Ratio::of(&values));
    let found = better.and_then(|better| match ratio {
        Some(ratio) => Some(ratio.found(better)),
        None => without_ratio(&values, better),
    });
    ComparedMetric { metric: metric.to_owned(), better, values, ratio, found }
}
