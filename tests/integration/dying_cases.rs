//! However a case dies, that is its own outcome, and the cases after it run.

use gpu_harness_tests::project::Project;
use gpu_suites::outcome::Outcome;

const SUITE: &str = r#"
suite: s
cases:
  - { name: first, command: { run: [sh, -c, "echo hello"] } }
  - { name: segfault, command: { run: [sh, -c, "echo before; kill -SEGV $$"] } }
  - { name: killed, command: { run: [sh, -c, "kill -KILL $$"] } }
  - name: out-of-memory
    command: { run: [python3, -c, "x = bytearray(1 << 30)"] }
    limits: { memory: 256 MiB }
  - name: endless
    command: { run: [sh, -c, "while :; do :; done"] }
    timeout: 1s
  - { name: exit-code, command: { run: [sh, -c, "exit 3"] } }
  - { name: no-such-program, command: { run: [no-such-program-anywhere] } }
  - name: nan
    command: { run: [sh, -c, "printf '{\"step\": 7, \"loss\": NaN}\\n' > $GPU_HARNESS_METRICS; sleep 60"] }
  - { name: not-utf8, command: { run: [sh, -c, "printf 'a\\377b\\n'"] } }
  - name: metric-too-low
    command: { run: [sh, -c, "echo '{\"accuracy\": 0.5}' > $GPU_HARNESS_METRICS"] }
    checks: { metric: [{ name: accuracy, at-least: 0.9 }] }
  - { name: left-out, skip: "no data yet", command: { run: ["true"] } }
  - name: control
    command: { run: [sh, -c, "echo '{\"accuracy\": 0.5}' > $GPU_HARNESS_METRICS"] }
    checks: { metric: [{ name: accuracy, at-least: 0.9 }] }
    must-fail: [metric]
  - { name: last, command: { run: ["true"] } }
"#;

#[test]
fn each_death_is_an_outcome_of_its_case_and_the_rest_run_on() {
    let project = Project::with_suite(SUITE);
    let run = project.run(&[]);
    for (case, outcome, says) in [
        ("first", Outcome::Passed, ""),
        ("segfault", Outcome::Failed, "SIGSEGV"),
        ("killed", Outcome::Errored, "SIGKILL"),
        ("out-of-memory", Outcome::Failed, "exit"),
        ("endless", Outcome::TimedOut, "1s"),
        ("exit-code", Outcome::Failed, "3"),
        ("no-such-program", Outcome::Errored, "no-such-program-anywhere"),
        ("nan", Outcome::Failed, "NaN"),
        ("not-utf8", Outcome::Passed, ""),
        ("metric-too-low", Outcome::Failed, "0.5"),
        ("left-out", Outcome::Skipped, "no data yet"),
        ("control", Outcome::Passed, ""),
        ("last", Outcome::Passed, ""),
    ] {
        let (got, reason) = run.outcome(case);
        assert_eq!(got, outcome, "{case}: {reason}");
        assert!(reason.contains(says), "{case}: {reason:?} does not say {says:?}");
    }
    assert_eq!(run.log("not-utf8"), "a\u{fffd}b\n");
    assert_eq!(run.code(), 1, "a failed check is what the user asked about");
}

#[test]
fn a_case_that_passes_on_its_second_try_passes_and_is_called_flaky() {
    let script = "if [ -e $HOME/been-here ]; then exit 0; fi; touch $HOME/been-here; exit 1";
    let project = Project::with_suite(&format!(
        "suite: s\ncases:\n  - {{ name: flaky, command: {{ run: [sh, -c, {script:?}] }} }}\n"
    ));
    let home = project.path().display().to_string();
    let project = project.env("HOME", home);
    let run = project.run(&["--retries", "1"]);
    assert_eq!(run.outcome("flaky").0, Outcome::Passed);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("flaky"), "{}", run.stdout);
}

#[test]
fn fail_fast_leaves_the_rest_out_and_says_why() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: bad, command: { run: [\"false\"] } }\n  - { name: later, command: { run: [\"true\"] } }\n",
    );
    let run = project.run(&["--fail-fast"]);
    assert_eq!(run.outcome("bad").0, Outcome::Failed);
    let (outcome, reason) = run.outcome("later");
    assert_eq!(outcome, Outcome::Skipped);
    assert!(reason.contains("bad"), "{reason}");
    assert_eq!(run.code(), 1);
}

#[test]
fn the_runs_own_limit_ends_the_running_case_and_leaves_the_rest_out() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: slow, command: { run: [sleep, \"60\"] } }\n  - { name: later, command: { run: [\"true\"] } }\n",
    );
    let run = project.run(&["--timeout", "1s"]);
    assert_eq!(run.outcome("slow").0, Outcome::TimedOut);
    assert_eq!(run.outcome("later").0, Outcome::Skipped);
    assert_eq!(run.code(), 4);
}
