//! What a node lacks is put there before the first case that needs it, or said to be lacking by those cases alone.

use std::net::TcpListener;

use gpu_suites::event::Event;
use gpu_suites::plan::Plan;
use gpu_suites::spec::{Environment, Libtorch};
use gpu_suites::unit::Span;
use gpu_suites::wire::Request;
use serde_json::json;

use crate::rig::{Node, ends, finished, plan, processes, wait_until};

/// A node without libtorch, and without a Python that may have one.
fn bare() -> Node {
    let node = Node::new().with("LIBTORCH", "/nonexistent/libtorch").with("PATH", "/nonexistent");
    crate::store::send_hello(&node);
    node
}

/// A case of gpu-worker, and one that needs nothing. The worker is none: where it is started, that is told.
fn of_both(environment: Environment) -> Plan {
    let mut both = plan("r", &[]);
    both.cases = serde_json::from_value(json!([
        {
            "id": "s::t",
            "spec": { "name": "t", "train": {
                "model": { "builtin": "unet" },
                "data": { "image": "a.png", "boxes": "a.csv", "task": "segment", "size": 64 },
            }},
            "inputs": { "a.png": crate::store::SHA_OF_HELLO, "a.csv": crate::store::SHA_OF_HELLO },
        },
        { "id": "s::c", "spec": { "name": "c", "command": { "run": ["/bin/true"] } }, "inputs": {} },
    ]))
    .unwrap();
    both.worker = Some(crate::store::SHA_OF_HELLO.into());
    both.environment = environment;
    both
}

/// An index that takes every connection and never says a word.
fn silent() -> (TcpListener, Environment) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let index = Some(format!("http://{}/simple", listener.local_addr().unwrap()));
    (listener, Environment { index, ..Environment::default() })
}

#[test]
fn where_nothing_is_fetched_a_case_tells_every_place_that_was_looked_at() {
    let records = bare().run(of_both(Environment { libtorch: Libtorch::Off, ..Environment::default() }));
    let ends = ends(&records);
    for words in
        ["errored: libtorch 2.11.0 was not found", "$LIBTORCH: /nonexistent/libtorch", "python3", "hint:"]
    {
        assert!(ends[0].contains(words), "{words}: {}", ends[0]);
    }
    assert_eq!((finished(&records)[0].attempt, ends[1].as_str()), (0, "passed"));
}

#[test]
fn a_set_up_that_takes_too_long_errs_the_cases_that_need_it_and_leaves_no_process() {
    let (_index, environment) = silent();
    let timeout = Span(std::time::Duration::from_millis(300));
    let records = bare().run(of_both(Environment { timeout, ..environment }));
    let ends = ends(&records);
    assert!(ends[0].starts_with("errored: environment: libtorch 2.11.0+cpu could not be put"), "{ends:?}");
    assert!(ends[0].contains("it was not there after 0.3s"), "{ends:?}");
    assert_eq!(ends[1], "passed");
    let failed = |event: &Event| matches!(event, Event::EnvironmentFailed(_));
    assert_eq!(records.iter().filter(|record| failed(&record.event)).count(), 1);
}

#[test]
fn a_run_that_is_cancelled_ends_its_set_up() {
    let (index, environment) = silent();
    let node = bare();
    let mut talk = node.talk();
    talk.start(of_both(environment));
    talk.wait_for(|event| matches!(event, Event::EnvironmentProgress(_)));
    // It has called the index, so its process is there.
    drop(index.accept().unwrap());
    talk.say(&Request::Cancel { reason: "enough".into(), limit: false });
    let records = talk.finish();
    wait_until("the end of the process", || processes("gpu-agent environment").is_empty());
    assert_eq!(ends(&records), ["cancelled: enough", "cancelled: enough"]);
}
