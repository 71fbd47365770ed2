//! Promises of the checks: each one notices what it is for, says so in words that help, and holds where all is well.

mod hostile;
mod table;

use std::fmt::Write as _;
use std::time::Duration;

use gpu_suites::checks::{self, Abort, End, ProcessEnd};
use gpu_suites::evaluation::{Evaluator, judge};
use gpu_suites::event::{Finding, Verdict};
use gpu_suites::id::CheckName;
use gpu_suites::metric_lines::parse;
use gpu_suites::metrics::Line;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::Case;

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

fn of(check: &CheckName, case: &Case, text: &str, end: &End) -> Vec<Finding> {
    let mut found = findings(case, text, end);
    found.retain(|finding| finding.check == *check);
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

fn falling(name: &str, steps: u64) -> String {
    each(steps, |step| format!(r#""{name}":{}"#, 0.7 * (-step / 20.0).exp()))
}

/// Inputs and the rows that came of them, a letter each.
fn rows(inputs: &str, rows: &str) -> String {
    let input = inputs.chars().map(|key| format!("{{\"input_row\":\"{key}\"}}\n"));
    input.chain(rows.chars().map(|key| format!("{{\"row\":\"{key}\"}}\n"))).collect()
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
fn a_time_budget_is_judged_and_stops_nothing() {
    let found = of(&checks::TimeBudget::NAME, &only("time-budget: { at-most: 11s }"), "", &exited(0));
    insta::assert_snapshot!(shown(&found), @"
    time-budget: Broke
      observed: 12.0s
      wanted:   at most 11s
      cause:    a slower or busier node, CUDA that is not used (see the device facts), or a change that made it slower
    ");
}

#[test]
fn the_end_of_a_program_is_told_apart() {
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
            let found = of(&checks::ExitStatus::NAME, &case, "", &end);
            let kind = if case.work.train().is_some() { "worker" } else { "command" };
            let (outcome, reason) = judge(&case, &findings(&case, "", &end));
            let how = match &end.process {
                ProcessEnd::Exited(code) => format!("{kind}-exits-{code}"),
                ProcessEnd::Signalled { name, .. } => format!("{kind}-{name}"),
                ProcessEnd::Aborted => unreachable!("none of these"),
            };
            let first = reason.as_deref().and_then(|reason| reason.lines().next()).unwrap_or_default();
            insta::with_settings!({ snapshot_path => "snapshots/ends", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(how, format!("{outcome}\n{}{first}", shown(&found)));
            });
        }
    }
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
    let names =
        |case: &Case| case.selected_checks().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
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
