//! Measuring again: cases whose numbers look worse than before run once more on the same node, at once.
//!
//! Each round is a plan of its own, so that a node which knows nothing of histories can do it; its attempts go on
//! counting where the run's left off, so the reports see one case with several attempts.

use gpu_suites::event::Judged;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::plan::{Plan, PlannedCase};
use gpu_suites::regression::rule::MEASUREMENTS;
use gpu_suites::unit::Span;
use tokio::time::Instant;

use crate::node::remote::Remote;
use crate::plan::canary;
use crate::report::RunState;
use crate::run::Course;
use crate::session::{Budget, Followed, Session, SessionError};

/// A measurement may take longer than the one before it; what it may not do is run into the run's limit, and make a case
/// that passed one that did not.
const SPARE: f64 = 1.25;

impl Course<'_> {
    /// Measures again what is suspected of the plan that began at `begun`, until nothing is, there are measurements enough, or
    /// it has no time for another: then the suspicion stays one.
    pub(crate) async fn measure_again(
        &mut self,
        remote: &mut Remote,
        plan: &Plan,
        budget: Option<Budget>,
        begun: Instant,
    ) -> Result<Followed, SessionError> {
        for round in 1..MEASUREMENTS {
            let state = self.recorder.state();
            let suspected =
                self.run_history.map(|run_history| run_history.suspected(state)).unwrap_or_default();
            let again = Again { of: plan, state, begun };
            let Some(plan) = again.here(&suspected, round) else { break };
            let session = Session::new(remote, self.recorder, self.interrupts, &plan, &self.prepared.blobs)
                .within(budget.clone());
            if session.follow().await? == Followed::Reclaimed {
                return Ok(Followed::Reclaimed);
            }
        }
        Ok(Followed::Finished)
    }
}

/// Cases of a plan once more: `None` from each where there is none to run, or no time for it.
pub(crate) struct Again<'a> {
    pub(crate) of: &'a Plan,
    /// What came of it so far.
    pub(crate) state: &'a RunState,
    pub(crate) begun: Instant,
}

impl Again<'_> {
    /// The plan of a round on the same node: the suspected cases.
    fn here(&self, suspected: &[CaseId], round: usize) -> Option<Plan> {
        let mut again = self.of.clone();
        again.cases.retain(|case| suspected.contains(&case.id));
        self.ready(again, &format!("again{round}"))
    }

    /// The plan for the cases of `judged`, whose node was slow, on another one; what the node can do at best is measured there
    /// first.
    pub(crate) fn elsewhere(&self, judged: &[Judged]) -> Option<Plan> {
        let mut again = self.of.clone();
        again.cases.retain(|case| judged.iter().any(|judged| judged.case == case.id));
        canary::first(&mut again.cases, self.of, self.state);
        self.ready(again, "other-node")
    }

    fn ready(&self, mut again: Plan, name: &str) -> Option<Plan> {
        let state = self.state;
        // The node's folder of the run is named by it, and that of the first round may be there still.
        again.run = RunId(format!("{}-{name}", self.of.run));
        again.fail_fast = false;
        again.retries = 0;
        for case in &mut again.cases {
            case.attempts_before = state.case(&case.id).map_or(0, |case| case.attempt);
        }
        let seconds = |case: &PlannedCase| Some(state.case(&case.id)?.last_ended()?.seconds);
        let took = again.cases.iter().filter_map(seconds).sum::<f64>();
        again.timeout = self.of.timeout.map(|limit| Span(limit.0.saturating_sub(self.begun.elapsed())));
        let has_time = again.timeout.is_none_or(|left| left.0.as_secs_f64() >= SPARE * took);
        (has_time && !again.cases.is_empty()).then_some(again)
    }
}
