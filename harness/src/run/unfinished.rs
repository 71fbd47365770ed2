//! What is left of a run whose node was taken away: the cases that have not ended, for another node.

use std::time::Duration;

use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{Plan, PlannedCase};
use gpu_suites::unit::Span;

use crate::plan::canary;
use crate::report::RunState;
use crate::report::case::{CaseState, Phase};

/// The plan for what has not ended, `elapsed` after the run began; `None` where nothing is left.
pub fn rest(plan: &Plan, state: &RunState, elapsed: Duration) -> Option<Plan> {
    let left = |case: &PlannedCase| {
        let seen = state.case(&case.id);
        let unfinished = seen.is_none_or(|seen| {
            seen.phase != Phase::Finished
                || seen.last_ended().is_none_or(|last| last.outcome == Outcome::Interrupted)
        });
        unfinished.then(|| PlannedCase {
            attempts_before: seen.map_or(0, |seen| seen.attempt),
            retries_used: seen.map_or(0, retries_used),
            ..case.clone()
        })
    };
    let mut cases = Vec::from_iter(plan.cases.iter().filter_map(left));
    canary::first(&mut cases, plan, state);
    let timeout = plan.timeout.map(|limit| Span(limit.0.saturating_sub(elapsed)));
    (!cases.is_empty()).then(|| Plan { cases, timeout, ..plan.clone() })
}

/// An attempt whose node was taken away used up no retry.
fn retries_used(case: &CaseState) -> u32 {
    let stumbles = case.ended.iter().filter(|attempt| attempt.outcome.is_retryable()).count();
    u32::try_from(stumbles).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{CaseFinished, CaseStarted, Event, Record, RunCreated};
    use gpu_suites::id::CaseId;
    use jiff::Timestamp;

    use super::*;

    fn plan(names: &[&str]) -> Plan {
        let spec: gpu_suites::spec::Case =
            serde_json::from_str(r#"{"name":"x","command":{"run":["true"]}}"#).unwrap();
        let case = |name: &&str| PlannedCase {
            id: CaseId::new("s", name),
            spec: spec.clone(),
            inputs: [].into(),
            executable: [].into(),
            links: [].into(),
            attempts_before: 0,
            retries_used: 0,
        };
        let text = r#"{"protocol":2,"run":"r","cases":[],"lease":{"ttl":"2m","on_expiry":"shutdown"},
            "fail_fast":false,"retries":2,"timeout":"10m","worker":null,"libtorch":null}"#;
        Plan { cases: names.iter().map(case).collect(), ..serde_json::from_str(text).unwrap() }
    }

    #[test]
    fn only_what_has_not_ended_runs_again_and_its_attempts_count_on() {
        let plan = plan(&["done", "failed-then-cut", "cut", "waiting"]);
        let mut state = RunState::default();
        let created = RunCreated {
            run: "r".into(),
            harness: "0".into(),
            node: "n".into(),
            cases: plan
                .cases
                .iter()
                .map(|case| gpu_suites::event::CaseSummary {
                    id: case.id.clone(),
                    description: None,
                    at: String::new(),
                    junit: Vec::new(),
                })
                .collect(),
            commit: None,
        };
        let started = |name: &str, attempt| CaseStarted { case: CaseId::new("s", name), attempt }.into();
        let ended = |name: &str, attempt, outcome| {
            let (case, reason, seconds) = (CaseId::new("s", name), None, 1.0);
            CaseFinished { case, attempt, outcome, reason, seconds }.into()
        };
        let events: Vec<Event> = vec![
            created.into(),
            started("done", 1),
            ended("done", 1, Outcome::Passed),
            started("failed-then-cut", 1),
            ended("failed-then-cut", 1, Outcome::Failed),
            started("failed-then-cut", 2),
            ended("failed-then-cut", 2, Outcome::Interrupted),
            started("cut", 1),
        ];
        for (seq, event) in (0..).zip(events) {
            state.apply(&Record { seq, at: Timestamp::UNIX_EPOCH, from: None, event });
        }
        let left = rest(&plan, &state, Duration::from_secs(60)).unwrap();
        let told = Vec::from_iter(
            left.cases.iter().map(|case| (case.id.case(), case.attempts_before, case.retries_used)),
        );
        assert_eq!(told, [("failed-then-cut", 2, 1), ("cut", 1, 0), ("waiting", 0, 0)]);
        assert_eq!(left.timeout, Some(Span(Duration::from_secs(540))));
        assert!(rest(&Plan { cases: vec![plan.cases[0].clone()], ..plan }, &state, Duration::ZERO).is_none());
    }
}
