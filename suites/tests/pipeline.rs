//! Promises of the checks on a pipeline: every row counts, and predictions that are unknown are not right.

use std::time::Duration;

use gpu_suites::checks::{self, End, ProcessEnd};
use gpu_suites::evaluation::{Evaluator, judge};
use gpu_suites::metric_lines::parse;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::Case;

fn case(more: &str, checks: &str) -> Case {
    let text = format!(
        "name: a\npipeline: {{ model: {{ builtin: resnet18 }}, images: {{ from: 's3://tiles/' }}, output: classify{more} }}\nchecks: {checks}\n"
    );
    serde_yaml::from_str(&text).expect("the test's own case is right")
}

fn judged(case: &Case, text: &str) -> (Outcome, String) {
    let mut evaluator = Evaluator::for_case(case);
    for line in text.lines() {
        evaluator.observe(&parse(line.as_bytes()).expect("the test's own line is right"));
    }
    let end = End { process: ProcessEnd::Exited(0), elapsed: Duration::from_secs(9) };
    let (outcome, reason) = judge(case, &evaluator.conclude(&end));
    (outcome, reason.unwrap_or_default())
}

fn rows(errors: u32, missing: u32, doubled: u32, foreign: u32) -> String {
    format!(
        r#"{{"rows/inputs":1000,"rows/errors":{errors},"rows/missing":{missing},"rows/doubled":{doubled},"rows/foreign":{foreign}}}"#
    )
}

#[test]
fn a_pipeline_runs_the_checks_of_its_kind() {
    assert_eq!(case("", "{}").selected_checks(), [checks::Finite::NAME, checks::Shards::NAME]);
    let golden = case(", golden: g.json", "{}");
    assert_eq!(
        golden.selected_checks(),
        [checks::Finite::NAME, checks::Shards::NAME, checks::Predictions::NAME]
    );
    assert_eq!(golden.inputs().len(), 1);
}

#[test]
fn every_row_counts() {
    let strict = case("", "{}");
    assert_eq!(judged(&strict, &rows(0, 0, 0, 0)).0, Outcome::Passed);
    for (text, said) in [
        (rows(0, 1, 0, 0), "1 missing"),
        (rows(0, 0, 2, 0), "2 doubled"),
        (rows(0, 0, 0, 3), "3 of no input"),
        (rows(1, 0, 0, 0), "1 rows are errors (0.1%)"),
    ] {
        let (outcome, reason) = judged(&strict, &text);
        assert_eq!(outcome, Outcome::Failed, "{text}");
        assert!(reason.contains(said), "{reason}");
    }
    let lenient = case("", "{ shards: { errors: 1% } }");
    assert_eq!(judged(&lenient, &rows(10, 0, 0, 0)).0, Outcome::Passed);
    assert_eq!(judged(&lenient, &rows(11, 0, 0, 0)).0, Outcome::Failed);
    let (outcome, reason) = judged(&strict, r#"{"rows/inputs":1000}"#);
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("`rows/missing` never came"), "{reason}");
}

#[test]
fn predictions_that_differ_or_are_not_there_fail() {
    let case = case(", golden: g.json", "{ predictions: { within: 0.01 } }");
    let golden = |difference: &str, compared: u32, missing: u32| {
        let golden = format!(
            r#"{{"predictions/compared":{compared},"predictions/missing":{missing},"predictions/max_abs_diff":{difference}}}"#
        );
        judged(&case, &format!("{}\n{golden}", rows(0, 0, 0, 0)))
    };
    assert_eq!(golden("0.009", 12, 0).0, Outcome::Passed);
    for (wrong, said) in [
        (golden("0.011", 12, 0), "differ by up to 0.011"),
        (golden("0", 11, 1), "1 are not in the shards"),
        (golden("0", 0, 0), "0 predictions compared"),
    ] {
        assert_eq!(wrong.0, Outcome::Failed, "{said}");
        assert!(wrong.1.contains(said), "{}", wrong.1);
    }
}
