//! What a run amounts to in the history: a pure fold over its state, so that any old run can be added.

use gpu_suites::metrics::Value;
use gpu_suites::outcome::Outcome;
use gpu_suites::regression::answers;
use gpu_suites::statistics;

use super::line::{Key, Line};
use crate::report::RunState;
use crate::report::case::{Attempt, CaseState};

/// The lines of a run. A case that was skipped has none: nothing was run.
pub fn lines(state: &RunState) -> Vec<Line> {
    state.cases().iter().flat_map(|case| of_case(state, case)).collect()
}

fn of_case(state: &RunState, case: &CaseState) -> Vec<Line> {
    let (Some(run), Some(latest)) = (&state.run, state.latest) else { return Vec::new() };
    let ending = state.ending(case);
    if ending.outcome == Outcome::Skipped {
        return Vec::new();
    }
    let degraded = state.judged.get(case.id()).and_then(|judged| judged.degraded.clone());
    let unhealthy = unhealthy(case, ending.outcome).or(degraded);
    let line = |metric: Option<&str>, measured: Vec<f64>| Line {
        run: run.clone(),
        at: case.last_ended().map_or(latest, |end| end.at),
        suite: case.id().suite().to_owned(),
        case: case.id().case().to_owned(),
        metric: metric.map(str::to_owned),
        value: metric.map(|_| Value::Number(statistics::median(&measured).unwrap_or(f64::NAN))),
        measured: if measured.len() > 1 { measured.into_iter().map(Value::Number).collect() } else { vec![] },
        key: key(state, case, metric.unwrap_or_default()),
        commit: state.commit.clone(),
        outcome: ending.outcome,
        flaky: case.is_flaky(),
        healthy: unhealthy.is_none(),
        unhealthy: unhealthy.clone(),
    };
    let answers = answers(case).map(|(metric, text)| Line {
        value: Some(Value::Text(text.clone())),
        measured: vec![],
        ..line(Some(metric), Vec::new())
    });
    let answers = Vec::from_iter(answers);
    if case.metrics.is_empty() && answers.is_empty() {
        return vec![line(None, Vec::new())];
    }
    let figures = case.metrics.keys().map(|metric| line(Some(metric), measured(case, metric)));
    figures.chain(answers).collect()
}

/// The texts by which answers are compared: hashes, and what stands beside them.
fn answers(case: &CaseState) -> impl Iterator<Item = (&String, &String)> {
    let hashes = case.facts.iter().filter(|(name, _)| answers::is_hash(name));
    hashes.flat_map(|(name, hash)| {
        let beside = |what: &str| case.facts.get_key_value(&answers::beside(name, what)?);
        [Some((name, hash)), beside("sketch"), beside("sample")].into_iter().flatten()
    })
}

/// Each attempt's last value of the metric, oldest first: the attempts that passed, where any did; of these, those whose node
/// was well, where any was.
pub fn measured(case: &CaseState, metric: &str) -> Vec<f64> {
    let of = |fits: fn(&&Attempt) -> bool| {
        Vec::from_iter(case.ended.iter().filter(fits).filter_map(|end| end.figures.get(metric).copied()))
    };
    let well = of(|end| end.is_well());
    if !well.is_empty() {
        return well;
    }
    let passed = of(|end| end.outcome == Outcome::Passed);
    // What a failed attempt measured is shown, and what an unfinished one said last.
    let last = || case.metrics.get(metric).map(|series| series.last).into_iter().collect();
    if passed.is_empty() { last() } else { passed }
}

/// Why what a case measured is for no baseline.
fn unhealthy(case: &CaseState, outcome: Outcome) -> Option<String> {
    // A case, or whoever measures the node for it, knows best.
    let said =
        ["unhealthy", "degraded"].iter().find_map(|name| case.device.get(*name).or(case.facts.get(*name)));
    if let Some(why) = said.filter(|why| !why.is_empty() && *why != "false") {
        return Some(why.clone());
    }
    gpu_trouble(case).or_else(|| (outcome != Outcome::Passed).then(|| format!("outcome: {outcome}")))
}

/// What was wrong with the GPUs of the latest attempt, where no attempt passed on GPUs that were well.
pub fn gpu_trouble(case: &CaseState) -> Option<String> {
    let unwell = case.last_ended()?.unwell.clone()?;
    (!case.ended.iter().any(Attempt::is_well)).then_some(unwell)
}

/// What the value was measured on, as far as the case and the cloud told.
pub fn key(state: &RunState, case: &CaseState, metric: &str) -> Key {
    let fact = |names: &[&str]| {
        names.iter().find_map(|name| case.device.get(*name).or(case.facts.get(*name)).cloned())
    };
    let bill = state.receipt.nodes.last();
    let (dtype, batch) = point(metric);
    let gpu = fact(&["gpu"]);
    Key {
        model: fact(&["model_sha256", "model_hash", "model"]),
        dtype: dtype.or_else(|| fact(&["dtype"])),
        batch: batch.or_else(|| fact(&["batch"])),
        threads: if gpu.is_none() { fact(&["threads"]) } else { None },
        device: gpu.or_else(|| fact(&["cpu"])),
        driver: fact(&["driver"]),
        libtorch: fact(&["libtorch", "torch"]),
        instance_type: bill.map(|bill| bill.instance_type.clone()),
        node: bill.map(|_| "ec2".to_owned()).or_else(|| state.node.as_ref().map(ToString::to_string)),
    }
}

/// Dtype and batch size of a metric such as `fp32/batch-16/items_per_second`.
fn point(metric: &str) -> (Option<String>, Option<String>) {
    let mut parts = metric.split('/');
    let dtype =
        parts.next().filter(|part| gpu_suites::spec::Dtype::ALL.iter().any(|known| known.as_str() == *part));
    let batch = dtype.and_then(|_| parts.next()).and_then(|part| part.strip_prefix("batch-"));
    (dtype.map(str::to_owned), batch.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_case_that_ran_is_kept_and_only_what_passed_is_healthy() {
        let state = sample::state(&sample::every_outcome());
        let lines = lines(&state);
        for case in state.cases() {
            let outcome = state.ending(case).outcome;
            let of = Vec::from_iter(lines.iter().filter(|line| line.id() == *case.id()));
            assert_eq!(of.is_empty(), outcome == Outcome::Skipped, "{}", case.id());
            assert!(of.iter().all(|line| line.healthy == (outcome == Outcome::Passed)), "{of:#?}");
            assert!(of.iter().all(|line| line.healthy != line.unhealthy.is_some()), "{of:#?}");
        }
    }

    #[test]
    fn a_hostile_run_has_lines_that_can_be_written_and_read_again() {
        let state = sample::state(&sample::hostile());
        let Some(run) = state.run.clone().filter(gpu_suites::id::RunId::is_valid) else { return };
        let lines = lines(&state);
        let read = super::super::object::read(&super::super::object::write(&run, &lines)).unwrap();
        assert_eq!(read.len(), lines.len());
    }

    #[test]
    fn the_point_of_a_throughput_figure_is_in_its_name() {
        let point = |metric| {
            let (dtype, batch) = point(metric);
            format!("{} {}", dtype.unwrap_or_default(), batch.unwrap_or_default())
        };
        assert_eq!(point("fp32/batch-16/items_per_second"), "fp32 16");
        assert_eq!(point("bf16/items_per_second"), "bf16 ");
        assert_eq!(point("eval/batch-16/iou"), " ");
    }
}
