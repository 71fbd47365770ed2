//! A training is held to the losses that it is known to have on such a device, bit by bit.

use std::fs;

use gpu_harness_tests::project::Project;
use gpu_suites::outcome::Outcome;

const SUITE: &str = "
suite: s
cases:
  - name: unet
    train:
      model: { builtin: unet, width: 4 }
      data: { image: leaf.jpg, boxes: boxes.csv, task: segment, size: 32 }
      steps: 6
      learning-rate: 0.01
      golden: golden.json
    limits: { threads: 1 }
    skip-checks:
      initial-loss: short
      loss-drop: short
      metric: short
      grad-norm-drop: short
      zeroed-image: short
      mixed-precision: short
      memory-flat: short
      export-parity: short
      resume-parity: short
      gradients: short
";

fn project() -> Project {
    let project = Project::with_suite(SUITE).file("leaf.jpg", include_bytes!("../rig/leaf.jpg"));
    project.file("boxes.csv", "xmin,ymin,xmax,ymax\n4,4,20,20\n")
}

#[test]
fn losses_become_golden_and_any_other_bit_is_told_at_its_step() {
    let project = project();
    let absent = project.run(&[]);
    assert_eq!(absent.code(), 2, "{absent:?}");
    assert!(
        absent.stderr.contains("suites/s.yaml:10") && absent.stderr.contains("write {} to it"),
        "{}",
        absent.stderr
    );

    let project = project.file("golden.json", "{}\n");
    let first = project.run(&["-v"]);
    assert_eq!(first.code(), 0, "{first:?}");
    assert!(first.stdout.contains("golden skipped: golden.json has no losses of "), "{}", first.stdout);

    let golden = project.gpu_harness(&["golden"]);
    assert_eq!(golden.code(), 0, "{golden:?}");
    assert!(
        golden.stdout.contains("s::unet: 6 losses of ") && golden.stdout.contains("1 threads, libtorch"),
        "{golden:?}"
    );
    let file = project.path().join("golden.json");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3, "a line for the one device: {text}");

    let same = project.run(&["-v"]);
    assert_eq!(same.code(), 0, "{same:?}");
    assert!(
        same.stdout.contains("golden (loss) held") || same.stdout.contains("golden loss held"),
        "{}",
        same.stdout
    );

    // One bit of the third loss.
    let mut losses = gpu_suites::golden::read(&text).unwrap();
    let third = losses.values_mut().next().unwrap().get_mut(2).unwrap();
    *third = f32::from_bits(third.to_bits() + 1);
    fs::write(&file, gpu_suites::golden::write(&losses)).unwrap();
    let other = project.run(&[]);
    assert_eq!(other.outcome("unet").0, Outcome::Failed, "{other:?}");
    assert!(
        other.stdout.contains("1 of 6 values differ") && other.stdout.contains("(step 3)"),
        "{}",
        other.stdout
    );

    // What is meant to change becomes golden by the run that failed for it alone.
    assert_eq!(project.gpu_harness(&["golden"]).code(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn what_is_no_golden_run_is_left_out_and_said() {
    let project = project().file("golden.json", "{\"x\": \"y\"}");
    let run = project.run(&[]);
    assert_eq!(run.outcome("unet").0, Outcome::Failed, "{run:?}");
    assert!(run.stdout.contains("failed to read the golden losses in golden.json"), "{}", run.stdout);
    let golden = project.gpu_harness(&["golden"]);
    assert_eq!(golden.code(), 1, "{golden:?}");
    assert!(golden.stdout.contains("s::unet: left out: it failed"), "{golden:?}");
    let none = Project::with_suite("suite: s\ncases:\n  - { name: a, command: { run: [\"true\"] } }\n");
    none.run(&[]);
    let golden = none.gpu_harness(&["golden"]);
    assert_eq!(golden.code(), 2, "{golden:?}");
    assert!(golden.stderr.contains("names a file of golden losses"), "{golden:?}");
}
