//! `steps`: no step was left out, and each one moved the weights.
//!
//! A step whose update never happened leaves a curve that looks as good as any other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::short;
use super::{CaseFacts, Check, Fold};

/// No step was left out, and each one moved the weights. Only where it is named.
/// The steps of `loss` follow one another without a gap, and each `update_norm` is above 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steps {
    /// How many steps there have to be; default: as many as come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Check for Steps {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, still: None, stills: 0, updates: 0, last_update: 0 })
    }
}

const UPDATE: &str = "update_norm";

#[derive(Debug)]
struct Running {
    wanted: Steps,
    /// The first step whose update was nothing, and what it was.
    still: Option<(u64, f64)>,
    stills: u64,
    updates: u64,
    last_update: u64,
}

impl Running {
    /// What is wrong: words, the step, the usual cause.
    fn wrong(&self, steps: &[(u64, f64)]) -> Option<(String, Option<u64>, &'static str)> {
        let gap = steps.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1);
        if let Some([before, after]) = gap {
            let observed = format!("after step {} came step {}", before.0, after.0);
            return Some((
                observed,
                Some(after.0),
                "a step that was left out, by a `continue` or an error that was swallowed",
            ));
        }
        if let Some((step, norm)) = self.still {
            let observed = format!(
                "`{UPDATE}` {} at step {step}; {} of {} updates moved nothing",
                short(norm),
                self.stills,
                self.updates
            );
            return Some((
                observed,
                Some(step),
                "a scaler or a guard that skips the update, a learning rate of zero, or gradients that were dropped before it",
            ));
        }
        let came = steps.len() as u64;
        let count = self.wanted.count.filter(|count| *count != came)?;
        let observed = format!("{came} steps of {count}");
        Some((
            observed,
            steps.last().map(|point| point.0),
            "training that ended early or late: a loader that ran dry, or another number of steps than was meant",
        ))
    }
}

impl Fold for Running {
    fn keeps(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn observe(&mut self, sample: &Sample<'_>) {
        let Some(norm) = sample.number_of(UPDATE) else { return };
        self.updates += 1;
        self.last_update = sample.step.unwrap_or(self.last_update.saturating_add(1));
        // A NaN or an infinity moves nothing that could still be called a weight.
        if norm.is_finite() && norm > 0.0 {
            return;
        }
        self.stills += 1;
        self.still.get_or_insert((self.last_update, norm));
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let wanted = match self.wanted.count {
            Some(count) => format!("{count} steps without a gap, each with an update"),
            None => "steps without a gap, each with an update".to_owned(),
        };
        let Some(series) = seen.series("loss").filter(|series| series.first.is_some()) else {
            return vec![seen.missing("loss", &wanted)];
        };
        if self.updates == 0 {
            return vec![seen.missing(UPDATE, &wanted)];
        }
        if !series.cut().is_empty() {
            return vec![Ruling::skipped(format!("the series is too long{}", series.cut()), wanted)];
        }
        vec![match self.wrong(&series.points) {
            Some((observed, step, cause)) => Ruling::broke(observed, wanted).at(step).because(cause),
            None => {
                Ruling::of(true, format!("{} steps, {} updates", series.points.len(), self.updates), wanted)
            }
        }]
    }
}
