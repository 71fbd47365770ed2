//! A case that writes more than anybody reads: nothing is lost below its limit, and nothing dies above it.

use gpu_harness_tests::project::Project;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;

const SCRIPT: &str = r#"
import os
log = os.fdopen(1, "w", buffering=1 << 16)
metrics = open(os.environ["GPU_HARNESS_METRICS"], "w", buffering=1 << 16)
for i in range(100_000):
    log.write(f"line {i}\n")
    metrics.write('{"step": %d, "loss": %f}\n' % (i, 1 / (i + 1)))
"#;

#[test]
fn a_hundred_thousand_lines_and_metrics_arrive_each_once_in_order() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - name: flood\n    command: { run: [python3, flood.py], files: [flood.py] }\n    checks: { loss-drop: {} }\n",
    )
    .file("flood.py", SCRIPT);
    let run = project.run(&[]);
    assert_eq!(run.outcome("flood").0, Outcome::Passed, "{run:?}");
    let lines: Vec<String> = run.log("flood").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 100_000);
    assert!(lines.iter().enumerate().all(|(i, line)| *line == format!("line {i}")));
    let events = run.events();
    assert!(events.iter().enumerate().all(|(i, record)| record.seq == i as u64), "the numbering has no gap");
    let steps = events
        .iter()
        .filter_map(|record| if let Event::Metrics(event) = &record.event { event.step } else { None });
    assert!(steps.eq(0..100_000));
}

#[test]
fn a_log_beyond_its_limit_is_cut_and_the_cut_is_said() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - name: chatty\n    command: { run: [sh, -c, 'yes | head -c 67108864'] }\n    limits: { log: 1 MiB }\n  - { name: next, command: { run: [\"true\"] } }\n",
    );
    let run = project.run(&[]);
    assert_eq!(
        (run.outcome("chatty").0, run.outcome("next").0),
        (Outcome::Passed, Outcome::Passed),
        "{run:?}"
    );
    let dropped: u64 = run
        .events()
        .iter()
        .filter_map(
            |record| if let Event::LogTruncated(event) = &record.event { Some(event.dropped) } else { None },
        )
        .sum();
    assert_eq!(run.log("chatty").len() as u64 + dropped, 67_108_864);
    assert!(run.log("chatty").len() <= 1 << 20);
}
