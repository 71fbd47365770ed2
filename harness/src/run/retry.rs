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

use crate::files::content::Blob;
use crate::node::remote::Remote;
use crate::plan::canary;
use crate::recorder::Recorder;
use crate::report::RunState;
use crate::run::tonight::Tonight;
use crate::session::interrupt::Interrupts;
use crate::session::{Budget, Followed, Session, SessionError};

/// A measurement may take longer than the one before it; what it may not do is run into the run's limit, and make a case
/// that passed one that did not.
const SPARE: f64 = 1.25;

/// Measures again what is suspected, until nothing is, there are measurements enough, or the plan that began at `begun` has
/// no time for another: then the suspicion stays one.
pub async fn measure(
    remote: &mut Remote,
    recorder: &mut Recorder,
    interrupts: &mut Interrupts,
    (plan_of_run, blobs): (&Plan, &[Blob]),
    tonight: Option<&Tonight>,
    budget: Option<Budget>,
    begun: Instant,
) -> Result<Followed, SessionError> {
    for round in 1..MEASUREMENTS {
        let plan = tonight.and_then(|tonight| plan(plan_of_run, tonight, recorder.state(), (round, begun)));
        let Some(plan) = plan else { break };
        let session = Session::new(remote, recorder, interrupts, &plan, blobs).within(budget.clone());
        if session.follow().await? == Followed::Reclaimed {
            return Ok(Followed::Reclaimed);
        }
    }
    Ok(Followed::Finished)
}

/// The plan for the cases of `judged`, whose node was slow, on another one; `None` where the run that began at `begun` has no
/// time for it.
pub fn elsewhere(plan: &Plan, judged: &[Judged], state: &RunState, begun: Instant) -> Option<Plan> {
    let is_of = |id: &CaseId| judged.iter().any(|judged| judged.case == *id);
    repeat(plan, (&is_of, true), "other-node", state, begun)
}

/// The plan of a round: the suspected cases of `plan`; `None` where none is.
fn plan(plan: &Plan, tonight: &Tonight, state: &RunState, (round, begun): (usize, Instant)) -> Option<Plan> {
    let suspected = tonight.suspected(state);
    let is_suspected = |id: &CaseId| suspected.contains(id);
    repeat(plan, (&is_suspected, false), &format!("again{round}"), state, begun)
}

/// The plan for some of the cases once more, on this node or elsewhere; `None` where there is none, or no time.
fn repeat(
    plan: &Plan,
    (is_wanted, is_elsewhere): (&dyn Fn(&CaseId) -> bool, bool),
    name: &str,
    state: &RunState,
    begun: Instant,
) -> Option<Plan> {
    let mut again = plan.clone();
    // The node's folder of the run is named by it, and that of the first round may be there still.
    again.run = RunId(format!("{}-{name}", plan.run));
    again.cases.retain(|case| is_wanted(&case.id));
    if is_elsewhere {
        canary::first(&mut again.cases, plan, state);
    }
    again.fail_fast = false;
    again.retries = 0;
    for case in &mut again.cases {
        case.attempts_before = state.case(&case.id).map_or(0, |case| case.attempt);
    }
    let seconds = |case: &PlannedCase| Some(state.case(&case.id)?.last_ended()?.seconds);
    let took = again.cases.iter().filter_map(seconds).sum::<f64>();
    again.timeout = plan.timeout.map(|limit| Span(limit.0.saturating_sub(begun.elapsed())));
    let has_time = again.timeout.is_none_or(|left| left.0.as_secs_f64() >= SPARE * took);
    (has_time && !again.cases.is_empty()).then_some(again)
}
