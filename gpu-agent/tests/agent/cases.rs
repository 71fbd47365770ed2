//! Every way in which a case can end is an outcome of that case, and the next one runs.

use gpu_suites::event::Event;
use serde_json::json;

use crate::rig::{Node, ends, finished, log, plan, processes, sh, warnings};

#[test]
fn every_death_is_an_outcome_and_the_rest_run_on() {
    let node = Node::new();
    let records = node.run(plan(
        "r",
        &[
            sh("kill -SEGV $$"),
            sh("echo last words >&2; kill -KILL $$"),
            json!({ "command": { "run": ["sh", "-c", "trap '' TERM; while :; do :; done"] }, "timeout": "300ms" }),
            json!(["no-such-program"]),
            json!(["sh", "-c", "exit 3"]),
            json!({
                "command": { "run": ["python3", "-c", "x = bytearray(4 << 30)"] },
                "limits": { "memory": "512 MiB" },
            }),
            sh("echo '{\"loss\": NaN}' > $GPU_HARNESS_METRICS; sleep 1000"),
            sh("echo fine"),
        ],
    ));
    let ends = ends(&records);
    for (end, wanted) in ends.iter().zip([
        "failed: exit-status: ended by SIGSEGV",
        "errored: killed from outside by SIGKILL",
        "timed out: it did not end within its timeout of 0.3s",
        "errored: no-such-program cannot be started: No such file",
        "failed: exit-status: exit code 3",
        "failed: exit-status: exit code 1",
        "failed: finite: `loss` is NaN",
        "passed",
    ]) {
        assert!(end.starts_with(wanted), "{end}");
    }
    assert_eq!(ends.len(), 8);
    assert!(ends[1].ends_with("the last lines of its standard error:\nlast words"), "{}", ends[1]);
    assert!(ends[5].contains("its `limits: memory` is 512.0 MiB"), "{}", ends[5]);
    assert_eq!(finished(&records)[3].attempt, 0, "it was never started");
}

#[test]
fn a_process_that_will_not_end_is_killed_after_its_grace() {
    let node = Node::new();
    let line = "trap 'echo asked' TERM; while :; do sleep 0.05; done";
    let records =
        node.run(plan("r", &[json!({ "command": { "run": ["sh", "-c", line] }, "timeout": "200ms" })]));
    assert!(log(&records, "s::c0").contains("asked\n"), "{records:?}");
    assert!((5.0..8.0).contains(&finished(&records)[0].seconds), "{:?}", finished(&records));
}

#[test]
fn what_a_case_leaves_running_ends_with_it() {
    let node = Node::new();
    let line = "sleep 8391 & (setsid sh -c 'trap \"\" TERM HUP; sleep 8392' &) ; sleep 0.2; echo done";
    let records = node.run(plan("r", &[sh(line), sh("echo next")]));
    assert_eq!(ends(&records), ["passed", "passed"]);
    assert_eq!(["sleep 8391", "sleep 8392"].map(|text| processes(text).len()), [0, 0]);
}

#[test]
fn text_that_is_not_utf8_is_replaced_and_nothing_else_is() {
    let node = Node::new();
    let records = node.run(plan("r", &[sh(r"printf 'a\377b\303'; sleep 0.1; printf '\244c\303'")]));
    assert_eq!(log(&records, "s::c0"), "a\u{fffd}bäc\u{fffd}");
}

#[test]
fn bad_metrics_are_a_warning_and_good_ones_count() {
    let node = Node::new();
    let line = r#"for i in 1 2 3; do echo '{"loss": 1'; done > $GPU_HARNESS_METRICS
        echo '{"step": 1, "loss": 0.5}' > $GPU_HARNESS_METRICS
        head -c 100000 /dev/zero | tr '\0' x > $GPU_HARNESS_METRICS; echo > $GPU_HARNESS_METRICS
        printf '{"step": 2, "loss": 0.25}' > $GPU_HARNESS_METRICS"#;
    let records = node.run(plan("r", &[sh(line)]));
    let losses = records.iter().filter_map(|record| match &record.event {
        Event::Metrics(metrics) => metrics.values["loss"].number(),
        _ => None,
    });
    assert_eq!(losses.collect::<Vec<_>>(), [0.5, 0.25]);
    let warnings = warnings(&records);
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    assert!(warnings[0].contains("ends in the middle"), "{warnings:#?}");
    assert!(warnings[1].contains("more than 65536 bytes"), "{warnings:#?}");
    assert!(warnings[2].starts_with("2 more lines"), "{warnings:#?}");
}

#[test]
fn a_case_finds_its_own_environment_and_no_credentials() {
    let node = Node::new().with("MY_SERVICE_TOKEN", "hush").with("HARMLESS", "shown");
    let line = "echo $GPU_HARNESS_CASE $GPU_HARNESS_SEED $GPU_HARNESS_RUN $MY_OWN_KEY $HARMLESS [$MY_SERVICE_TOKEN]; \
                ulimit -c; test -p $GPU_HARNESS_METRICS && test -d $GPU_HARNESS_ARTIFACTS && cat && ls";
    let records = node.run(plan(
        "r",
        &[json!({ "command": { "run": ["sh", "-c", line], "env": { "MY_OWN_KEY": "set" } }, "seed": 7 })],
    ));
    assert_eq!(ends(&records), ["passed"]);
    assert_eq!(log(&records, "s::c0"), "s::c0 7 r set shown []\n0\n");
}

#[test]
fn artifacts_are_told_and_fetched_and_links_are_not() {
    let node = Node::new();
    let line = r#"cd $GPU_HARNESS_ARTIFACTS; mkdir plots; echo curve > plots/loss.svg; echo x > a.txt
        ln -s /etc/passwd stolen; mkfifo pipe; ln -s / root
        echo '{"@artifact": "a.txt"}' > $GPU_HARNESS_METRICS
        echo '{"@artifact": "../case.json"}' > $GPU_HARNESS_METRICS"#;
    let mut talk = node.talk();
    talk.start(plan("r", &[sh(line)]));
    let records = talk.finish();
    let told: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Artifact(artifact) => Some((artifact.path.as_str(), artifact.bytes)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("a.txt", 2), ("plots/loss.svg", 6)]);
    assert!(warnings(&records)[0].contains("\"../case.json\""), "{:?}", warnings(&records));
    let fetched = node.command(&["fetch", "--run", "r"]).output().unwrap();
    assert!(fetched.status.success());
    let mut tar = tar::Archive::new(zstd::Decoder::new(&fetched.stdout[..]).unwrap());
    let names = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["s.c0/a.txt", "s.c0/plots/loss.svg"]);
}
