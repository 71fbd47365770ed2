//! Does what a case asks of itself hold?
//!
//! [`Evaluator`] hands every line to the checks that the case runs, and collects their verdicts when its process has
//! ended; [`judge`] turns the verdicts into the case's outcome.

mod evaluator;
mod judge;

pub use evaluator::Evaluator;
pub use judge::judge;
