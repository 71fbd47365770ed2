//! Verdicts in words.

use gpu_suites::event::{Judgement, Vanished};
use gpu_suites::regression::{Against, Direction, Verdict};

use crate::text::figures::figure;

/// `rate regressed: 91.2, 8.8 % worse than 100 (median of 30 nights, bound 97)`.
pub fn judgement(judgement: &Judgement) -> String {
    format!("{} {}", judgement.metric, verdict(&judgement.verdict, judgement.better))
}

/// The verdict without the metric's name.
pub fn verdict(verdict: &Verdict, better: Direction) -> String {
    match verdict {
        Verdict::InsufficientData { have, need } => {
            format!("insufficient data: {have} of the {need} nights that it takes to tell")
        }
        Verdict::NoNumber => "is no number (NaN or infinite)".to_owned(),
        Verdict::Steady(against) => format!("steady: {}", how(against, better)),
        Verdict::Improved(against) => format!("improved: {}", how(against, better)),
        Verdict::Suspected(against) => format!("suspected, not confirmed: {}", how(against, better)),
        Verdict::Regressed(against) => format!("regressed: {}", how(against, better)),
    }
}

fn how(against: &Against, better: Direction) -> String {
    let worse = against.worsening(better);
    let way = if worse < 0.0 { "better" } else { "worse" };
    let share = if worse.is_finite() {
        format!("{:.1} % {way} than", worse.abs() * 100.0)
    } else {
        format!("{way} than")
    };
    let Against { value, median, nights, bound, .. } = against;
    // Of nothing there is no share: what counts is then any change beyond the scatter.
    let nothing = if worse.is_finite() { "" } else { ", of which there is no share" };
    format!(
        "{}, {share} {}{nothing} (median of {nights} nights, bound {})",
        figure(*value),
        figure(*median),
        figure(*bound)
    )
}

/// `rate did not come, which came on 10 of the last nights: …`.
pub fn vanished(vanished: &Vanished) -> String {
    let Vanished { metric, nights } = vanished;
    format!(
        "{metric} did not come, and came on {nights} of the last nights: it has another name now, or what measures it is \
         no longer run"
    )
}
