//! Each check, where all is well and where it is not: a new one has its row in [`table`].

use std::collections::BTreeMap;

use gpu_suites::checks;
use gpu_suites::evaluation::judge;
use gpu_suites::event::{Finding, Verdict};
use gpu_suites::id::CheckName;
use gpu_suites::outcome::Outcome;

use crate::{CENSUS, case, each, exited, falling, findings, of, only, rows, shown};

const HOLED: &str = r#"{"step":1,"params_trainable":62,"params_without_gradient":2,"params_without_gradient_names":"head.weight, head.bias","params_zero_gradient":1,"params_zero_gradient_names":"stem.bias","params_nonfinite_gradient":0,"params_unchanged":3,"frozen_changed":0}"#;

/// A check with its parameters, a run that is sound, and runs that are not, each by a name.
type Row = (&'static str, String, Vec<(&'static str, String)>);

#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
fn table() -> Vec<Row> {
    let steady = |name: &str, value: f64| each(200, |_| format!(r#""{name}":{value}"#));
    vec![
        (
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
            "initial-loss: { within: 10% }",
            each(1, |_| r#""loss":0.7,"expected_initial_loss":0.6931"#.into()),
            vec![("no expectation", steady("loss", 0.7))],
        ),
        (
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
        ("loss-drop: { floor: 0.1 }", steady("loss", 0.1), vec![("above the floor", steady("loss", 0.2))]),
        (
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
            "loss-drop: { floor: -0.9 }",
            each(200, |step| format!(r#""loss":{}"#, -0.1 - step * 0.0045)),
            vec![("above a floor below 0", steady("loss", -0.5))],
        ),
        ("loss-drop: {}", each(200, |step| format!(r#""loss":{}"#, 0.5 - step * 0.01)), vec![]),
        (
            "metric: [{ name: train/iou, at-least: 0.99 }, { name: eval/iou, at-least: 0.99 }]",
            r#"{"step":200,"train/iou":0.995,"eval/iou":0.991}"#.into(),
            vec![
                ("bad in eval mode", r#"{"step":200,"train/iou":0.995,"eval/iou":0.31}"#.into()),
                ("bad in both", r#"{"step":200,"train/iou":0.42,"eval/iou":0.31}"#.into()),
                ("one never came", r#"{"step":200,"train/iou":1.0}"#.into()),
            ],
        ),
        (
            "metric: [{ name: rate, at-least: 10, at-most: 20, when: every }]",
            steady("rate", 15.0),
            vec![("once outside", each(9, |step| format!(r#""rate":{}"#, 13.0 + step)))],
        ),
        (
            "metric: [{ name: rate, at-least: 10, when: best }]",
            each(9, |step| format!(r#""rate":{}"#, 4.0 + step)),
            vec![("never", each(9, |step| format!(r#""rate":{}"#, 10.0 - step)))],
        ),
        (
            "metric: [{ name: rate, at-most: 10, when: mean }]",
            each(9, |step| format!(r#""rate":{}"#, 4.0 + step)),
            vec![("too much", each(9, |step| format!(r#""rate":{}"#, 7.0 + step)))],
        ),
        (
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
            "zeroed-image: {}",
            r#"{"eval/iou":0.99,"zeroed/iou":0.2}"#.into(),
            vec![
                ("as good", r#"{"eval/iou":0.99,"zeroed/iou":0.9}"#.into()),
                ("nothing to compare with", r#"{"zeroed/iou":0.9}"#.into()),
                ("nothing", r#"{"eval/iou":0.99}"#.into()),
            ],
        ),
        (
            "deterministic: {}",
            falling("loss", 20) + &falling("repeat/loss", 10),
            vec![
                ("one bit", falling("loss", 3) + r#"{"step":2,"repeat/loss":0.6333861926251717}"#),
                ("no step in common", falling("loss", 3) + r#"{"step":9,"repeat/loss":0.6}"#),
                ("nothing", falling("loss", 3)),
            ],
        ),
        (
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
            "mixed-precision: {}",
            falling("loss", 20) + r#"{"step":20,"mixed/loss":0.26}"#,
            vec![
                ("far off", falling("loss", 20) + r#"{"step":20,"mixed/loss":0.6}"#),
                ("at another step", falling("loss", 20) + r#"{"step":21,"mixed/loss":0.26}"#),
                ("nothing", falling("loss", 20)),
            ],
        ),
        (
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
            "memory-flat: {}",
            steady("memory_bytes", 1e9),
            vec![
                ("a leak", each(200, |step| format!(r#""memory_bytes":{}"#, 1e9 + step * 1e6))),
                ("nothing", String::new()),
            ],
        ),
        (
            "export-parity: {}",
            r#"{"export_max_abs_diff":0.00001}"#.into(),
            vec![("too far", r#"{"export_max_abs_diff":0.5}"#.into()), ("nothing", String::new())],
        ),
        (
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
            "rows: { count: 3 }",
            rows("", "cab"),
            vec![
                ("one more", rows("", "cabd")),
                ("one twice", rows("", "caa")),
                ("one less", rows("", "ca")),
            ],
        ),
        (
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
            "varied: [{ name: class, at-most: 60% }]",
            each(5, |row| format!(r#""class":"{}""#, if row > 2.0 { "tree" } else { "bush" })),
            vec![
                ("always the same", each(5, |_| r#""class":"tree""#.into())),
                ("a number, always the same", each(5, |_| r#""class":0.25"#.into())),
                ("a single row", each(1, |_| r#""class":"tree""#.into())),
                ("nothing", String::new()),
            ],
        ),
        ("time-budget: { at-most: 12s }", String::new(), vec![]),
        ("exit-status: {}", String::new(), vec![]),
    ]
}

/// The check that the parameters are of.
fn named(parameters: &str) -> CheckName {
    let name = parameters.split(':').next().expect("a name");
    checks::names().find(|check| check.as_str() == name).expect("a check").clone()
}

#[test]
fn each_check_holds_where_all_is_well_and_says_what_is_not() {
    let mut rows: BTreeMap<CheckName, usize> = BTreeMap::new();
    for (parameters, sound, broken) in table() {
        let check = named(parameters);
        let row = rows.entry(check.clone()).and_modify(|row| *row += 1).or_insert(1);
        let snapshot = |run: &str, found: &[Finding]| {
            let name = format!("{check}-{row}-{}", run.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
            insta::with_settings!({ snapshot_path => "snapshots/table", prepend_module_to_snapshot => false, description => parameters, omit_expression => true }, {
                insta::assert_snapshot!(name, shown(found));
            });
        };
        let case = only(parameters);
        let held = of(&check, &case, &sound, &exited(0));
        assert!(!held.is_empty() && held.iter().all(|f| f.verdict == Verdict::Held), "{}", shown(&held));
        snapshot("sound", &held);
        for (name, series) in broken {
            let found = of(&check, &case, &series, &exited(0));
            assert!(found.iter().any(|f| f.verdict == Verdict::Broke), "{name}: {}", shown(&found));
            for finding in found.iter().filter(|f| f.verdict == Verdict::Broke) {
                assert!(finding.cause.is_some(), "a broken check names its usual cause: {}", shown(&found));
            }
            assert_eq!(judge(&case, &findings(&case, &series, &exited(0))).0, Outcome::Failed, "{name}");
            snapshot(name, &found);
        }
    }
}

#[test]
fn the_table_has_every_check() {
    let mut with_row = Vec::from_iter(table().into_iter().map(|row| named(row.0)));
    // They have files of their own: throughput.rs and pipeline.rs.
    with_row.extend([
        checks::ValidWindows::NAME,
        checks::Rate::NAME,
        checks::Shards::NAME,
        checks::Predictions::NAME,
    ]);
    for check in checks::names() {
        assert!(with_row.contains(check), "{check} has no row in tests/checks/table.rs");
    }
}

/// With `finite` left out, so that it is the check itself that has to notice.
#[test]
fn what_is_not_finite_holds_for_no_check() {
    let rows: &[(&str, &str)] = &[
        ("initial-loss: { near: 0.69 }", "{loss}"),
        ("initial-loss: {}", "{\"loss\":0.7,\"expected_initial_loss\":ODD}"),
        ("loss-drop: {}", "{loss}"),
        ("loss-drop: {}", "{\"loss\":ODD}\n{\"loss\":0.5}\n{\"loss\":0.0001}"),
        ("metric: [{ name: a, at-least: 1 }]", "{a}"),
        ("metric: [{ name: a, at-most: 1 }]", "{a}"),
        ("metric: [{ name: a, at-most: 1, when: mean }]", "{a}"),
        ("metric: [{ name: a, at-most: 1, when: best }]", "{a}"),
        ("grad-norm-drop: {}", "{grad_norm}\n{small}"),
        ("zeroed-image: {}", "{\"eval/iou\":ODD,\"zeroed/iou\":0.1}"),
        ("zeroed-image: {}", "{\"eval/iou\":0.9,\"zeroed/iou\":ODD}"),
        ("deterministic: {}", "{loss}\n{repeat/loss}"),
        (
            "resume-parity: {}",
            "{\"step\":1,\"loss\":1,\"resumed/loss\":1,\"eval/a\":ODD,\"resumed/eval/a\":ODD}",
        ),
        ("mixed-precision: {}", "{\"step\":1,\"loss\":1,\"mixed/loss\":ODD}"),
        ("mixed-precision: {}", "{\"step\":1,\"loss\":ODD}\n{\"step\":2,\"loss\":0.1,\"mixed/loss\":9}"),
        ("memory-flat: { from-step: 1 }", "{memory_bytes}"),
        ("export-parity: {}", "{\"export_max_abs_diff\":ODD}"),
        ("steps: {}", "{\"step\":1,\"loss\":1,\"update_norm\":ODD}"),
        ("golden: [{ name: a }]", "{a}\n{golden/a}"),
        ("rate: [{ at-least: 1 }]", "{\"fp32/items_per_second\":ODD}"),
        ("rate: [{ spread: 2% }]", "{\"fp32/spread\":ODD}"),
        (
            "predictions: {}",
            "{\"predictions/compared\":3,\"predictions/missing\":0,\"predictions/max_abs_diff\":ODD}",
        ),
        (
            "predictions: {}",
            "{\"predictions/compared\":ODD,\"predictions/missing\":0,\"predictions/max_abs_diff\":0}",
        ),
        (
            "shards: { errors: 100% }",
            "{\"rows/inputs\":ODD,\"rows/errors\":3,\"rows/missing\":0,\"rows/doubled\":0,\"rows/foreign\":0}",
        ),
        (
            "gradients: {}",
            "{\"params_trainable\":ODD,\"params_without_gradient\":0,\"params_zero_gradient\":0,\"params_nonfinite_gradient\":0,\"params_unchanged\":0,\"frozen_changed\":0}",
        ),
    ];
    for odd in ["NaN", "Infinity", "-Infinity"] {
        for (parameters, lines) in rows {
            let check = named(parameters);
            let mut text = (*lines).replace("{small}", &each(12, |_| r#""grad_norm":0.1"#.into()));
            for name in ["loss", "repeat/loss", "a", "golden/a", "grad_norm", "memory_bytes"] {
                text = text.replace(&format!("{{{name}}}"), &each(12, |_| format!(r#""{name}":ODD"#)));
            }
            let text =
                Vec::from_iter(text.lines().filter(|line| !line.is_empty())).join("\n").replace("ODD", odd);
            let case = case(&format!(
                "{{ name: a, command: {{ run: [prog] }}, checks: {{ {parameters} }}, skip-checks: {{ finite: a test }} }}"
            ));
            let found = of(&check, &case, &text, &exited(0));
            assert!(
                found.iter().any(|finding| finding.verdict == Verdict::Broke),
                "{check} with {odd}:\n{text}\n{found:#?}"
            );
        }
    }
}
