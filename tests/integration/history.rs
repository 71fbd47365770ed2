//! A run is judged by the runs before it: what has become worse fails it, and nothing else does.

use std::fs;

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;
use serde_json::Value;

/// A case that measures the next line of a file each time it runs.
const SUITE: &str = r#"
suite: s
cases:
  - name: rate
    command: { run: [sh, -c, "v=$(head -n 1 $RATES); sed -i 1d $RATES; echo \"{\\\"items_per_second\\\": $v}\" > $GPU_HARNESS_METRICS"] }
"#;

const NIGHTS: [&str; 10] = ["100", "101", "99", "100.5", "99.5", "100", "101", "99", "100.5", "99.5"];

struct Nights {
    project: Project,
}

impl Nights {
    fn new(settings: &str) -> Self {
        let project = Project::with_suite(SUITE).file("gpu-harness.yaml", settings);
        let rates = project.path().join("rates").display().to_string();
        Self { project: project.env("RATES", rates) }
    }

    /// With ten quiet nights behind it.
    fn after_ten(settings: &str) -> Self {
        let nights = Self::new(settings);
        for value in NIGHTS {
            let run = nights.night(&[value]);
            assert_eq!(run.code(), 0, "{run:?}");
        }
        nights
    }

    /// A run whose measurements are these, in their order.
    fn night(&self, measurements: &[&str]) -> Finished {
        fs::write(self.project.path().join("rates"), measurements.join("\n") + "\n").unwrap();
        self.project.run(&["--history", "history"])
    }

    fn entries(&self) -> Vec<Value> {
        let said = self.project.gpu_harness(&["history", "--history", "history", "--json"]);
        assert_eq!(said.code(), 0, "{said:?}");
        serde_json::from_str(&said.stdout).unwrap()
    }
}

fn attempts(run: &Finished) -> usize {
    run.events().iter().filter(|record| matches!(record.event, Event::CaseStarted(_))).count()
}

#[test]
fn a_drop_is_measured_again_and_fails_the_run_and_one_bad_measurement_does_not() {
    let nights = Nights::new("{}\n");
    let first = nights.night(&["100"]);
    assert_eq!(first.code(), 0, "{first:?}");
    assert!(first.stdout.contains("insufficient data"), "it is said: {}", first.stdout);
    for value in &NIGHTS[1..] {
        assert_eq!(nights.night(&[value]).code(), 0);
    }

    let steady = nights.night(&["100"]);
    assert_eq!((steady.code(), attempts(&steady)), (0, 1));
    assert!(!steady.stdout.contains("insufficient"), "{}", steady.stdout);

    let disturbed = nights.night(&["70", "100"]);
    assert_eq!((disturbed.code(), attempts(&disturbed)), (0, 2), "{disturbed:?}");

    let dropped = nights.night(&["94", "94.5", "93.5"]);
    assert_eq!((dropped.code(), attempts(&dropped)), (1, 3), "{dropped:?}");
    assert_eq!(dropped.outcome("rate").0, Outcome::Passed, "its checks held");
    assert!(
        dropped.stdout.contains("items_per_second regressed: 94, 6.0 % worse than 100"),
        "{}",
        dropped.stdout
    );
    let junit = dropped.junit();
    assert_eq!(xml::cases(&junit)["rate"], "failure");
    assert!(junit.contains(r#"<failure type="regression""#), "{junit}");

    let entries = nights.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["verdict"], "regressed", "{:#}", entries[0]);
    assert_eq!(entries[0]["values"].as_array().unwrap().len(), 13);
    let text = nights.project.gpu_harness(&["history", "*items*", "--history", "history"]).stdout;
    for says in ["s::rate", "items_per_second", "band 97 to 103", "regressed: 94", "█"] {
        assert!(text.contains(says), "{says:?} is not in\n{text}");
    }

    // The reports are made anew from the events alone, the verdict among them.
    let folder = dropped.folder().display().to_string();
    let again = nights.project.gpu_harness(&["report", &folder]);
    assert_eq!(again.code(), 1, "{again:?}");
    assert!(again.stdout.contains("regressed: 94"), "{}", again.stdout);
}

#[test]
fn a_suspicion_that_the_runs_limit_leaves_no_time_for_stays_one() {
    let slow = SUITE.replace("v=$(head", "sleep 0.4; v=$(head");
    let project = Project::with_suite(&slow);
    let rates = project.path().join("rates").display().to_string();
    let nights = Nights { project: project.env("RATES", rates) };
    for value in NIGHTS {
        assert_eq!(nights.night(&[value]).code(), 0);
    }
    fs::write(nights.project.path().join("rates"), "70\n70\n70\n").unwrap();
    let run = nights.project.run(&["--history", "history", "--timeout", "800ms"]);
    assert_eq!((run.code(), attempts(&run)), (0, 1), "{run:?}");
    assert!(run.stdout.contains("suspected, not confirmed"), "{}", run.stdout);
}

/// A case that measures what its device can do at best besides: a line of the file has both.
const WITH_CANARY: &str = r#"
suite: s
cases:
  - name: rate
    command: { run: [sh, -c, "set -- $(head -n 1 $RATES); sed -i 1d $RATES; echo \"{\\\"items_per_second\\\": $1, \\\"fp32/ceiling_gflops\\\": $2}\" > $GPU_HARNESS_METRICS"] }
"#;

#[test]
fn a_slow_node_is_told_from_slow_code_and_its_figures_enter_no_baseline() {
    let project = Project::with_suite(WITH_CANARY);
    let rates = project.path().join("rates").display().to_string();
    let nights = Nights { project: project.env("RATES", rates) };
    let night = |figures: &str| nights.night(&[figures, figures, figures]);
    for value in NIGHTS {
        let ceiling = 10.0 * value.parse::<f64>().unwrap();
        assert_eq!(night(&format!("{value} {ceiling}")).code(), 0);
    }
    let slow = night("80 800");
    assert_eq!(slow.code(), 0, "{slow:?}");
    assert!(slow.stdout.contains("degraded node, its figures judge nothing"), "{}", slow.stdout);
    assert!(slow.stdout.contains("fp32/ceiling_gflops regressed: 800, 20.0 % worse"), "{}", slow.stdout);
    assert!(slow.junit().contains("history.degraded"), "{}", slow.junit());
    let entries = nights.entries();
    let rate = entries.iter().find(|entry| entry["metric"] == "items_per_second").unwrap();
    assert_eq!(rate["values"][10]["healthy"], false, "{rate:#}");

    // The same figure on a node that is as fast as ever is the code's.
    let regressed = night("80 1000");
    assert_eq!(regressed.code(), 1, "{regressed:?}");
    assert!(regressed.stdout.contains("items_per_second regressed: 80"), "{}", regressed.stdout);
    // A node that is a little slower, within what such nodes differ by, excuses nothing.
    assert_eq!(night("80 985").code(), 1);
}

#[test]
fn answers_that_change_fail_the_run_until_most_nights_have_them() {
    let suite = r#"
suite: s
cases:
  - name: answers
    command: { run: [sh, -c, "echo \"{\\\"output_hash\\\": \\\"$(cat $HASH)\\\"}\" > $GPU_HARNESS_METRICS"] }
"#;
    let project = Project::with_suite(suite);
    let hash = project.path().join("hash");
    let project = project.env("HASH", hash.display().to_string());
    let night = |text: &str| {
        fs::write(&hash, text).unwrap();
        project.run(&["--history", "history"])
    };
    for _ in 0..3 {
        assert_eq!(night("x:aaaa").code(), 0);
    }
    let changed = night("x:bbbb");
    assert_eq!(changed.code(), 1, "{changed:?}");
    assert!(changed.stdout.contains("output_hash changed: x:aaaa became x:bbbb"), "{}", changed.stdout);
    let junit = changed.junit();
    assert_eq!(xml::cases(&junit)["answers"], "failure");
    assert!(junit.contains("output_hash changed"), "{junit}");
    assert_eq!(night("y:cccc").code(), 0, "the answers to something else");
    fs::write(project.path().join("gpu-harness.yaml"), "regression: warn\n").unwrap();
    let warned = night("x:bbbb");
    assert_eq!(warned.code(), 0, "{warned:?}");
    assert!(warned.stdout.contains("output_hash changed"), "{}", warned.stdout);
    fs::write(project.path().join("gpu-harness.yaml"), "metrics: { \"*_hash\": ignore }\n").unwrap();
    assert!(!night("x:dddd").stdout.contains("changed"));
    fs::write(project.path().join("gpu-harness.yaml"), "{}\n").unwrap();
    night("x:bbbb");
    assert_eq!(night("x:bbbb").code(), 0, "most nights have it");
}

#[test]
fn the_history_answers_in_sql() {
    let nights = Nights::after_ten("history: history\n");
    let python = std::env::var("GPU_HARNESS_EC2_PYTHON").expect("`cargo xtask test` sets it");
    let duckdb = std::path::Path::new(&python).with_file_name("duckdb").display().to_string();
    let project = nights.project.env("GPU_HARNESS_DUCKDB", duckdb);
    let query =
        "SELECT id, count(*) AS nights, median(value) AS middle FROM history WHERE healthy GROUP BY id";
    let said = project.gpu_harness(&["history", "--sql", query, "--json"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let rows: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(rows, serde_json::json!([{ "id": "s::rate", "nights": 10, "middle": 100.0 }]));
    let wrong = project.gpu_harness(&["history", "--sql", "SELEC"]);
    assert!(wrong.code() != 0 && wrong.stderr.contains("DuckDB refused the query"), "{wrong:?}");
    let project = project.env("GPU_HARNESS_DUCKDB", "/nonexistent/duckdb");
    let missing = project.gpu_harness(&["history", "--sql", query]);
    assert!(missing.stderr.contains("pip install duckdb-cli"), "{missing:?}");
}

#[test]
fn the_settings_say_what_a_regression_does() {
    let nights = Nights::after_ten("regression: warn\n");
    let warned = nights.night(&["94", "94", "94"]);
    assert_eq!(warned.code(), 0, "{warned:?}");
    assert!(warned.stdout.contains("regressed: 94"), "{}", warned.stdout);
    fs::write(nights.project.path().join("gpu-harness.yaml"), "regression: off\n").unwrap();
    let off = nights.night(&["94"]);
    assert_eq!((off.code(), attempts(&off)), (0, 1), "{off:?}");
    assert!(!off.stdout.contains("regressed"), "{}", off.stdout);
    // For this project more of it is worse.
    fs::write(nights.project.path().join("gpu-harness.yaml"), "metrics: { items_*: lower }\n").unwrap();
    let turned = nights.night(&["106", "106", "106"]);
    assert_eq!(turned.code(), 1, "{turned:?}");
}

#[test]
fn trouble_with_the_history_is_said_and_changes_no_outcome() {
    let nights = Nights::new("{}\n");
    fs::write(nights.project.path().join("history"), "a file, no folder").unwrap();
    let run = nights.night(&["100"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("this run is not in the history in history"), "{}", run.stdout);
    fs::remove_file(nights.project.path().join("history")).unwrap();
    assert_eq!(nights.night(&["100"]).code(), 0);
    fs::write(nights.project.path().join("history/20260101-000000-torn.ndjson"), "{\"gpu-harness-hi")
        .unwrap();
    let run = nights.night(&["100"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("20260101-000000-torn.ndjson was left out"), "{}", run.stdout);
    assert_eq!(nights.entries()[0]["values"].as_array().unwrap().len(), 2, "the rest is read");
    let refused = nights.project.run(&["--history", "gs://bucket/history"]);
    assert_eq!(refused.code(), 2, "{refused:?}");
    assert!(refused.stderr.contains("names no store"), "{}", refused.stderr);
}

#[test]
fn runs_made_without_a_history_are_added_later_by_many_at_once() {
    let nights = Nights::new("history: kept\n");
    let folders = Vec::from_iter(NIGHTS.map(|value| {
        fs::write(nights.project.path().join("rates"), format!("{value}\n")).unwrap();
        let run = nights.project.run(&["--history", "elsewhere"]);
        run.folder().display().to_string()
    }));
    let arguments = |shift: usize| {
        let mut folders = folders.clone();
        folders.rotate_left(shift);
        folders
    };
    let adders = Vec::from_iter((0..6).map(|shift| {
        let folders = arguments(shift);
        let words = Vec::from_iter(["history", "add"].into_iter().chain(folders.iter().map(String::as_str)));
        nights.project.command(&words).stdout(std::process::Stdio::piped()).spawn().unwrap()
    }));
    let said = adders.into_iter().map(|adder| {
        let output = adder.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    let said = said.collect::<String>();
    assert_eq!(said.matches("added ").count(), 10, "each run once: {said}");
    assert_eq!(said.matches("is in the history already").count(), 50, "{said}");
    let text = nights.project.gpu_harness(&["history"]).stdout;
    assert!(text.contains("10 values") && text.contains("insufficient data: 9 of the 10"), "{text}");
    let objects = fs::read_dir(nights.project.path().join("kept")).unwrap().count();
    assert_eq!(objects, 10, "an object per run and nothing else");
}

const FAILING: &str = r#"
suite: s
cases:
  - { name: broken, command: { run: [sh, -c, "exit $(cat $CODE)"] } }
"#;

#[test]
fn a_quarantined_failure_is_shown_and_fails_nothing_until_its_day_is_over() {
    let project = Project::with_suite(FAILING);
    let code = project.path().join("code");
    let project = project.env("CODE", code.display().to_string());
    fs::write(&code, "1").unwrap();
    let settings = |until: &str| {
        let text =
            format!("quarantine:\n  - case: s::broken\n    reason: driver bug 42\n    until: {until}\n");
        fs::write(project.path().join("gpu-harness.yaml"), text).unwrap();
    };
    settings("2999-12-31");
    let held = project.run(&[]);
    assert_eq!(held.code(), 0, "{held:?}");
    assert_eq!(held.outcome("broken").0, Outcome::Failed, "it is what it is");
    assert!(held.stdout.contains("in quarantine until 2999-12-31"), "{}", held.stdout);
    assert!(held.stdout.contains("driver bug 42"), "{}", held.stdout);
    let junit = held.junit();
    assert_eq!(xml::cases(&junit)["broken"], "skipped");
    assert!(junit.contains("quarantined"), "{junit}");
    settings("2020-01-01");
    let over = project.run(&[]);
    assert_eq!(over.code(), 1, "{over:?}");
    assert!(
        over.stdout.contains("gpu-harness.yaml:4: the quarantine ended on 2020-01-01"),
        "{}",
        over.stdout
    );
}

#[test]
fn a_case_that_passes_and_fails_in_turn_is_named_flaky() {
    let project = Project::with_suite(FAILING);
    let code = project.path().join("code");
    let project = project.env("CODE", code.display().to_string());
    let run = |status: &str| {
        fs::write(&code, status).unwrap();
        project.run(&["--history", "history"])
    };
    assert!(!run("0").stdout.contains("over the last runs"));
    assert!(run("1").stdout.contains("over the last runs: failing"));
    run("0");
    let flaky = run("1");
    assert!(flaky.stdout.contains("over the last runs: flaky"), "{}", flaky.stdout);
    assert!(flaky.junit().contains("[[PROPERTY|history.standing=flaky]]"), "{}", flaky.junit());
    run("1");
    let failing = run("1");
    assert!(failing.stdout.contains("over the last runs: consistently failing"), "{}", failing.stdout);
}
