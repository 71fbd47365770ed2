//! The rules that are compared. More is better in every series here.

use gpu_suites::regression::{Direction, Rule as OurRule, Verdict};

use super::nights::Night;

/// What a rule says of a night.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) is_alarm: bool,
    /// How often it had to measure again.
    pub(super) measured_again: u64,
}

pub(super) trait Rule {
    fn name(&self) -> &'static str;

    /// Judges a night against the first measurements of the nights before.
    fn alarm(&self, before: &[f64], run_history: &Night) -> Said;
}

/// Ours: measures again as long as the rule suspects.
pub(super) struct Ours(OurRule);

/// Other numbers for our rule, as JSON, e.g. `{"z": 2.5}`: how they were chosen.
const NUMBERS: &str = "GPU_HARNESS_BENCH_RULE";

impl Default for Ours {
    fn default() -> Self {
        let numbers = std::env::var(NUMBERS)
            .ok()
            .map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{NUMBERS}: {error}")));
        Self(numbers.unwrap_or_default())
    }
}

impl Rule for Ours {
    fn name(&self) -> &'static str {
        "gpu-harness"
    }

    fn alarm(&self, before: &[f64], run_history: &Night) -> Said {
        for (again, count) in (1..=run_history.0.len()).enumerate() {
            match self.0.judge(before, &run_history.0[..count], Direction::Higher) {
                Verdict::Suspected(_) => {}
                verdict => {
                    let is_alarm = matches!(verdict, Verdict::Regressed(_));
                    return Said { is_alarm, measured_again: again as u64 };
                }
            }
        }
        Said { is_alarm: false, measured_again: run_history.0.len() as u64 - 1 }
    }
}

/// That of PyTorch's HUD for `geomean_speedup`: below 95 % of the best of 6 nights that lie before the 4 latest. See
/// `common/config.py` and `common/regression_utils.py` in `aws/lambda/benchmark_regression_summary_report` of
/// pytorch/test-infra.
pub(super) enum Hud {
    /// As it runs: a regression is two nights in a row, so none is found on its first.
    TwoInARow,
    /// With `min_points` 1: the last night alone.
    First,
}

const HUD_BASELINE: usize = 6;
const HUD_COMPARISON: usize = 4;
const HUD_THRESHOLD: f64 = 0.95;

impl Rule for Hud {
    fn name(&self) -> &'static str {
        match self {
            Self::TwoInARow => "PyTorch HUD",
            Self::First => "PyTorch HUD, first violation",
        }
    }

    fn alarm(&self, before: &[f64], run_history: &Night) -> Said {
        let series = [before, &[run_history.first()]].concat();
        let (older, compared) = series.split_at(series.len().saturating_sub(HUD_COMPARISON));
        let baseline = &older[older.len().saturating_sub(HUD_BASELINE)..];
        let best = baseline.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let violations = compared.iter().rev().take_while(|value| **value < best * HUD_THRESHOLD).count();
        let is_alarm = match self {
            Self::TwoInARow => violations >= 2,
            Self::First => violations >= 1,
        };
        Said { is_alarm, measured_again: 0 }
    }
}

/// 7 % below the night before.
pub(super) struct SevenPercent;

impl Rule for SevenPercent {
    fn name(&self) -> &'static str {
        "7 % against the last run"
    }

    fn alarm(&self, before: &[f64], run_history: &Night) -> Said {
        let is_alarm = before.last().is_some_and(|last| run_history.first() < last * 0.93);
        Said { is_alarm, measured_again: 0 }
    }
}
