//! What is bad now and was not in the run before, and what was and no longer is.

use std::collections::BTreeSet;

use gpu_suites::event::Judgement;
use gpu_suites::id::CaseId;
use gpu_suites::regression::Verdict;
use gpu_suites::regression::answers::Changed;
use gpu_suites::regression::standing::Past;
use serde::Serialize;

use crate::history::History;
use crate::history::judge::Judge;
use crate::history::series::{self, All, Nights};
use crate::report::case::CaseState;
use crate::report::{RunState, words};
use crate::text::clean::one_line;
use crate::text::limits::QUOTE;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub case: CaseId,
    /// The metric, where it is one of them that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    pub now: Now,
    /// In a sentence; clean.
    pub said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Now {
    Failing,
    /// The case passes again.
    Passing,
    /// The metric is worse.
    Regressed,
    /// The metric is no longer worse than the nights before.
    Recovered,
}

impl Now {
    /// Whether somebody has to do something.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failing | Self::Regressed)
    }
}

/// What changed from the run before to this one. What is in quarantine is told by nobody; a run that says nothing about a
/// case (its node broke) leaves it as it was.
pub fn of_run(judge: &Judge, history: &History, state: &RunState) -> Vec<Change> {
    let nights = Nights::of(history);
    let told = state.cases().iter().filter(|case| !state.quarantined.contains_key(case.id()));
    told.flat_map(|case| of_case(judge, &nights, state, case)).collect()
}

fn of_case(judge: &Judge, nights: &Nights<'_>, state: &RunState, case: &CaseState) -> Vec<Change> {
    let Nights { history, all } = nights;
    let ending = state.ending(case);
    let Some(is_good) = (Past { outcome: ending.outcome, flaky: false }).is_good() else { return Vec::new() };
    let past = series::outcomes(history, case.id(), state.run.as_ref());
    let was_good = past.iter().rev().find_map(Past::is_good).unwrap_or(true);
    let change = |metric: Option<&str>, now: Now, said: &str| Change {
        case: case.id().clone(),
        metric: metric.map(|metric| one_line(metric, QUOTE)),
        now,
        said: one_line(said, QUOTE),
    };
    let mut changes = Vec::new();
    if is_good != was_good {
        let reason = ending.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        changes.push(if is_good {
            change(None, Now::Passing, "passes again")
        } else {
            change(None, Now::Failing, &format!("{}{reason}", ending.outcome))
        });
    }
    // A case that fails, or whose node is slow, has no figures to judge.
    let judged = state.judged.get(case.id()).filter(|judged| is_good && judged.degraded.is_none());
    let Some(judged) = judged else { return changes };
    let before = regressed_before(judge, all, state, case);
    let is_regressed = |metric: &&Judgement| matches!(metric.verdict, Verdict::Regressed(_));
    let now = Vec::from_iter(judged.metrics.iter().filter(is_regressed));
    changes.extend(
        now.iter()
            .filter(|metric| !before.contains(&metric.metric))
            .map(|metric| change(Some(&metric.metric), Now::Regressed, &words::judgement(metric))),
    );
    // Told on the first night: on the next one the history ends with it.
    let is_new = |answers: &&Changed| {
        let past = series::last_text(history, case.id(), &answers.metric, state.run.as_ref());
        past != case.facts.get(&answers.metric).map(String::as_str)
    };
    let answers = judged.answers.iter().filter(is_new);
    changes.extend(answers.map(|answers| {
        let said = format!("{} changed: {}", answers.metric, answers.said);
        change(Some(&answers.metric), Now::Regressed, &said)
    }));
    let is_still = |name: &String| {
        let verdict =
            judged.metrics.iter().find(|metric| metric.metric == **name).map(|metric| &metric.verdict);
        matches!(verdict, Some(Verdict::Regressed(_) | Verdict::Suspected(_)))
    };
    let recovered = before.iter().filter(|name| case.metrics.contains_key(*name) && !is_still(name));
    changes.extend(
        recovered.map(|name| change(Some(name), Now::Recovered, &format!("{name} is as before again"))),
    );
    changes
}

/// The metrics of the case whose last value in the history was a regression when it was measured.
fn regressed_before(judge: &Judge, all: &All<'_>, state: &RunState, case: &CaseState) -> BTreeSet<String> {
    let of_case = all.iter().filter(|(id, _)| id.case == *case.id());
    let regressed = of_case.filter(|(id, lines)| {
        let lines =
            Vec::from_iter(lines.iter().copied().filter(|line| Some(&line.run) != state.run.as_ref()));
        let verdict = judge.direction(&id.metric).and_then(|better| judge.last(&lines, better));
        matches!(verdict, Some(Verdict::Regressed(_)))
    });
    regressed.map(|(id, _)| id.metric.clone()).collect()
}
