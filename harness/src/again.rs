//! Measuring again: cases whose numbers look worse than before run once more on the same node, at once.
//!
//! Each round is a plan of its own, so that a node which knows nothing of histories can do it; its attempts go on
//! counting where the run's left off, so the reports see one case with several attempts.

use gpu_suites::id::{CaseId, RunId};
use gpu_suites::plan::Plan;
use gpu_suites::regression::rule::MEASUREMENTS;

use crate::content::Blob;
use crate::history::tonight::Tonight;
use crate::interrupt::Interrupts;
use crate::recorder::Recorder;
use crate::remote::Remote;
use crate::report::RunState;
use crate::session::{Budget, Followed, Session, SessionError};

/// Measures again what is suspected, until nothing is or there are measurements enough.
pub async fn measure(
    remote: &mut Remote,
    recorder: &mut Recorder,
    interrupts: &mut Interrupts,
    (plan_of_run, blobs): (&Plan, &[Blob]),
    tonight: Option<&Tonight>,
    budget: Option<Budget>,
) -> Result<Followed, SessionError> {
    for round in 1..MEASUREMENTS {
        let plan = tonight.and_then(|tonight| plan(plan_of_run, tonight, recorder.state(), round));
        let Some(plan) = plan else { break };
        let session = Session::new(remote, recorder, interrupts, &plan, blobs).within(budget.clone());
        if session.follow().await? == Followed::Reclaimed {
            return Ok(Followed::Reclaimed);
        }
    }
    Ok(Followed::Finished)
}

/// The plan of a round: the suspected cases of `plan`; `None` where none is.
fn plan(plan: &Plan, tonight: &Tonight, state: &RunState, round: usize) -> Option<Plan> {
    let suspected = tonight.suspected(state);
    let is_suspected = |id: &CaseId| suspected.contains(id);
    let mut again = plan.clone();
    // The node's folder of the run is named by it, and that of the first round may be there still.
    again.run = RunId(format!("{}-again{round}", plan.run));
    again.cases.retain(|case| is_suspected(&case.id));
    again.fail_fast = false;
    again.retries = 0;
    for case in &mut again.cases {
        case.attempts_before = state.case(&case.id).map_or(0, |case| case.attempt);
    }
    (!again.cases.is_empty()).then_some(again)
}
