//! How much may a node say of a run? The plan bounds it: an honest agent stays below by its own limits, and one that does
//! not means harm.
//!
//! Both sides count alike: a record costs its line, and [`RECORD`] for being one. So the number of records is bounded with
//! their bytes.

use std::time::Duration;

use crate::plan::{Plan, PlannedCase};

/// What a record costs beside its line.
const RECORD: u64 = 256;
/// The agent writes what a case has printed at most so often, one record a stream.
const BATCHING: Duration = Duration::from_millis(10);
/// Room for dripping output, however long a case may run.
const MOST_DRIPS: u64 = 512 << 20;
/// A byte of log takes one in JSON, and at most so many, so that none of a log within its limit is lost: a control character
/// takes six, what is no UTF-8 three, and where there is any of that in an event, all its bytes stand beside the text in
/// base64, four for three. The rest is for the events around them.
const LOGGED: u64 = 8;
/// Room in a case's attempt for metrics, progress and the like: to begin with, for each second, and in all.
const METRICS: u64 = 16 << 20;
const METRICS_A_SECOND: u64 = 1 << 20;
const MOST_METRICS: u64 = 256 << 20;
/// Room in a case's attempt for checks, warnings and its end.
const ATTEMPT: u64 = 1 << 20;
/// Room in a run for all else: its artifacts' names, the GPUs' states.
const RUN: u64 = 32 << 20;

/// What a record costs, whose line has so many bytes.
pub fn cost(line: usize) -> u64 {
    RECORD.saturating_add(line as u64)
}

/// What all the records of a run may cost.
pub fn of(plan: &Plan) -> u64 {
    let of_case = |case| of_output(case).saturating_add(ATTEMPT).saturating_mul(attempts(plan));
    plan.cases.iter().map(of_case).fold(RUN, u64::saturating_add)
}

/// How often a case may be started on the node.
pub fn attempts(plan: &Plan) -> u64 {
    u64::from(plan.retries) + 1
}

/// What an attempt's output, metrics, progress and device may cost: what goes beyond, the agent does not keep.
pub fn of_output(case: &PlannedCase) -> u64 {
    let timeout = case.spec.timeout.0;
    let batches = u64::try_from(timeout.as_millis() / BATCHING.as_millis()).unwrap_or(u64::MAX);
    let drips = batches.saturating_mul(2 * RECORD).min(MOST_DRIPS);
    let metrics =
        METRICS.saturating_add(timeout.as_secs().saturating_mul(METRICS_A_SECOND)).min(MOST_METRICS);
    case.spec.limits.log.0.saturating_mul(LOGGED).saturating_add(drips + metrics)
}
