//! How a run goes from case to case.

use std::time::Duration;

use gpu_suites::event::Event;
use gpu_suites::seal::Key;
use gpu_suites::unit::Span;
use gpu_suites::wire::Request;
use serde_json::json;

use crate::rig::{Node, ends, finished, log, plan, processes, sh};

#[test]
fn a_cancelled_run_ends_in_good_order() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("echo first"), sh("echo ready; exec sleep 6391"), sh("echo never")]));
    let mut seen = vec![talk.wait_for(|event| matches!(event, Event::Log(log) if log.text == "ready\n"))];
    talk.say(&Request::Cancel { reason: "interrupted by SIGINT".into(), limit: false });
    seen.extend(talk.finish());
    assert_eq!(ends(&seen), ["cancelled: interrupted by SIGINT"; 2]);
    assert_eq!(finished(&seen).iter().map(|end| end.attempt).collect::<Vec<_>>(), [1, 0]);
    assert!(matches!(&seen.last().unwrap().event, Event::RunFinished(end) if end.reason.is_some()));
    assert!(processes("sleep 6391").is_empty());
}

#[test]
fn a_limit_that_the_harness_saw_reached_is_no_cancellation() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("echo ready; exec sleep 6393"), sh("echo never")]));
    let mut seen = vec![talk.wait_for(|event| matches!(event, Event::Log(log) if log.text == "ready\n"))];
    talk.say(&Request::Cancel { reason: "$0.50 are spent".into(), limit: true });
    seen.extend(talk.finish());
    assert_eq!(ends(&seen), ["timed out: $0.50 are spent", "skipped: $0.50 are spent"]);
}

#[test]
fn a_cancellation_right_behind_the_start_is_heard() {
    let node = Node::new();
    let mut talk = node.talk();
    let plan = plan("r", &[sh("exec sleep 6392")]);
    talk.say(&Request::Start { plan: Box::new(plan), key: Key::default() });
    talk.say(&Request::Cancel { reason: "changed my mind".into(), limit: false });
    talk.reply();
    assert_eq!(ends(&talk.finish()), ["cancelled: changed my mind"]);
}

#[test]
fn a_case_that_does_not_pass_is_tried_again_in_a_fresh_folder() {
    let node = Node::new();
    let counter = node.path().join("tries");
    let line =
        format!("echo x >> {0}; test ! -e old; touch old; test $(wc -l < {0}) -ge 3", counter.display());
    let mut plan = plan("r", &[sh(&line), sh("exit 1"), json!(["no-such-program"])]);
    plan.retries = 2;
    let records = node.run(plan);
    let tries = finished(&records)
        .iter()
        .map(|end| format!("{} {} {}", end.case, end.attempt, end.outcome))
        .collect::<Vec<_>>();
    let wanted = [
        "s::c0 1 failed",
        "s::c0 2 failed",
        "s::c0 3 passed",
        "s::c1 1 failed",
        "s::c1 2 failed",
        "s::c1 3 failed",
        "s::c2 0 errored",
    ];
    assert_eq!(tries, wanted);
}

#[test]
fn a_run_that_fails_fast_skips_the_rest() {
    let node = Node::new();
    let mut plan = plan("r", &[sh("true"), sh("false"), sh("echo never")]);
    plan.fail_fast = true;
    let records = node.run(plan);
    let ends = ends(&records);
    assert_eq!(ends[0], "passed");
    assert_eq!(ends[2], "skipped: s::c1 failed and the run fails fast");
    assert_eq!(log(&records, "s::c2"), "");
}

#[test]
fn a_case_that_times_out_fails_the_run_fast_too() {
    let node = Node::new();
    let slow = json!({ "command": { "run": ["sleep", "60"] }, "timeout": "200ms" });
    let mut plan = plan("r", &[slow, sh("echo never")]);
    plan.fail_fast = true;
    let ends = ends(&node.run(plan));
    assert!(ends[0].starts_with("timed out"), "{ends:?}");
    assert_eq!(ends[1], "skipped: s::c0 timed out and the run fails fast");
}

#[test]
fn a_run_that_reaches_its_limit_times_out_what_runs_and_skips_the_rest() {
    let node = Node::new();
    let mut plan = plan("r", &[sh("exec sleep 60"), sh("echo never")]);
    plan.timeout = Some(Span(Duration::from_millis(300)));
    plan.retries = 3;
    let ends = ends(&node.run(plan));
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends[0].starts_with("timed out: the run reached its limit of 0.3s"), "{ends:?}");
    assert_eq!(ends[1], "skipped: the run reached its limit of 0.3s");
}

#[test]
fn a_case_that_its_suite_leaves_out_says_why() {
    let node = Node::new();
    let skipped = json!({ "command": { "run": ["true"] }, "skip": "needs two GPUs" });
    assert_eq!(ends(&node.run(plan("r", &[skipped, sh("true")]))), ["skipped: needs two GPUs", "passed"]);
}
