//! Files come to the node once, whole and verified, and nothing that a case does changes them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use gpu_suites::seal::Key;
use gpu_suites::spec::InputPath;
use gpu_suites::wire::{Refusal, Reply, Request};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::rig::{Node, ends, log, plan, sh};

pub(crate) const SHA_OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A zstd tar stream of regular files.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        // By hand: the library itself refuses names that leave their folder.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap()
}

fn receive(node: &Node, stream: &[u8]) -> Reply {
    let mut child = node.command(&["receive"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // The agent may have refused before it has read everything.
    let _ = input.write_all(stream);
    drop(input);
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn send_hello(node: &Node) {
    let reply = receive(node, &packed(&[(SHA_OF_HELLO, b"hello")]));
    assert_eq!(reply, Reply::Received { blobs: 1, bytes: 5 });
}

fn stored(node: &Node) -> Vec<String> {
    let entries = std::fs::read_dir(node.cache().join("store")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_run_asks_for_what_is_missing_and_runs_when_it_is_there() {
    let node = Node::new();
    let mut wanted = plan("r", &[sh("cat data/a.txt cache/b.txt")]);
    let inputs = [("data/a.txt", SHA_OF_HELLO), ("cache:b.txt", SHA_OF_HELLO)];
    wanted.cases[0].inputs =
        inputs.into_iter().map(|(name, sha)| (InputPath(name.into()), sha.into())).collect();
    let mut talk = node.talk();
    talk.say(&Request::Start { plan: Box::new(wanted.clone()), key: Key::default() });
    assert_eq!(talk.reply(), Reply::Missing { blobs: vec![SHA_OF_HELLO.into()] });
    assert!(!node.run_dir("r").exists());
    send_hello(&node);
    talk.start(wanted);
    assert_eq!(log(&talk.finish(), "s::c0"), "hellohello");
}

#[test]
fn a_case_cannot_damage_the_store() {
    let node = Node::new();
    send_hello(&node);
    let mut plan = plan("r", &[sh("echo damaged > a.txt && chmod 777 a.txt"), sh("cat a.txt")]);
    for case in &mut plan.cases {
        case.inputs = serde_json::from_value(json!({ "a.txt": SHA_OF_HELLO })).unwrap();
    }
    let records = node.run(plan);
    assert_eq!(ends(&records), ["passed", "passed"]);
    assert_eq!(log(&records, "s::c1"), "hello");
    let blob = node.cache().join("store").join(SHA_OF_HELLO);
    assert_eq!(std::fs::read(&blob).unwrap(), b"hello");
    assert_eq!(blob.metadata().unwrap().permissions().mode() & 0o777, 0o444);
}

#[test]
fn what_was_damaged_on_its_way_is_refused_and_not_kept() {
    let node = Node::new();
    let reply = receive(&node, &packed(&[(SHA_OF_HELLO, b"hellO")]));
    let got = hex::encode(Sha256::digest(b"hellO"));
    let error = Refusal::Damaged { wanted: SHA_OF_HELLO.into(), got: got.into() };
    assert_eq!(reply, Reply::Refused { error });
    assert_eq!(stored(&node), Vec::<String>::new());
}

#[test]
fn a_stream_that_is_cut_anywhere_leaves_whole_files_only() {
    let node = Node::new();
    let noise: Vec<u8> = (0..50_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let sha = hex::encode(Sha256::digest(&noise));
    let stream = packed(&[(SHA_OF_HELLO, b"hello"), (&sha, &noise)]);
    for end in (0..stream.len()).step_by(stream.len() / 7) {
        let reply = receive(&node, &stream[..end]);
        assert!(matches!(reply, Reply::Refused { error: Refusal::BadRequest { .. } }), "{end}: {reply:?}");
        assert!(!stored(&node).contains(&sha), "{end}");
        assert!(stored(&node).iter().all(|name| name == SHA_OF_HELLO), "{end}: {:?}", stored(&node));
    }
    assert_eq!(receive(&node, &stream), Reply::Received { blobs: 2, bytes: 50_005 });
}

#[test]
fn only_regular_files_named_by_their_sha256_are_taken() {
    let node = Node::new();
    for name in [
        "../escaped",
        "/tmp/escaped-from-a-test",
        "a.txt",
        &format!("x/{SHA_OF_HELLO}"),
        &SHA_OF_HELLO.to_uppercase(),
    ] {
        let reply = receive(&node, &packed(&[(name, b"hello")]));
        assert!(matches!(reply, Reply::Refused { error: Refusal::BadRequest { .. } }), "{name}: {reply:?}");
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, SHA_OF_HELLO, "/etc/passwd").unwrap();
    let reply = receive(&node, &zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap());
    assert!(matches!(reply, Reply::Refused { error: Refusal::BadRequest { .. } }), "{reply:?}");
    assert_eq!(stored(&node), Vec::<String>::new());
}

#[test]
fn what_nobody_used_for_long_goes_and_what_is_used_stays() {
    let node = Node::new();
    send_hello(&node);
    let store = node.cache().join("store");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(31 * 24 * 3600);
    for name in [SHA_OF_HELLO, &"0".repeat(64), ".tmp-1-0"] {
        let file =
            std::fs::File::options().write(true).create(true).truncate(false).open(store.join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    let mut plan = plan("r", &[sh("cat a.txt")]);
    plan.cases[0].inputs = serde_json::from_value(json!({ "a.txt": SHA_OF_HELLO })).unwrap();
    assert_eq!(log(&node.run(plan), "s::c0"), "hello");
    assert_eq!(stored(&node), [SHA_OF_HELLO]);
}
