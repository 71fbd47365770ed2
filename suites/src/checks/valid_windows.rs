//! `valid-windows`: of each point, enough windows were measured under the rules. See docs/throughput.md.
//!
//! A window that breaks a rule is invalid, not slow: the case is then errored, never failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figure::at_least;
use super::observations::{Observations, Sample};
use super::points::{Point, Points};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// Enough windows of the measurement were valid. Write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidWindows {}

impl Check for ValidWindows {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running::default())
    }
}

/// Windows of a point that were measured under the rules.
pub(super) const VALID: &str = "windows_valid";
const WANTED: &str = "windows_wanted";
/// What the others broke, as a text.
pub(super) const WHY: &str = "why_invalid";

const SECONDS: &str = "measured_seconds";
const SHORT: &str = "short";

#[derive(Debug, Default)]
struct Running(Points);

impl Running {
    fn of(&self, point: Point) -> Option<Ruling> {
        let valid = self.0.number(point, VALID)?;
        let wanted = self.0.number(point, WANTED)?;
        let why = self.0.text(point, WHY);
        let windows = format!("{} of {} windows were valid", short(valid), short(wanted));
        let observed = match (why, self.0.number(point, SECONDS)) {
            (Some(why), _) if !at_least(valid, wanted) => format!("{windows}: {why}"),
            (_, Some(seconds)) if self.0.is(point, SHORT) => {
                format!("{windows}, {seconds:.0} s in all, which is short: compare it with nothing")
            }
            _ => windows,
        };
        let ruling =
            Ruling::of(at_least(valid, wanted), observed, format!("{} valid windows", short(wanted)));
        Some(ruling.about(point.to_string()).because(
            "something else used the machine, or it slowed itself down: what was measured is not the model's rate",
        ))
    }
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        self.0.observe(sample);
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let rulings = Vec::from_iter(
            self.0.all().filter(|point| point.batch.is_some()).filter_map(|point| self.of(point)),
        );
        if rulings.is_empty() { vec![seen.missing(VALID, "windows of at least one dtype")] } else { rulings }
    }
}
