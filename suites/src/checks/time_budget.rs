//! `time-budget`: the case ended within its time budget.

use crate::spec;

use super::Fold;
use super::ruling::Ruling;
use super::seen::Seen;

#[derive(Debug)]
pub(super) struct TimeBudget(pub(super) spec::TimeBudget);

impl Fold for TimeBudget {
    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        let budget = self.0.at_most;
        let observed = format!("{:.1}s", seen.elapsed.as_secs_f64());
        vec![Ruling::of(seen.elapsed <= budget.0, observed, format!("at most {budget}")).because(
            "a slower or busier node, CUDA that is not used (see the device facts), or a change that made it slower",
        )]
    }
}
