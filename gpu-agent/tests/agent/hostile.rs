//! What comes over the wire becomes paths and processes: nothing in it may leave its place.

use gpu_suites::plan::{PROTOCOL, Plan};
use gpu_suites::seal::Key;
use gpu_suites::wire::{Refusal, Reply, Request};
use serde_json::json;

use crate::rig::{Node, plan, sh};

fn refusal(node: &Node, plan: Plan) -> Refusal {
    let mut talk = node.talk();
    talk.say(&Request::Start { plan: Box::new(plan), key: Key::default() });
    match talk.reply() {
        Reply::Refused { error } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_would_leave_their_folder_are_refused() {
    let node = Node::new();
    for run in ["", "..", "../../escaped", "a/b", "a\0b", ".hidden", &"x".repeat(65)] {
        assert!(matches!(refusal(&node, plan(run, &[sh("true")])), Refusal::BadRequest { .. }), "{run:?}");
    }
    for id in ["s::../../x", "../s::x", "s::", "::x", "s", "s::a/b", "s::.."] {
        let mut plan = plan("r", &[sh("true")]);
        plan.cases[0].id = gpu_suites::id::CaseId(id.into());
        assert!(matches!(refusal(&node, plan), Refusal::BadRequest { .. }), "{id:?}");
    }
    for input in ["/etc/passwd", "../x", "a/../../x", "cache:../x", ""] {
        let mut plan = plan("r", &[sh("true")]);
        plan.cases[0].inputs = serde_json::from_value(json!({ input: "0".repeat(64) })).unwrap();
        assert!(matches!(refusal(&node, plan), Refusal::BadRequest { .. }), "{input:?}");
    }
    for blob in ["../../etc/passwd", "0", &"G".repeat(64)] {
        let mut plan = plan("r", &[sh("true")]);
        plan.cases[0].inputs = serde_json::from_value(json!({ "a": blob })).unwrap();
        assert!(matches!(refusal(&node, plan), Refusal::BadRequest { .. }), "{blob:?}");
    }
    let twice = {
        let mut plan = plan("r", &[sh("true"), sh("true")]);
        plan.cases[1].id = plan.cases[0].id.clone();
        plan
    };
    assert!(matches!(refusal(&node, twice), Refusal::BadRequest { .. }));
    let runs = std::fs::read_dir(node.cache().join("runs")).map_or(0, Iterator::count);
    assert_eq!((runs, node.path().join("escaped").exists()), (0, false));
}

#[test]
fn an_attach_or_a_fetch_cannot_name_another_folder() {
    let node = Node::new();
    std::fs::create_dir_all(node.path().join("elsewhere/cases/s.c/artifacts")).unwrap();
    std::fs::write(node.path().join("elsewhere/journal.ndjson"), "{}").unwrap();
    let mut talk = node.talk();
    talk.say(&Request::Attach { run: "../../elsewhere".into(), from: 0, key: Key::default() });
    assert!(matches!(talk.reply(), Reply::Refused { error: Refusal::NoSuchRun { .. } }));
    let fetched = node.command(&["fetch", "--run", "../../elsewhere"]).output().unwrap();
    assert!(!fetched.status.success() && fetched.stdout.is_empty());
}

#[test]
fn another_protocol_is_refused_before_anything_runs() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.say(&Request::Open { protocol: PROTOCOL + 1, harness: "9.9.9".into() });
    let wanted = Refusal::Protocol { agent: PROTOCOL, harness: PROTOCOL + 1 };
    assert_eq!(talk.reply(), Reply::Refused { error: wanted });
}

#[test]
fn a_line_that_is_no_request_is_refused_and_the_next_one_is_heard() {
    let node = Node::new();
    let mut talk = node.talk();
    for line in ["", "nonsense", "{}", "{\"request\":\"explode\"}", "[[[[[[[["] {
        talk.say_raw(line);
        assert!(matches!(talk.reply(), Reply::Refused { error: Refusal::BadRequest { .. } }), "{line:?}");
    }
    talk.say(&Request::Renew);
    assert_eq!(talk.reply(), Reply::Alive);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_with_its_path() {
    let node = Node::new();
    std::fs::write(node.cache(), "a file, where a folder should be").unwrap();
    let Refusal::Unwritable { path, .. } = refusal(&node, plan("r", &[sh("true")])) else {
        panic!("it is unwritable")
    };
    assert!(path.starts_with(&node.cache().display().to_string()), "{path}");
}
