//! The node's disk is full: the run still ends in a journal that can be read.

use std::process::Command;

use gpu_suites::event::Event;
use gpu_suites::seal::Key;
use gpu_suites::wire::{Refusal, Reply, Request};
use serde_json::json;

use crate::rig::{AGENT, Node, Talk, ends, plan, sh};

/// An agent whose cache folder is a disk of 8 MiB, in a mount namespace of its own; `taken` KiB of it are full.
fn on_a_small_disk(node: &Node, taken: u32) -> Talk {
    let cache = node.cache().display().to_string();
    std::fs::create_dir_all(&cache).unwrap();
    let namespace = || {
        let mut unshare = Command::new("unshare");
        unshare.arg(if is_root() { "-m" } else { "-rm" });
        unshare
    };
    let allowed = namespace().args(["mount", "-t", "tmpfs", "none", &cache]).status();
    assert!(
        allowed.is_ok_and(|status| status.success()),
        "this test mounts a small disk in a namespace of its own: run it as root, or allow user namespaces"
    );
    let script = format!(
        "mount -t tmpfs -o size=8m none {cache} && head -c {taken}K /dev/zero > {cache}/taken && exec {AGENT} serve"
    );
    node.talk_through(namespace(), &["sh", "-c", &script])
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

#[test]
fn a_log_that_fills_the_disk_ends_the_run_in_a_readable_journal() {
    let node = Node::new();
    let mut talk = on_a_small_disk(&node, 0);
    talk.start(plan("r", &[sh("echo fine"), sh("yes | head -c 100000000; sleep 1000"), sh("echo never")]));
    let records = talk.finish();
    let ends = ends(&records);
    assert_eq!(ends.len(), 3, "{ends:?}");
    assert_eq!(ends[0], "passed");
    for end in &ends[1..] {
        assert!(end.starts_with("errored: the node's disk is full: "), "{end}");
        assert!(end.contains("journal.ndjson") && end.contains("bytes are free"), "{end}");
    }
    assert!(matches!(&records.last().unwrap().event, Event::RunFinished(end) if end.reason.is_some()));
}

#[test]
fn files_of_a_case_that_fill_the_disk_do_the_same() {
    let node = Node::new();
    let mut talk = on_a_small_disk(&node, 0);
    let line = "dd if=/dev/zero of=big bs=1M 2>/dev/null; yes | head -c 1000000; sleep 1000";
    talk.start(plan("r", &[sh(line), sh("echo never")]));
    let ends = ends(&talk.finish());
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends.iter().all(|end| end.starts_with("errored: the node's disk is full")), "{ends:?}");
}

#[test]
fn endless_metrics_do_the_same() {
    let node = Node::new();
    let mut talk = on_a_small_disk(&node, 0);
    let line = r#"while :; do echo '{"loss": 1}'; done > $GPU_HARNESS_METRICS"#;
    talk.start(plan("r", &[json!(["sh", "-c", line])]));
    let ends = ends(&talk.finish());
    assert!(ends[0].starts_with("errored: the node's disk is full"), "{ends:?}");
}

#[test]
fn a_disk_without_room_for_the_run_is_told_before_anything_runs() {
    let node = Node::new();
    for taken in [7_900, 8_192] {
        let mut talk = on_a_small_disk(&node, taken);
        talk.say(&Request::Start { plan: Box::new(plan("r", &[sh("echo never")])), key: Key::default() });
        let reply = talk.reply();
        let Reply::Refused { error: Refusal::Unwritable { path, cause } } = reply else {
            panic!("{reply:?}")
        };
        assert!(path.ends_with("runs/r") && cause.contains("No space left"), "{path}: {cause}");
    }
}

#[test]
fn a_case_that_fails_because_the_nodes_disk_is_full_is_errored_also_where_it_tidied_up() {
    let node = Node::new();
    let temporary = node.path().join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let temporary = temporary.display().to_string();
    let mut unshare = Command::new("unshare");
    unshare.arg(if is_root() { "-m" } else { "-rm" });
    let script = format!(
        "mount -t tmpfs -o size=8m,nr_inodes=100 none {temporary} && TMPDIR={temporary} exec {AGENT} serve"
    );
    let mut talk = node.talk_through(unshare, &["sh", "-c", &script]);
    // It is seen while the disk is full, whatever becomes of it.
    let fill = "head -c 9000000 /dev/zero > $TMPDIR/big; sleep 1.2; rm $TMPDIR/big";
    let inodes = "for i in $(seq 200); do touch $TMPDIR/$i; done 2>/dev/null; sleep 1.2; rm -f $TMPDIR/*";
    talk.start(plan(
        "r",
        &[
            sh(&format!("{fill}; exit 1")),
            sh(&format!("{inodes}; exit 1")),
            sh("echo 'OSError: [Errno 122] Disk quota exceeded' >&2; exit 1"),
            sh(&format!("{fill}; exit 0")),
            sh("exit 1"),
        ],
    ));
    let ends = ends(&talk.finish());
    for (end, said) in ends.iter().zip(["B were left", "no file more can be made", "quota is used up"]) {
        assert!(end.starts_with("errored: the node's disk") && end.contains(said), "{ends:#?}");
        assert!(end.contains("the case itself: exit-status"), "{ends:#?}");
    }
    // A full disk harms nobody who passes, and what fails on its own goes on to.
    assert_eq!(ends[3], "passed");
    assert!(ends[4].starts_with("failed"), "{ends:#?}");
}
