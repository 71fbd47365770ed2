//! Promises of the checks on a measurement of throughput: what is slow fails, what was not measured validly errs.

use std::fmt::Write as _;
use std::time::Duration;

use gpu_suites::checks::{self, End, ProcessEnd};
use gpu_suites::evaluation::{Evaluator, judge};
use gpu_suites::event::Finding;
use gpu_suites::metric_lines::parse;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::Case;

const MEASURED: &str =
    "name: a\nthroughput:\n  model: { builtin: resnet18 }\n  dtypes: [fp32, bf16]\n  batch: [1, 8]\n";

/// What a worker writes of a device without bf16.
const GOOD: &str = r#"
{"fp32/ceiling_gflops": 100}
{"step": 1, "fp32/batch-1/window_items_per_second": 19.9}
{"fp32/batch-1/windows_valid": 5, "fp32/batch-1/windows_wanted": 5, "fp32/batch-1/items_per_second": 20, "fp32/batch-1/spread": 0.01, "fp32/batch-1/share_of_ceiling": 0.4, "fp32/batch-1/memory_peak_bytes": 104857600, "fp32/batch-1/latency_p99_ms": "takes 662 batches, 312 were measured"}
{"fp32/batch-8/windows_valid": 5, "fp32/batch-8/windows_wanted": 5, "fp32/batch-8/items_per_second": 30, "fp32/batch-8/spread": 0.015, "fp32/batch-8/measured_seconds": 20.4, "fp32/batch-8/short": true, "fp32/batch-8/share_of_ceiling": 0.6}
{"fp32/items_per_second": 30, "fp32/spread": 0.015, "fp32/share_of_ceiling": 0.6, "fp32/memory_peak_bytes": 209715200, "fp32/batch": 8, "fp32/latency_p99_ms": 41.5, "fp32/share_of_base": 0.951}
{"bf16/left_out": "this CPU has no bfloat16 instructions"}
"#;

/// The second batch size had company.
const INVALID: &str = r#"
{"fp32/batch-1/windows_valid": 5, "fp32/batch-1/windows_wanted": 5, "fp32/batch-1/items_per_second": 20, "fp32/batch-1/spread": 0.01}
{"fp32/batch-8/windows_valid": 3, "fp32/batch-8/windows_wanted": 5, "fp32/batch-8/why_invalid": "other processes took 40 % of the CPU time (at most 10 %)"}
{"fp32/items_per_second": 20, "fp32/spread": 0.01, "fp32/batch": 1}
"#;

fn case(checks: &str) -> Case {
    serde_yaml::from_str(&format!("{MEASURED}{checks}")).expect("the test's own case is right")
}

fn findings(case: &Case, text: &str) -> Vec<Finding> {
    let mut evaluator = Evaluator::for_case(case);
    for line in text.lines().filter(|line| !line.is_empty()) {
        evaluator.observe(&parse(line.as_bytes()).expect("the test's own line is right"));
    }
    evaluator.conclude(&End { process: ProcessEnd::Exited(0), elapsed: Duration::from_secs(90) })
}

fn shown(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |mut text, finding| {
        let Finding { check, subject, verdict, observed, wanted, cause, .. } = finding;
        let _ = writeln!(
            text,
            "{check} [{}] {verdict:?}: {observed}; wanted {wanted}{}",
            subject.as_deref().unwrap_or_default(),
            cause.as_ref().map_or(String::new(), |cause| format!("; {cause}"))
        );
        text
    })
}

#[test]
fn a_throughput_case_runs_the_checks_of_its_kind() {
    assert_eq!(
        case("").selected_checks(),
        [checks::Finite::NAME, checks::ValidWindows::NAME, checks::Rate::NAME],
        "finite, the rules, and the spread"
    );
}

#[test]
fn windows_that_agree_are_all_that_is_asked_where_the_suite_asks_nothing() {
    let case = case("");
    let found = findings(&case, GOOD);
    assert_eq!(judge(&case, &found), (Outcome::Passed, None));
    insta::assert_snapshot!(shown(&found));
}

#[test]
fn each_figure_has_its_own_verdict_and_says_what_to_look_at() {
    let case = case(
        "checks:\n  rate:\n    - { at-least: 25 }\n    - { dtype: fp32, batch: 1, at-least: 25, of-ceiling: 50%, spread: 0.5%, memory: 64 MiB, latency-p99: 40ms }\n    - { dtype: fp32, latency-p99: 40ms, of-ceiling: 50%, of-base: 97% }\n    - { dtype: fp32, batch: 8, memory: 1 GiB }\n",
    );
    let found = findings(&case, GOOD);
    assert_eq!(judge(&case, &found).0, Outcome::Failed);
    insta::assert_snapshot!(shown(&found));
}

#[test]
fn a_measurement_that_is_not_valid_is_an_error_and_not_slow() {
    let case = case(
        "checks:\n  rate:\n    - { dtype: fp32, batch: 8, at-least: 25 }\n    - { dtype: fp32, batch: 1, at-least: 15 }\n",
    );
    let found = findings(&case, INVALID);
    let (outcome, reason) = judge(&case, &found);
    assert_eq!(outcome, Outcome::Errored);
    assert!(reason.expect("a reason").contains("other processes took 40 %"), "{}", shown(&found));
    insta::assert_snapshot!(shown(&found));
}

#[test]
fn what_is_slow_fails_even_beside_what_is_not_valid() {
    let case = case("checks:\n  rate:\n    - { dtype: fp32, batch: 1, at-least: 25 }\n");
    assert_eq!(judge(&case, &findings(&case, INVALID)).0, Outcome::Failed);
}

#[test]
fn a_worker_that_measures_nothing_never_passes() {
    let case = case("");
    for text in ["", r#"{"bf16/left_out": "none"}"#, r#"{"fp32/items_per_second": "fast"}"#] {
        let (outcome, reason) = judge(&case, &findings(&case, text));
        assert_ne!(outcome, Outcome::Passed, "{text}: {reason:?}");
    }
}

#[test]
fn names_that_only_look_like_points_are_metrics_like_others() {
    let case = case("");
    let odd =
        r#"{"fp32/batch-x/spread": 9, "fp64/spread": 9, "fp32/batch-0/spread": 9, "spread": 9, "fp32": 9}"#;
    let found = findings(&case, &format!("{GOOD}{odd}"));
    assert_eq!(judge(&case, &found).0, Outcome::Passed, "{}", shown(&found));
}
