//! What is not finite, what has vanished, what cannot be read and what the node has not are never a pass.

use std::fmt::Write as _;
use std::fs;

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::xml;
use gpu_suites::outcome::Outcome;

/// A case that writes the file `metrics` of its folder.
const WRITES: &str = "
suite: s
cases:
  - name: c
    command: { run: [sh, -c, 'cat metrics >> $GPU_HARNESS_METRICS'], files: [metrics] }
    checks: { metric: [{ name: ok, at-least: 1 }] }
";

struct Nights(Project);

impl Nights {
    /// Twelve quiet nights with this metric.
    fn after_twelve(metric: &str) -> Self {
        let nights = Self(Project::with_suite(WRITES));
        for night in 0..12 {
            let run = nights.night(&format!(r#"{{"ok": 1, "{metric}": 0.10{}}}"#, night % 3));
            assert_eq!(run.code(), 0, "{run:?}");
        }
        nights
    }

    fn night(&self, line: &str) -> Finished {
        fs::write(self.0.path().join("metrics"), format!("{line}\n")).expect("the folder is writable");
        self.0.run(&["--history", "history"])
    }
}

#[test]
fn a_loss_that_becomes_no_number_fails_however_it_is_spelled() {
    let mut suite = "suite: s\ncases:\n".to_owned();
    let spellings = ["nan", "-nan", "inf", "null", "1e400", "\"nan\"", "-nan(ind)", "1.#QNAN"];
    for (index, word) in spellings.iter().enumerate() {
        let program = format!(
            r#"for step in 1 2 3 4 5; do printf "{{\"step\": $step, \"loss\": 0.0000$step}}\n"; done >> $GPU_HARNESS_METRICS; printf '%s\n' '{{"step": 6, "loss": {word}}}' >> $GPU_HARNESS_METRICS; sleep 0.2"#
        );
        let _ = writeln!(
            suite,
            "  - name: c{index}\n    command: {{ run: [sh, -c, {}] }}",
            serde_json::json!(program)
        );
        suite.push_str("    checks: { loss-drop: { to: 100% } }\n");
    }
    let project = Project::with_suite(&suite);
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{run:?}");
    for (index, word) in spellings.iter().enumerate() {
        let (outcome, reason) = run.outcome(&format!("c{index}"));
        assert!(
            outcome == Outcome::Failed && reason.contains("finite: `loss` is"),
            "{word}: {outcome} {reason}"
        );
    }
}

#[test]
fn four_times_the_dice_loss_is_worse_and_a_fifth_of_it_is_not() {
    let nights = Nights::after_twelve("val/dice_loss");
    let better = nights.night(r#"{"ok": 1, "val/dice_loss": 0.02}"#);
    assert_eq!(better.code(), 0, "{better:?}");
    let worse = nights.night(r#"{"ok": 1, "val/dice_loss": 0.4}"#);
    assert_eq!(worse.code(), 1, "{worse:?}");
    assert!(worse.stdout.contains("val/dice_loss regressed: 0.4"), "{}", worse.stdout);
}

#[test]
fn a_metric_that_vanished_is_said_wherever_one_looks() {
    let nights = Nights::after_twelve("items_per_second");
    let run = nights.night(r#"{"ok": 1, "images_per_second": 12.0}"#);
    assert_eq!(run.code(), 0, "{run:?}");
    let said = "items_per_second did not come, and came on 10 of the last nights";
    assert!(run.stdout.contains(said), "{}", run.stdout);
    assert!(run.junit().contains(said), "{}", run.junit());
    // It is said for as long as most nights had it.
    for _ in 0..4 {
        assert!(nights.night(r#"{"ok": 1}"#).stdout.contains("items_per_second did not come"));
    }
    nights.night(r#"{"ok": 1}"#);
    assert!(!nights.night(r#"{"ok": 1}"#).stdout.contains("items_per_second did not come"));
}

#[test]
fn a_runs_nan_is_a_regression_where_nobody_else_looks_for_it() {
    let suite = WRITES.replace("    checks:", "    skip-checks: { finite: a test }\n    checks:");
    let nights = Nights(Project::with_suite(&suite));
    for _ in 0..10 {
        assert_eq!(nights.night(r#"{"ok": 1, "eval/iou": 0.9}"#).code(), 0);
    }
    let run = nights.night(r#"{"ok": 1, "eval/iou": NaN}"#);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.contains("eval/iou is no number (NaN or infinite)"), "{}", run.stdout);
}

#[test]
fn a_junit_report_that_cannot_be_read_or_is_not_there_is_no_pass() {
    let project = Project::with_suite(
        "suite: s
cases:
  - { name: half, command: { run: [cp, half.xml, out.xml], files: [half.xml], junit: [out.xml] } }
  - { name: gone, command: { run: ['true'], junit: [out.xml] } }
  - { name: sound, command: { run: [cp, sound.xml, out.xml], files: [sound.xml], junit: [out.xml] } }
",
    );
    let sound = r#"<testsuites><testsuite name="t"><testcase name="a"/></testsuite></testsuites>"#;
    let project = project.file("sound.xml", sound).file("half.xml", &sound[..40]);
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{run:?}");
    let junit = run.junit();
    let cases = xml::cases(&junit);
    for (case, why) in [
        ("half", "the JUnit report out.xml is not taken in"),
        ("gone", "out.xml is to be brought back, and the program did not leave it"),
    ] {
        assert_eq!(cases[case], "failure", "{case}: {junit}");
        assert!(run.stdout.contains(&format!("failed s::{case}: {why}")), "{}", run.stdout);
    }
    assert!(!["failure", "error"].contains(&cases["sound"].as_str()), "{cases:?}");
    // A report that is made again from the events says the same.
    let again = project.gpu_harness(&["report", &run.folder().display().to_string()]);
    assert_eq!(again.code(), 1, "{again:?}");
}

#[test]
fn a_gpu_that_is_demanded_and_not_there_is_an_error_for_a_program_too() {
    let project = Project::with_suite(
        "suite: s
cases:
  - { name: cuda, device: cuda, command: { run: ['true'] } }
  - { name: eight, gpu: { count: 8, arch: [hopper] }, command: { run: ['true'] } }
  - name: trained
    gpu: {}
    train: { model: { builtin: unet, width: 4 }, data: { image: leaf.jpg, boxes: boxes.csv, task: segment, size: 32 }, steps: 1 }
  - { name: none, command: { run: ['true'] } }
",
    );
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let project = project
        .env("LIBTORCH", libtorch)
        .env("CUDA_VISIBLE_DEVICES", "")
        .file("leaf.jpg", include_bytes!("../rig/leaf.jpg"))
        .file("boxes.csv", "xmin,ymin,xmax,ymax\n4,4,40,40\n");
    let run = project.run(&[]);
    assert_eq!(run.code(), 3, "{run:?}");
    for (case, wanted) in [("cuda", "1 GPU"), ("eight", "8 GPUs (hopper)"), ("trained", "1 GPU")] {
        let (outcome, reason) = run.outcome(case);
        let said = format!("the case needs {wanted}, and CUDA_VISIBLE_DEVICES shows it none");
        assert!(outcome == Outcome::Errored && reason.contains(&said), "{case}: {outcome} {reason}");
    }
    assert_eq!(run.outcome("none").0, Outcome::Passed);
    // Whoever looks sees what it ran on.
    assert!(run.stdout.contains("passed    s::none on CPU in "), "{}", run.stdout);
    assert!(run.junit().contains("[[PROPERTY|device=CPU]]"), "{}", run.junit());
}

#[test]
fn boxes_beside_their_image_are_said_by_line_and_nothing_is_trained() {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let project = Project::with_suite(
        "suite: s
cases:
  - name: c
    device: cpu
    train: { model: { builtin: unet, width: 4 }, data: { image: leaf.jpg, boxes: boxes.csv, task: segment, size: 32 }, steps: 3 }
",
    );
    let project = project.env("LIBTORCH", libtorch).file("leaf.jpg", include_bytes!("../rig/leaf.jpg"));
    let project = project.file("boxes.csv", "xmin,ymin,xmax,ymax\n4,4,40,40\n400,30,420,50\n");
    let run = project.run(&[]);
    let (outcome, reason) = run.outcome("c");
    assert_eq!((run.code(), outcome), (1, Outcome::Failed), "{reason}");
    assert!(
        reason.contains("boxes.csv line 3: the box 400,30,420,50 lies beside the image of 240 × 180"),
        "{reason}"
    );
}
