//! Promises of the checks: each one notices what it is for, says so in words that help, and holds where all is well.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use gpu_suites::checks::{Abort, End, Evaluator, ProcessEnd, judge, selected};
use gpu_suites::event::{Finding, Verdict};
use gpu_suites::metrics::{Blame, Line, Value, parse};
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, CheckName};
use proptest::prelude::*;

const TRAIN: &str = "
name: a
train:
  model: { builtin: unet }
  data: { image: a.png, boxes: a.csv, task: segment, size: 64 }
";

const COMMAND: &str = "{ name: a, command: { run: [prog] } }";

fn case(yaml: &str) -> Case {
    serde_yaml::from_str(yaml).expect("the test's own case is right")
}

/// A command that runs just the named check.
fn only(checks: &str) -> Case {
    case(&format!("{{ name: a, command: {{ run: [prog] }}, checks: {{ {checks} }} }}"))
}

fn train(more: &str) -> Case {
    case(&format!("{TRAIN}{more}"))
}

fn ended(process: ProcessEnd) -> End {
    End { process, elapsed: Duration::from_secs(12) }
}

fn exited(code: i32) -> End {
    ended(ProcessEnd::Exited(code))
}

fn signalled(signal: i32, name: &str) -> End {
    ended(ProcessEnd::Signalled { signal, name: name.into() })
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().map(|line| parse(line.as_bytes()).expect("the test's own line is right")).collect()
}

/// A line for each step from 1 to `steps`.
fn each(steps: u64, line: impl Fn(f64) -> String) -> String {
    (1..=steps).fold(String::new(), |mut text, step| {
        let _ = writeln!(text, r#"{{"step":{step},{}}}"#, line(step as f64));
        text
    })
}

fn findings(case: &Case, text: &str, end: &End) -> Vec<Finding> {
    let mut evaluator = Evaluator::for_case(case);
    for line in lines(text) {
        evaluator.observe(&line);
    }
    evaluator.conclude(end)
}

fn of(check: CheckName, case: &Case, text: &str, end: &End) -> Vec<Finding> {
    let mut found = findings(case, text, end);
    found.retain(|finding| finding.check == check);
    found
}

fn shown(findings: &[Finding]) -> String {
    findings.iter().fold(
        String::new(),
        |mut text, Finding { check, subject, verdict, observed, wanted, step, cause }| {
            let subject = subject.as_ref().map_or(String::new(), |subject| format!(" {subject}"));
            let _ = writeln!(text, "{check}{subject}: {verdict:?}");
            let _ = writeln!(text, "  observed: {observed}\n  wanted:   {wanted}");
            if let Some(step) = step {
                let _ = writeln!(text, "  step:     {step}");
            }
            if let Some(cause) = cause {
                let _ = writeln!(text, "  cause:    {cause}");
            }
            text
        },
    )
}

const CENSUS: &str = r#"{"step":1,"params_trainable":62,"params_without_gradient":0,"params_zero_gradient":0,"params_nonfinite_gradient":0,"params_unchanged":0,"frozen_changed":0}"#;
const HOLED: &str = r#"{"step":1,"params_trainable":62,"params_without_gradient":2,"params_without_gradient_names":"head.weight, head.bias","params_zero_gradient":1,"params_zero_gradient_names":"stem.bias","params_nonfinite_gradient":0,"params_unchanged":3,"frozen_changed":0}"#;

fn falling(name: &str, steps: u64) -> String {
    each(steps, |step| format!(r#""{name}":{}"#, 0.7 * (-step / 20.0).exp()))
}

/// Inputs and the rows that came of them, a letter each.
fn rows(inputs: &str, rows: &str) -> String {
    let input = inputs.chars().map(|key| format!("{{\"input_row\":\"{key}\"}}\n"));
    input.chain(rows.chars().map(|key| format!("{{\"row\":\"{key}\"}}\n"))).collect()
}

/// A check, its parameters, a run that is sound, and runs that are not, each by a name.
type Row = (CheckName, &'static str, String, Vec<(&'static str, String)>);

#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
fn table() -> Vec<Row> {
    let steady = |name: &str, value: f64| each(200, |_| format!(r#""{name}":{value}"#));
    vec![
        (
            CheckName::Finite,
            "finite: {}",
            steady("loss", 0.5),
            vec![
                (
                    "a NaN",
                    each(3, |step| format!(r#""eval/iou":{}"#, if step > 1.0 { "NaN" } else { "0.5" })),
                ),
                ("an infinite gradient", each(3, |_| r#""grad_norm":-Infinity"#.into())),
            ],
        ),
        (
            CheckName::InitialLoss,
            "initial-loss: { near: 0.6931 }",
            steady("loss", 0.7),
            vec![
                ("too high", steady("loss", 5.25)),
                ("too low", steady("loss", 0.01)),
                ("under another name", steady("train/loss", 0.7)),
                ("as a text", each(2, |_| r#""loss":"0.7""#.into())),
            ],
        ),
        (
            CheckName::InitialLoss,
            "initial-loss: { within: 10% }",
            each(1, |_| r#""loss":0.7,"expected_initial_loss":0.6931"#.into()),
            vec![("no expectation", steady("loss", 0.7))],
        ),
        (
            CheckName::SameBatch,
            "same-batch: {}",
            each(200, |_| r#""batch_hash":"9f2c""#.into()),
            vec![
                (
                    "another batch",
                    each(200, |step| {
                        format!(r#""batch_hash":"{}""#, if step < 17.0 { "9f2c" } else { "77aa" })
                    }),
                ),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::Gradients,
            "gradients: {}",
            CENSUS.into(),
            vec![
                ("holes", HOLED.into()),
                ("nothing to train", CENSUS.replace("62", "0")),
                ("NaN gradients", CENSUS.replace(r#"nonfinite_gradient":0"#, r#"nonfinite_gradient":62"#)),
                (
                    "a frozen one moved",
                    CENSUS.replace(
                        r#"frozen_changed":0"#,
                        r#"frozen_changed":4,"frozen_changed_names":"stem.weight""#,
                    ),
                ),
                ("half a census", CENSUS.replace(r#","params_unchanged":0"#, "")),
            ],
        ),
        (
            CheckName::Gradients,
            "gradients: { frozen: 0 }",
            CENSUS.replace("62,", r#"62,"params_frozen":0,"#),
            vec![
                (
                    "one is frozen",
                    CENSUS.replace("62,", r#"61,"params_frozen":1,"params_frozen_names":"stem.weight","#),
                ),
                ("it is not said", CENSUS.into()),
            ],
        ),
        (
            CheckName::LossDrop,
            "loss-drop: {}",
            falling("loss", 200),
            vec![
                ("a plateau", each(200, |step| format!(r#""loss":{}"#, 0.31 + 0.4 * (-step / 10.0).exp()))),
                ("flat", steady("loss", 0.69)),
                ("diverged", each(200, |step| format!(r#""loss":{}"#, 0.7 * step))),
                ("still falling", each(200, |step| format!(r#""loss":{}"#, 0.7 * (-step / 200.0).exp()))),
                (
                    "rose again",
                    each(200, |step| {
                        format!(r#""loss":{}"#, if step < 150.0 { 0.7 - step * 0.004 } else { 0.6 })
                    }),
                ),
                ("one loss", each(1, |_| r#""loss":0.7"#.into())),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::LossDrop,
            "loss-drop: { floor: 0.1 }",
            steady("loss", 0.1),
            vec![("above the floor", steady("loss", 0.2))],
        ),
        (
            CheckName::LossDrop,
            "loss-drop: { to: 50% }",
            // A log-likelihood: it falls by its own size and more.
            each(200, |step| format!(r#""loss":{}"#, -0.5 - step * 0.01)),
            vec![
                (
                    "a negative loss that rose",
                    each(200, |step| format!(r#""loss":{}"#, -2.1 + step * 0.0075)),
                ),
                ("one that rose above 0", each(200, |step| format!(r#""loss":{}"#, -0.1 + step * 0.01))),
                ("one that never moved", steady("loss", -0.5)),
                ("one that fell too little", each(200, |step| format!(r#""loss":{}"#, -0.5 - step * 0.0005))),
                ("a loss of 0 from the start", steady("loss", 0.0)),
            ],
        ),
        (
            CheckName::LossDrop,
            "loss-drop: { floor: -0.9 }",
            each(200, |step| format!(r#""loss":{}"#, -0.1 - step * 0.0045)),
            vec![("above a floor below 0", steady("loss", -0.5))],
        ),
        (
            CheckName::LossDrop,
            "loss-drop: {}",
            each(200, |step| format!(r#""loss":{}"#, 0.5 - step * 0.01)),
            vec![],
        ),
        (
            CheckName::Metric,
            "metric: [{ name: train/iou, at-least: 0.99 }, { name: eval/iou, at-least: 0.99 }]",
            r#"{"step":200,"train/iou":0.995,"eval/iou":0.991}"#.into(),
            vec![
                ("bad in eval mode", r#"{"step":200,"train/iou":0.995,"eval/iou":0.31}"#.into()),
                ("bad in both", r#"{"step":200,"train/iou":0.42,"eval/iou":0.31}"#.into()),
                ("one never came", r#"{"step":200,"train/iou":1.0}"#.into()),
            ],
        ),
        (
            CheckName::Metric,
            "metric: [{ name: rate, at-least: 10, at-most: 20, when: every }]",
            steady("rate", 15.0),
            vec![("once outside", each(9, |step| format!(r#""rate":{}"#, 13.0 + step)))],
        ),
        (
            CheckName::Metric,
            "metric: [{ name: rate, at-least: 10, when: best }]",
            each(9, |step| format!(r#""rate":{}"#, 4.0 + step)),
            vec![("never", each(9, |step| format!(r#""rate":{}"#, 10.0 - step)))],
        ),
        (
            CheckName::Metric,
            "metric: [{ name: rate, at-most: 10, when: mean }]",
            each(9, |step| format!(r#""rate":{}"#, 4.0 + step)),
            vec![("too much", each(9, |step| format!(r#""rate":{}"#, 7.0 + step)))],
        ),
        (
            CheckName::GradNormDrop,
            "grad-norm-drop: {}",
            falling("grad_norm", 200),
            vec![
                ("steady", steady("grad_norm", 1.5)),
                ("nothing but zeros", steady("grad_norm", 0.0)),
                ("too few", falling("grad_norm", 9)),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::ZeroedImage,
            "zeroed-image: {}",
            r#"{"eval/iou":0.99,"zeroed/iou":0.2}"#.into(),
            vec![
                ("as good", r#"{"eval/iou":0.99,"zeroed/iou":0.9}"#.into()),
                ("nothing to compare with", r#"{"zeroed/iou":0.9}"#.into()),
                ("nothing", r#"{"eval/iou":0.99}"#.into()),
            ],
        ),
        (
            CheckName::Deterministic,
            "deterministic: {}",
            falling("loss", 20) + &falling("repeat/loss", 10),
            vec![
                ("one bit", falling("loss", 3) + r#"{"step":2,"repeat/loss":0.6333861926251717}"#),
                ("no step in common", falling("loss", 3) + r#"{"step":9,"repeat/loss":0.6}"#),
                ("nothing", falling("loss", 3)),
            ],
        ),
        (
            CheckName::Deterministic,
            "deterministic: {}",
            falling("loss", 3)
                + &falling("repeat/loss", 3)
                + r#"{"step":3,"eval/loss":0.5,"repeat/eval/loss":0.5}"#,
            vec![
                (
                    "evaluation draws",
                    falling("loss", 3)
                        + &falling("repeat/loss", 3)
                        + r#"{"step":3,"eval/loss":0.5,"repeat/eval/loss":0.5000000000000001}"#,
                ),
                (
                    "evaluated at another step",
                    falling("loss", 3)
                        + &falling("repeat/loss", 3)
                        + "{\"step\":3,\"eval/loss\":0.5}\n{\"step\":4,\"repeat/eval/loss\":0.5}",
                ),
            ],
        ),
        (
            CheckName::MixedPrecision,
            "mixed-precision: {}",
            falling("loss", 20) + r#"{"step":20,"mixed/loss":0.26}"#,
            vec![
                ("far off", falling("loss", 20) + r#"{"step":20,"mixed/loss":0.6}"#),
                ("at another step", falling("loss", 20) + r#"{"step":21,"mixed/loss":0.26}"#),
                ("nothing", falling("loss", 20)),
            ],
        ),
        (
            CheckName::ResumeParity,
            "resume-parity: {}",
            falling("loss", 20) + &falling("resumed/loss", 20),
            vec![
                ("another loss", falling("loss", 20) + r#"{"step":11,"resumed/loss":0.4}"#),
                (
                    "lost buffers",
                    falling("loss", 20)
                        + &falling("resumed/loss", 20)
                        + r#"{"step":20,"eval/loss":0.5,"resumed/eval/loss":0.9}"#,
                ),
            ],
        ),
        (
            CheckName::MemoryFlat,
            "memory-flat: {}",
            steady("memory_bytes", 1e9),
            vec![
                ("a leak", each(200, |step| format!(r#""memory_bytes":{}"#, 1e9 + step * 1e6))),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::ExportParity,
            "export-parity: {}",
            r#"{"export_max_abs_diff":0.00001}"#.into(),
            vec![("too far", r#"{"export_max_abs_diff":0.5}"#.into()), ("nothing", String::new())],
        ),
        (
            CheckName::Steps,
            "steps: { count: 9 }",
            each(9, |_| r#""loss":0.5,"update_norm":0.1"#.into()),
            vec![
                ("an update of nothing", {
                    let norm = |step: f64| if (3.5..4.5).contains(&step) { 0.0 } else { 0.1 };
                    each(9, |step| format!(r#""loss":0.5,"update_norm":{}"#, norm(step)))
                }),
                (
                    "a gap",
                    each(9, |_| r#""loss":0.5,"update_norm":0.1"#.into())
                        .replace("\"step\":5", "\"step\":15"),
                ),
                ("too few", each(8, |_| r#""loss":0.5,"update_norm":0.1"#.into())),
                ("no update is said", falling("loss", 9)),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::Rows,
            "rows: { ordered: true }",
            rows("abc", "abc"),
            vec![
                ("a row is missing", rows("abcd", "abd")),
                ("two are cut off", rows("abcd", "ab")),
                ("a row came twice", rows("abc", "abbc")),
                ("one for another", rows("abc", "abb")),
                ("one of no input", rows("abc", "abcx")),
                ("in another order", rows("abcd", "acbd")),
                ("an input came twice", rows("abcb", "abc")),
                ("no rows", rows("abc", "")),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::Rows,
            "rows: { count: 3 }",
            rows("", "cab"),
            vec![
                ("one more", rows("", "cabd")),
                ("one twice", rows("", "caa")),
                ("one less", rows("", "ca")),
            ],
        ),
        (
            CheckName::Golden,
            "golden: [{ name: score, within: 0.01 }]",
            each(9, |row| format!(r#""score":{row},"golden/score":{}"#, row + 0.001)),
            vec![
                (
                    "one is far off",
                    each(9, |row| {
                        let score = if (3.5..4.5).contains(&row) { 0.7 } else { row };
                        format!(r#""score":{score},"golden/score":{row}"#)
                    }),
                ),
                ("a value is missing", {
                    let scores = each(8, |row| format!(r#""score":{row}"#));
                    scores + &each(9, |row| format!(r#""golden/score":{row}"#))
                }),
                ("nothing to compare with", steady("score", 1.0)),
                ("nothing", String::new()),
            ],
        ),
        (
            CheckName::Varied,
            "varied: [{ name: class, at-most: 60% }]",
            each(5, |row| format!(r#""class":"{}""#, if row > 2.0 { "tree" } else { "bush" })),
            vec![
                ("always the same", each(5, |_| r#""class":"tree""#.into())),
                ("a number, always the same", each(5, |_| r#""class":0.25"#.into())),
                ("a single row", each(1, |_| r#""class":"tree""#.into())),
                ("nothing", String::new()),
            ],
        ),
        (CheckName::TimeBudget, "time-budget: { at-most: 12s }", String::new(), vec![]),
        (CheckName::ExitStatus, "", String::new(), vec![]),
    ]
}

/// With `finite` left out, so that it is the check itself that has to notice.
#[test]
fn what_is_not_finite_holds_for_no_check() {
    let rows: &[(CheckName, &str, &str)] = &[
        (CheckName::InitialLoss, "initial-loss: { near: 0.69 }", "{loss}"),
        (CheckName::InitialLoss, "initial-loss: {}", "{\"loss\":0.7,\"expected_initial_loss\":ODD}"),
        (CheckName::LossDrop, "loss-drop: {}", "{loss}"),
        (CheckName::LossDrop, "loss-drop: {}", "{\"loss\":ODD}\n{\"loss\":0.5}\n{\"loss\":0.0001}"),
        (CheckName::Metric, "metric: [{ name: a, at-least: 1 }]", "{a}"),
        (CheckName::Metric, "metric: [{ name: a, at-most: 1 }]", "{a}"),
        (CheckName::Metric, "metric: [{ name: a, at-most: 1, when: mean }]", "{a}"),
        (CheckName::Metric, "metric: [{ name: a, at-most: 1, when: best }]", "{a}"),
        (CheckName::GradNormDrop, "grad-norm-drop: {}", "{grad_norm}\n{small}"),
        (CheckName::ZeroedImage, "zeroed-image: {}", "{\"eval/iou\":ODD,\"zeroed/iou\":0.1}"),
        (CheckName::ZeroedImage, "zeroed-image: {}", "{\"eval/iou\":0.9,\"zeroed/iou\":ODD}"),
        (CheckName::Deterministic, "deterministic: {}", "{loss}\n{repeat/loss}"),
        (
            CheckName::ResumeParity,
            "resume-parity: {}",
            "{\"step\":1,\"loss\":1,\"resumed/loss\":1,\"eval/a\":ODD,\"resumed/eval/a\":ODD}",
        ),
        (CheckName::MixedPrecision, "mixed-precision: {}", "{\"step\":1,\"loss\":1,\"mixed/loss\":ODD}"),
        (
            CheckName::MixedPrecision,
            "mixed-precision: {}",
            "{\"step\":1,\"loss\":ODD}\n{\"step\":2,\"loss\":0.1,\"mixed/loss\":9}",
        ),
        (CheckName::MemoryFlat, "memory-flat: { from-step: 1 }", "{memory_bytes}"),
        (CheckName::ExportParity, "export-parity: {}", "{\"export_max_abs_diff\":ODD}"),
        (CheckName::Steps, "steps: {}", "{\"step\":1,\"loss\":1,\"update_norm\":ODD}"),
        (CheckName::Golden, "golden: [{ name: a }]", "{a}\n{golden/a}"),
        (CheckName::Rate, "rate: [{ at-least: 1 }]", "{\"fp32/items_per_second\":ODD}"),
        (CheckName::Rate, "rate: [{ spread: 2% }]", "{\"fp32/spread\":ODD}"),
        (
            CheckName::Predictions,
            "predictions: {}",
            "{\"predictions/compared\":3,\"predictions/missing\":0,\"predictions/max_abs_diff\":ODD}",
        ),
        (
            CheckName::Predictions,
            "predictions: {}",
            "{\"predictions/compared\":ODD,\"predictions/missing\":0,\"predictions/max_abs_diff\":0}",
        ),
        (
            CheckName::Shards,
            "shards: { errors: 100% }",
            "{\"rows/inputs\":ODD,\"rows/errors\":3,\"rows/missing\":0,\"rows/doubled\":0,\"rows/foreign\":0}",
        ),
        (
            CheckName::Gradients,
            "gradients: {}",
            "{\"params_trainable\":ODD,\"params_without_gradient\":0,\"params_zero_gradient\":0,\"params_nonfinite_gradient\":0,\"params_unchanged\":0,\"frozen_changed\":0}",
        ),
    ];
    for odd in ["NaN", "Infinity", "-Infinity"] {
        for (check, parameters, lines) in rows {
            let mut text = (*lines).replace("{small}", &each(12, |_| r#""grad_norm":0.1"#.into()));
            for name in ["loss", "repeat/loss", "a", "golden/a", "grad_norm", "memory_bytes"] {
                text = text.replace(&format!("{{{name}}}"), &each(12, |_| format!(r#""{name}":ODD"#)));
            }
            let text =
                Vec::from_iter(text.lines().filter(|line| !line.is_empty())).join("\n").replace("ODD", odd);
            let case = case(&format!(
                "{{ name: a, command: {{ run: [prog] }}, checks: {{ {parameters} }}, skip-checks: {{ finite: a test }} }}"
            ));
            let found = of(*check, &case, &text, &exited(0));
            assert!(
                found.iter().any(|finding| finding.verdict == Verdict::Broke),
                "{check} with {odd}:\n{text}\n{found:#?}"
            );
        }
    }
}

#[test]
fn a_worker_that_blames_what_it_runs_is_failed_and_one_that_does_not_is_errored() {
    let case = train("");
    for (fault, outcome) in [
        (r#""fault": "code""#, Outcome::Failed),
        (r#""fault": "node""#, Outcome::Errored),
        (r#""hint": "none""#, Outcome::Errored),
    ] {
        let line = format!(r#"{{"@error": {{"what": "the model raised: no", {fault}}}}}"#);
        let (ended, reason) = judge(&case, &findings(&case, &line, &exited(70)));
        assert_eq!(ended, outcome, "{line}: {reason:?}");
        assert!(reason.is_some_and(|reason| reason.contains("the model raised: no")));
    }
}

#[test]
fn each_check_holds_where_all_is_well_and_says_what_is_not() {
    let mut text = String::new();
    for (check, parameters, sound, broken) in table() {
        let case = only(parameters);
        let held = of(check, &case, &sound, &exited(0));
        assert!(!held.is_empty() && held.iter().all(|f| f.verdict == Verdict::Held), "{}", shown(&held));
        let _ = writeln!(text, "==== {check} ({parameters}): sound\n{}", shown(&held));
        for (name, series) in broken {
            let found = of(check, &case, &series, &exited(0));
            assert!(found.iter().any(|f| f.verdict == Verdict::Broke), "{name}: {}", shown(&found));
            for finding in found.iter().filter(|f| f.verdict == Verdict::Broke) {
                assert!(finding.cause.is_some(), "a broken check names its usual cause: {}", shown(&found));
            }
            assert_eq!(judge(&case, &findings(&case, &series, &exited(0))).0, Outcome::Failed, "{name}");
            let _ = writeln!(text, "---- {name}\n{}", shown(&found));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_table_has_every_check() {
    let mut named = Vec::from_iter(table().into_iter().map(|row| row.0));
    // They have files of their own: throughput.rs and pipeline.rs.
    named.extend([CheckName::ValidWindows, CheckName::Rate, CheckName::Shards, CheckName::Predictions]);
    named.sort();
    named.dedup();
    let mut all = CheckName::ALL.to_vec();
    all.sort();
    assert_eq!(named, all);
}

#[test]
fn a_time_budget_is_judged_and_stops_nothing() {
    let found = of(CheckName::TimeBudget, &only("time-budget: { at-most: 11s }"), "", &exited(0));
    insta::assert_snapshot!(shown(&found), @"
    time-budget: Broke
      observed: 12.0s
      wanted:   at most 11s
      cause:    a slower or busier node, CUDA that is not used (see the device facts), or a change that made it slower
    ");
}

#[test]
fn the_end_of_a_program_is_told_apart() {
    let mut text = String::new();
    let ends = [
        exited(0),
        exited(1),
        exited(5),
        exited(127),
        exited(137),
        signalled(11, "SIGSEGV"),
        signalled(6, "SIGABRT"),
        signalled(9, "SIGKILL"),
        signalled(15, "SIGTERM"),
        signalled(34, "SIGRTMIN"),
    ];
    for end in ends {
        for case in [case(COMMAND), train("")] {
            let found = of(CheckName::ExitStatus, &case, "", &end);
            let kind = if case.train.is_some() { "worker" } else { "command" };
            let (outcome, reason) = judge(&case, &findings(&case, "", &end));
            let _ = writeln!(text, "==== {kind}, {:?}: {outcome}", end.process);
            let _ = writeln!(
                text,
                "{}{}\n",
                shown(&found),
                reason.as_deref().map_or("", |r| r.lines().next().unwrap())
            );
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn another_exit_code_may_be_wanted() {
    let case = only("exit-status: { code: 3 }");
    assert_eq!(judge(&case, &findings(&case, "", &exited(3))), (Outcome::Passed, None));
    assert_eq!(judge(&case, &findings(&case, "", &exited(0))).0, Outcome::Failed);
}

#[test]
fn a_nan_stops_the_case_at_once_and_names_its_step() {
    let case = train("");
    let mut evaluator = Evaluator::for_case(&case);
    let text = falling("loss", 7) + r#"{"step":8,"loss":NaN,"grad_norm":1}"#;
    let aborts = Vec::from_iter(lines(&text).iter().map(|line| evaluator.observe(line)));
    assert!(aborts[..7].iter().all(Option::is_none));
    assert_eq!(aborts[7], Some(Abort { reason: "`loss` is NaN at step 8".into() }));
    let found = evaluator.conclude(&ended(ProcessEnd::Aborted));
    insta::assert_snapshot!(shown(&found));
    let (outcome, reason) = judge(&case, &found);
    assert_eq!(outcome, Outcome::Failed);
    insta::assert_snapshot!(reason.unwrap(), @"finite: `loss` is NaN at step 8, wanted every metric a finite number; usual cause: a logarithm or a division by zero, a rate that is too high, or half precision without loss scaling");
}

#[test]
fn a_nan_that_nobody_minds_stops_nothing() {
    let case =
        case("{ name: a, command: { run: [prog] }, skip-checks: { finite: some values are not there } }");
    let mut evaluator = Evaluator::for_case(&case);
    assert_eq!(evaluator.observe(&lines(r#"{"loss":NaN}"#)[0]), None);
    assert_eq!(judge(&case, &evaluator.conclude(&exited(0))).0, Outcome::Passed);
}

/// Everything that a worker writes of a run in which all is well.
fn sound_training() -> String {
    let mut text = each(200, |step| {
        format!(
            r#""loss":{},"grad_norm":{},"batch_hash":"9f2c","memory_bytes":1000000"#,
            0.69 * (-step / 20.0).exp(),
            (-step / 20.0).exp()
        )
    });
    text += &each(10, |step| format!(r#""repeat/loss":{0},"resumed/loss":{0}"#, 0.69 * (-step / 20.0).exp()));
    text += CENSUS;
    text += "\n";
    text += r#"{"expected_initial_loss":0.69,"export_max_abs_diff":0}
{"step":200,"train/iou":1,"eval/iou":1,"zeroed/iou":0,"mixed/loss":0.001}
"#;
    text
}

#[test]
fn a_train_case_runs_every_check_of_its_kind_and_passes() {
    let case = train("");
    let found = findings(&case, &sound_training(), &exited(0));
    assert_eq!(judge(&case, &found), (Outcome::Passed, None));
    insta::assert_snapshot!(shown(&found));
}

#[test]
fn a_case_runs_the_checks_of_its_kind() {
    let names = |case: &Case| selected(case).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    insta::assert_snapshot!(names(&train("")), @"finite initial-loss same-batch gradients loss-drop metric grad-norm-drop zeroed-image deterministic mixed-precision resume-parity memory-flat export-parity");
    insta::assert_snapshot!(names(&train("checks: { time-budget: { at-most: 1m } }")), @"finite initial-loss same-batch gradients loss-drop metric grad-norm-drop zeroed-image deterministic mixed-precision resume-parity memory-flat export-parity time-budget");
    insta::assert_snapshot!(names(&case(COMMAND)), @"exit-status finite");
    insta::assert_snapshot!(names(&only("loss-drop: {}")), @"exit-status finite loss-drop");
}

#[test]
fn a_check_that_cannot_be_judged_here_is_skipped_with_its_reason() {
    let case = train("skip-checks: { zeroed-image: the model has no bias }");
    let text = sound_training()
        + r#"{"@skip":{"check":"mixed-precision","reason":"this CPU has no bf16 instructions"}}
{"@skip":{"check":"finite","reason":"I would rather not"}}
"#;
    let found = findings(&case, &text, &exited(0));
    assert_eq!(judge(&case, &found).0, Outcome::Passed);
    let skipped = Vec::from_iter(found.into_iter().filter(|finding| finding.verdict == Verdict::Skipped));
    insta::assert_snapshot!(shown(&skipped), @"
    zeroed-image: Skipped
      observed: the model has no bias
      wanted:   not judged: the suite file leaves it out
    mixed-precision: Skipped
      observed: this CPU has no bf16 instructions
      wanted:   not judged: the case says that it cannot be
    ");
}

#[test]
fn a_worker_that_cannot_go_on_is_an_error_and_not_a_failure() {
    let case = train("");
    let text = r#"{"@error":{"what":"a.pt is not TorchScript","hint":"save it with torch.jit.save"}}"#;
    let (outcome, reason) = judge(&case, &findings(&case, text, &exited(70)));
    assert_eq!(outcome, Outcome::Errored);
    insta::assert_snapshot!(reason.unwrap(), @"the worker cannot go on: a.pt is not TorchScript; save it with torch.jit.save");
    let program = self::case(COMMAND);
    assert_eq!(
        judge(&program, &findings(&program, text, &exited(1))).0,
        Outcome::Failed,
        "a program cannot excuse itself"
    );
}

#[test]
fn a_program_that_fails_before_it_measures_is_not_blamed_twice() {
    let case = only("loss-drop: {}");
    let found = findings(&case, "", &exited(1));
    assert_eq!(judge(&case, &found).0, Outcome::Failed);
    insta::assert_snapshot!(shown(&found));
}

const FROZEN: &str = "must-fail: [loss-drop, metric]";

#[test]
fn a_control_passes_when_its_checks_break() {
    let case = train(FROZEN);
    let flat = each(200, |_| r#""loss":0.69"#.into()) + r#"{"step":200,"train/iou":0.3,"eval/iou":0.3}"#;
    assert_eq!(judge(&case, &findings(&case, &flat, &exited(0))), (Outcome::Passed, None));
}

#[test]
fn a_control_that_goes_unnoticed_fails() {
    let case = train(FROZEN);
    let mut text = String::new();
    let runs = [
        ("all is well", sound_training(), exited(0)),
        ("it measured nothing", String::new(), exited(0)),
        ("it went wrong in another way", each(3, |_| r#""loss":NaN"#.into()), ended(ProcessEnd::Aborted)),
    ];
    for (name, series, end) in runs {
        let (outcome, reason) = judge(&case, &findings(&case, &series, &end));
        assert_eq!(outcome, Outcome::Failed, "{name}");
        let _ = writeln!(text, "==== {name}\n{}", reason.unwrap());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_control_that_crashes_does_not_pass() {
    let case = train(FROZEN);
    let flat = each(200, |_| r#""loss":0.69"#.into()) + r#"{"step":200,"train/iou":0.3,"eval/iou":0.3}"#;
    assert_eq!(judge(&case, &findings(&case, &flat, &signalled(9, "SIGKILL"))).0, Outcome::Errored);
    assert_eq!(judge(&case, &findings(&case, &flat, &exited(101))).0, Outcome::Errored);
    let program = self::case(
        "{ name: a, command: { run: [prog] }, checks: { loss-drop: {} }, must-fail: [loss-drop] }",
    );
    assert_eq!(judge(&program, &findings(&program, &flat, &exited(0))).0, Outcome::Passed);
    assert_eq!(judge(&program, &findings(&program, &flat, &signalled(11, "SIGSEGV"))).0, Outcome::Failed);
}

#[test]
fn a_case_in_which_nothing_is_judged_is_not_a_pass() {
    let case = case("{ name: a, command: { run: [prog] }, skip-checks: { exit-status: it is a daemon } }");
    let (outcome, reason) = judge(&case, &findings(&case, "", &exited(0)));
    assert_eq!(outcome, Outcome::Errored);
    insta::assert_snapshot!(reason.unwrap(), @"
    no check could be judged
    exit-status: it is a daemon
    finite: the case wrote no number
    ");
    assert_eq!(judge(&case, &findings(&case, r#"{"loss":1}"#, &signalled(9, "SIGKILL"))).0, Outcome::Errored);
    assert_eq!(judge(&case, &[]).0, Outcome::Errored);
}

#[test]
fn a_series_that_is_too_long_is_judged_and_says_so() {
    let case = only("loss-drop: {}, deterministic: {}");
    let mut evaluator = Evaluator::for_case(&case);
    let mut line = lines(r#"{"step":1,"loss":0.5}"#).remove(0);
    for at in 0..1_000_100 {
        let Line::Metrics { step, .. } = &mut line else { unreachable!() };
        *step = Some(at);
        evaluator.observe(&line);
    }
    evaluator.observe(&lines(r#"{"step":1000099,"repeat/loss":0.5}"#)[0]);
    let found = evaluator.conclude(&exited(0));
    insta::assert_snapshot!(shown(&found));
}

const NAMES: [&str; 22] = [
    "row",
    "input_row",
    "golden/eval/iou",
    "repeat/eval/iou",
    "resumed/eval/iou",
    "update_norm",
    "params_frozen",
    "loss",
    "grad_norm",
    "batch_hash",
    "memory_bytes",
    "repeat/loss",
    "resumed/loss",
    "mixed/loss",
    "eval/iou",
    "train/iou",
    "zeroed/iou",
    "params_trainable",
    "params_unchanged",
    "export_max_abs_diff",
    "expected_initial_loss",
    "other",
];

/// Lines as hostile or as dull as they come, with the names that checks look for.
fn any_line() -> impl Strategy<Value = Line> {
    let number = prop_oneof![
        any::<f64>(),
        -1.0..1.0f64,
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MAX),
        Just(-f64::MAX),
        Just(f64::MIN_POSITIVE),
    ];
    let value = prop_oneof![
        8 => number.prop_map(Value::Number),
        1 => ".{0,20}".prop_map(Value::Text),
        1 => any::<bool>().prop_map(Value::Flag),
    ];
    let step = prop_oneof![Just(None), (0..30u64).prop_map(Some), any::<u64>().prop_map(Some)];
    let metrics = (
        step,
        prop::collection::btree_map(prop::sample::select(&NAMES[..]).prop_map(String::from), value, 1..4),
    )
        .prop_map(|(step, values)| Line::Metrics { step, values });
    let skip = (prop::sample::select(&CheckName::ALL[..]), ".{0,20}")
        .prop_map(|(check, reason)| Line::Skip { check, reason });
    let fault = any::<bool>().prop_map(|code| if code { Blame::Code } else { Blame::Node });
    let error = (".{0,20}", any::<Option<String>>(), fault).prop_map(|(what, hint, fault)| Line::Error {
        what,
        hint,
        fault,
    });
    prop_oneof![40 => metrics, 1 => skip, 1 => error, 1 => Just(Line::Artifact("a.png".into()))]
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(exited(0)),
        1 => any::<i32>().prop_map(exited),
        1 => (any::<i32>(), "[A-Z]{0,9}").prop_map(|(signal, name)| signalled(signal, &name)),
        1 => Just(ended(ProcessEnd::Aborted)),
    ]
}

const EVERY_CHECK: &str = "initial-loss: {}, same-batch: {}, gradients: { frozen: 0 }, loss-drop: {}, grad-norm-drop: {}, \
     metric: [{ name: eval/iou, at-least: 0.9 }, { name: loss, at-most: 1, when: mean }], zeroed-image: {}, \
     deterministic: {}, mixed-precision: {}, resume-parity: {}, memory-flat: { from-step: 3 }, export-parity: {}, \
     steps: { count: 4 }, rows: { ordered: true }, golden: [{ name: eval/iou }], varied: [{ name: loss }], \
     time-budget: { at-most: 1s }";

proptest! {
    #[test]
    fn no_line_makes_a_check_panic(
        lines in prop::collection::vec(any_line(), 0..60),
        end in any_end(),
        is_command in any::<bool>(),
    ) {
        let case = if is_command { only(EVERY_CHECK) } else { train("must-fail: [loss-drop]") };
        let mut evaluator = Evaluator::for_case(&case);
        for line in &lines {
            evaluator.observe(line);
        }
        let found = evaluator.conclude(&end);
        let (outcome, reason) = judge(&case, &found);
        prop_assert_eq!(outcome == Outcome::Passed, reason.is_none());
        for check in selected(&case).into_iter().filter(|check| *check != CheckName::ExitStatus) {
            prop_assert!(found.iter().any(|finding| finding.check == check), "{} has no verdict", check);
        }
    }

    #[test]
    fn the_order_of_unrelated_metrics_does_not_matter(shuffle in prop::collection::vec(any::<prop::sample::Index>(), 900)) {
        let case = train("");
        let sound = lines(&sound_training());
        // One queue for each metric: within it the order stays.
        let mut queues: BTreeMap<String, VecDeque<Line>> = BTreeMap::new();
        for line in &sound {
            let Line::Metrics { step, values } = line else { unreachable!() };
            for (name, value) in values {
                let alone = Line::Metrics { step: *step, values: [(name.clone(), value.clone())].into() };
                queues.entry(name.clone()).or_default().push_back(alone);
            }
        }
        let mut shuffled = Evaluator::for_case(&case);
        for at in shuffle.iter().cycle() {
            if queues.is_empty() {
                break;
            }
            let name = queues.keys().nth(at.index(queues.len())).expect("in range").clone();
            let queue = queues.get_mut(&name).expect("there");
            shuffled.observe(&queue.pop_front().expect("not empty"));
            if queue.is_empty() {
                queues.remove(&name);
            }
        }
        prop_assert_eq!(shown(&shuffled.conclude(&exited(0))), shown(&findings(&case, &sound_training(), &exited(0))));
    }
}
