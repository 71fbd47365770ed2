//! `mixed-precision`: the loss of a run in mixed precision ends near that of full precision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Share;
use crate::violations::Violations;

use super::figure::at_most;
use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// Mixed precision ends near full precision.
/// Last `mixed/loss` against `loss` at the same step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixedPrecision {
    /// How far off the mixed-precision loss may be, as a share of the *initial* loss's size, 100 % at most.
    #[schemars(extend("maximum" = 1))]
    pub within: Share,
}

impl Default for MixedPrecision {
    fn default() -> Self {
        Self { within: Share(0.05) }
    }
}

impl Check for MixedPrecision {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        violations.share("within", Some(self.within));
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, last: None })
    }
}

#[derive(Debug)]
struct Running {
    wanted: MixedPrecision,
    /// Step and value of the last `mixed/loss`.
    last: Option<(u64, f64)>,
}

impl Fold for Running {
    fn keeps(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        if let Some(loss) = sample.number_of("mixed/loss") {
            let next = self.last.map_or(1, |(step, _)| step.saturating_add(1));
            self.last = Some((sample.step.unwrap_or(next), loss));
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let losses = seen.series("loss").and_then(|series| Some((series, series.first?.1)));
        let Some((losses, first)) = losses else {
            return vec![seen.missing("loss", "a `loss` for each step")];
        };
        let Some((step, mixed)) = self.last else {
            return vec![
                seen.missing("mixed/loss", "a `mixed/loss` for each step of a run in mixed precision"),
            ];
        };
        let Some(full) = losses.at(step) else {
            if !losses.cut().is_empty() {
                return vec![Ruling::skipped(
                    format!("no loss is kept for step {step}{}", losses.cut()),
                    "both losses",
                )];
            }
            let observed = format!("`mixed/loss` ends at step {step}, for which there is no `loss`");
            let cause = "the two runs count their steps differently";
            return vec![
                Ruling::broke(observed, "both losses at the same step").at(Some(step)).because(cause),
            ];
        };
        let slack = self.wanted.within.0 * first.abs();
        let holds = at_most((mixed - full).abs(), slack);
        let observed = format!("loss {} in mixed precision at step {step}", short(mixed));
        let wanted = format!(
            "{} ± {} ({} of the first loss {})",
            short(full),
            short(slack),
            self.wanted.within,
            short(first)
        );
        vec![Ruling::of(holds, observed, wanted).at(Some(step)).because(
            "no loss scaling, a reduction in half precision, or an epsilon that is zero in half precision",
        )]
    }
}
