//! A cloud can take a node away in the middle of a run; it says so a little ahead.

use std::net::TcpListener;

use gpu_suites::event::{EndCause, Event, Record};
use gpu_suites::outcome::Outcome;
use gpu_suites::wire::Request;

use crate::metadata::Metadata;
use crate::rig::{Node, ends, finished, plan, processes, sh, wait_until, warnings};

const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const NOTICE: &str = r#"{"action":"terminate","time":"2026-11-23T14:32:05Z"}"#;
const REASON: &str = "AWS takes the spot instance back at 14:32:05 UTC";

fn cause(records: &[Record]) -> Option<EndCause> {
    match &records.last().unwrap().event {
        Event::RunFinished(end) => end.cause,
        other => panic!("{other:?} is not the end"),
    }
}

/// The paths in the artifacts' stream.
fn fetched(node: &Node, run: &str) -> Vec<String> {
    let output = node.command(&["fetch", "--run", run]).output().unwrap();
    assert!(output.status.success());
    let mut tar = tar::Archive::new(zstd::Decoder::new(output.stdout.as_slice()).unwrap());
    tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn a_reclaim_notice_interrupts_the_running_case_and_leaves_the_rest_to_another_node() {
    let metadata = Metadata::start();
    let node = Node::new().with(VARIABLE, &metadata.endpoint);
    let mut talk = node.talk();
    let half_done = "echo half > $GPU_HARNESS_ARTIFACTS/half.txt; echo ready; exec sleep 7391";
    let mut plan = plan("r", &[sh("true"), sh(half_done), sh("echo never")]);
    plan.reclaimable = true;
    plan.retries = 3;
    talk.start(plan);
    talk.wait_for(|event| matches!(event, Event::Log(log) if log.text == "ready\n"));
    let looked = "GET /latest/meta-data/spot/instance-action";
    wait_until("the agent asked", || metadata.answers().contains(&format!("{looked} 404")));
    // Tokens run out.
    metadata.forget_tokens();
    metadata.reclaim(NOTICE);
    let seen = talk.finish();

    assert_eq!(ends(&seen), [format!("interrupted: {REASON}")]);
    let end = finished(&seen)[0];
    assert_eq!((end.case.as_str(), end.attempt), ("s::c1", 1));
    let place = |wanted: &dyn Fn(&Event) -> bool| seen.iter().position(|record| wanted(&record.event));
    let told = place(&|event| matches!(event, Event::ReclaimNotice(notice) if notice.action == "terminate"));
    let artifact = place(&|event| matches!(event, Event::Artifact(artifact) if artifact.path == "half.txt"));
    let ended = place(&|event| matches!(event, Event::CaseFinished(_)));
    assert!(told.is_some() && told < artifact && artifact < ended, "{told:?} {artifact:?} {ended:?}");
    assert_eq!(seen.iter().filter(|record| matches!(record.event, Event::ReclaimNotice(_))).count(), 1);
    assert_eq!(cause(&seen), Some(EndCause::Reclaimed));
    assert!(
        matches!(&seen.last().unwrap().event, Event::RunFinished(end) if end.reason.as_deref() == Some(REASON))
    );
    assert!(processes("sleep 7391").is_empty());
    assert_eq!(fetched(&node, "r"), ["s.c1/half.txt"]);
    let answers = metadata.answers();
    let tokens = answers.iter().filter(|answer| answer.starts_with("PUT")).count();
    assert_eq!(tokens, 2, "a token is kept until it is refused: {answers:?}");
    assert!(answers.contains(&format!("{looked} 401")), "{answers:?}");
}

#[test]
fn a_case_that_will_not_end_does_not_keep_the_reclaim_waiting() {
    let metadata = Metadata::start();
    let node = Node::new().with(VARIABLE, &metadata.endpoint);
    let stubborn = "trap '' TERM; echo ready; sleep 7392 & while :; do wait; done";
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh(stubborn), sh("echo never")]);
    plan.reclaimable = true;
    talk.start(plan);
    talk.wait_for(|event| matches!(event, Event::Log(_)));
    metadata.reclaim(NOTICE);
    let told = talk.wait_for(|event| matches!(event, Event::ReclaimNotice(_)));
    let seen = talk.finish();
    assert_eq!(ends(&seen), [format!("interrupted: {REASON}")]);
    let took = seen.last().unwrap().at.duration_since(told.at).as_secs_f64();
    // The grace of a cancelled case, of the two minutes that AWS gives.
    assert!((4.0..15.0).contains(&took), "{took}");
    assert!(processes("sleep 7392").is_empty());
}

#[test]
fn a_node_without_a_metadata_service_runs_as_ever() {
    // One that refuses, one that accepts and says nothing, one that answers everything with a page of its own.
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = Metadata::start();
    page.reclaim("<html>please log in</html>");
    for endpoint in
        [format!("http://{refusing}"), format!("http://{}/", silent.local_addr().unwrap()), page.endpoint]
    {
        let node = Node::new().with(VARIABLE, &endpoint);
        let mut plan = plan("r", &[sh("sleep 1")]);
        plan.reclaimable = true;
        let seen = node.run(plan);
        assert_eq!(ends(&seen), ["passed"], "{endpoint}");
        assert_eq!((warnings(&seen), cause(&seen)), (vec![], None), "{endpoint}");
    }
}

#[test]
fn a_node_that_nobody_takes_back_is_not_asked_about() {
    let metadata = Metadata::start();
    metadata.reclaim(NOTICE);
    let node = Node::new().with(VARIABLE, &metadata.endpoint);
    assert_eq!(ends(&node.run(plan("r", &[sh("sleep 1")]))), ["passed"]);
    assert!(metadata.answers().is_empty(), "{:?}", metadata.answers());
}

#[test]
fn the_users_own_word_goes_before_the_clouds() {
    let metadata = Metadata::start();
    let node = Node::new().with(VARIABLE, &metadata.endpoint);
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("trap '' TERM; echo ready; sleep 7393 & while :; do wait; done")]);
    plan.reclaimable = true;
    talk.start(plan);
    talk.wait_for(|event| matches!(event, Event::Log(_)));
    talk.say(&Request::Cancel { reason: "interrupted by SIGINT".into(), limit: false });
    metadata.reclaim(NOTICE);
    let seen = talk.finish();
    assert_eq!(ends(&seen), ["cancelled: interrupted by SIGINT"]);
    assert_eq!(cause(&seen), Some(EndCause::Cancelled));
}

#[test]
fn attempts_and_retries_count_on_from_the_node_before() {
    let node = Node::new();
    let mut plan = plan("r", &[sh("exit 1"), sh("exit 1")]);
    plan.retries = 2;
    plan.cases[1].attempts_before = 3;
    plan.cases[1].retries_used = 1;
    let seen = node.run(plan);
    let tries: Vec<_> = finished(&seen).iter().map(|end| (end.case.as_str(), end.attempt)).collect();
    let wanted = [("s::c0", 1), ("s::c0", 2), ("s::c0", 3), ("s::c1", 4), ("s::c1", 5)];
    assert_eq!(tries, wanted);
    assert!(finished(&seen).iter().all(|end| end.outcome == Outcome::Failed));
}
