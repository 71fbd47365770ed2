//! A comparison for people.

use gpu_suites::regression::pairs::{PairVerdict, Ratio};

use super::compared::{Compared, ComparedCase, ComparedMetric};
use crate::report::look::Look;
use crate::text::clean::log_line;
use crate::text::figures::{count, figure};

/// The comparison as lines, with a newline at the end.
pub fn text(compared: &Compared, look: Look) -> String {
    let Compared { base, head, node, .. } = compared;
    let mut lines =
        vec![format!("{} against {}, in turn on {}", log_line(head), log_line(base), log_line(node))];
    for case in &compared.cases {
        lines.push(format!(
            "{}  {}",
            look.bold(&log_line(case.case.as_str())),
            look.dim(&count(case.pairs, "pair"))
        ));
        lines.extend(of_case(case, look));
    }
    lines.join("\n") + "\n"
}

fn of_case(case: &ComparedCase, look: Look) -> Vec<String> {
    if let Some(why) = &case.why_not {
        return vec![format!("  {} {}", look.odd("not compared:"), log_line(why))];
    }
    // What nobody knows to be good or bad is for machines: --json has it.
    let judged = Vec::from_iter(case.metrics.iter().filter(|metric| metric.better.is_some()));
    let gone = case.gone.iter().map(|metric| {
        let missing = "not measured any more: it has another name now, or what measures it is no longer run";
        format!("  {}  {}", log_line(metric), look.odd(missing))
    });
    if judged.is_empty() && case.gone.is_empty() {
        return vec!["  no figure whose name says which way is better; say so in `metrics:`".to_owned()];
    }
    let width = judged.iter().map(|metric| log_line(&metric.metric).chars().count()).max().unwrap_or(0);
    judged.into_iter().map(|metric| of_metric(metric, width, look)).chain(gone).collect()
}

fn of_metric(metric: &ComparedMetric, width: usize, look: Look) -> String {
    let name = log_line(&metric.metric);
    let Some(ratio) = &metric.ratio else {
        let (base, head) = metric.values.last().copied().unwrap_or((f64::NAN, f64::NAN));
        let said = match metric.found {
            Some(PairVerdict::Worse) => look.bad("worse"),
            Some(PairVerdict::Better) => look.good("better"),
            Some(PairVerdict::NoDifference) | None => look.dim("not judged"),
        };
        return format!("  {name:width$}  no ratio: {} → {}  {said}", figure(base), figure(head));
    };
    let share = change(ratio);
    let said = match metric.found {
        Some(PairVerdict::Worse) => look.bad(&format!("worse by {share}")),
        Some(PairVerdict::Better) => look.good(&format!("better by {share}")),
        Some(PairVerdict::NoDifference) | None => look.dim("no difference found"),
    };
    format!("  {name:width$}  {}  {said}", interval(ratio))
}

/// `0.951× (0.944 to 0.958)`.
pub fn interval(ratio: &Ratio) -> String {
    format!("{:.3}× ({:.3} to {:.3})", ratio.ratio, ratio.low, ratio.high)
}

fn change(ratio: &Ratio) -> String {
    format!("{:.1} %", (ratio.ratio - 1.0).abs() * 100.0)
}
