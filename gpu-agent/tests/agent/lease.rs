//! A node is the harness's only as long as the harness renews its lease.

use std::path::Path;
use std::time::Duration;

use gpu_suites::event::Event;
use gpu_suites::plan::OnExpiry;
use gpu_suites::unit::Span;
use gpu_suites::wire::Request;

use crate::rig::{Node, plan, processes, sh, wait_until};

const SHORT: Span = Span(Duration::from_millis(700));

#[test]
fn a_lease_that_is_not_renewed_ends_everything_and_shuts_the_node_down() {
    let marker = tempfile::tempdir().unwrap();
    let down = marker.path().join("down");
    let node = Node::new().with("GPU_AGENT_SHUTDOWN", &format!("touch {}", down.display()));
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("(setsid sleep 5291 &); echo ready; exec sleep 5292")]);
    plan.lease.ttl = SHORT;
    plan.lease.on_expiry = OnExpiry::Shutdown;
    talk.start(plan);
    talk.wait_for(|event| matches!(event, Event::Log(_)));
    wait_until("the node being shut down", || down.exists());
    assert!(!node.run_dir("r").exists());
    assert_eq!(["sleep 5291", "sleep 5292"].map(|text| processes(text).len()), [0, 0]);
}

/// A stand-in for `shutdown`: a script, and the folder it works in.
fn stand_in(folder: &Path, script: &str) -> String {
    let path = folder.join("shutdown.sh");
    std::fs::write(&path, format!("cd {} || exit 9\n{script}\n", folder.display())).unwrap();
    format!("sh {}", path.display())
}

#[test]
fn a_shutdown_that_fails_is_tried_again_until_the_machine_goes() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo try >> tries; test $(wc -l < tries) -ge 3 || exit 1; touch down";
    let node = Node::new().with("GPU_AGENT_SHUTDOWN", &stand_in(folder.path(), script));
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("exec sleep 5294")]);
    plan.lease.ttl = SHORT;
    plan.lease.on_expiry = OnExpiry::Shutdown;
    talk.start(plan);
    // A few seconds are between the tries; with the patience for one that did not fail, three would outlast this test's.
    wait_until("the node being shut down", || folder.path().join("down").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("tries")).unwrap(), "try\n".repeat(3));
}

#[test]
fn a_machine_goes_with_its_lease_and_after_everything_that_ran_there() {
    let folder = tempfile::tempdir().unwrap();
    // What lives when the machine is shut down is written down then.
    let script = "for pid in $(cat pids); do test ! -d /proc/$pid || echo $pid >> alive; done; touch down";
    let node = Node::new().with("GPU_AGENT_SHUTDOWN", &stand_in(folder.path(), script));
    let pids = folder.path().join("pids").display().to_string();
    let stubborn = format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >> {pids}; echo ready; while :; do sleep 1; done' & \
         echo $$ >> {pids}; while :; do wait; done"
    );
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh(&stubborn)]);
    plan.lease.ttl = Span(Duration::from_secs(2));
    plan.lease.on_expiry = OnExpiry::Shutdown;
    talk.start(plan);
    talk.wait_for(|event| matches!(event, Event::Log(_)));
    wait_until("the node being shut down", || folder.path().join("down").exists());
    assert_eq!(std::fs::read_to_string(pids).unwrap().lines().count(), 2);
    assert!(!folder.path().join("alive").exists());
    assert!(!node.run_dir("r").exists());
}

fn uptime() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn a_run_that_nobody_asks_for_ends_and_the_machine_lives_on_for_as_long_as_its_own_lease_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (down, lease) = (folder.path().join("down"), folder.path().join("lease"));
    // Another run is asked for yet.
    std::fs::write(&lease, format!("{:010}\n", uptime() + 600)).unwrap();
    let node = Node::new()
        .with("GPU_AGENT_SHUTDOWN", &format!("touch {}", down.display()))
        .with("GPU_AGENT_NODE_LEASE", &lease.display().to_string());
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("exec sleep 5295")]);
    plan.lease.ttl = SHORT;
    plan.lease.on_expiry = OnExpiry::Shutdown;
    talk.start(plan);
    wait_until("the run's end", || !node.run_dir("r").exists());
    std::thread::sleep(Duration::from_secs(1));
    assert!(!down.exists());
    std::fs::write(&lease, "0000000001\n").unwrap();
    wait_until("the node being shut down", || down.exists());
}

#[test]
fn what_renews_a_run_puts_off_the_end_of_its_machine() {
    let folder = tempfile::tempdir().unwrap();
    let lease = folder.path().join("lease");
    std::fs::write(&lease, "0000000001\n").unwrap();
    let node = Node::new()
        .with("GPU_AGENT_SHUTDOWN", "true")
        .with("GPU_AGENT_NODE_LEASE", &lease.display().to_string());
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("exec sleep 5")]);
    plan.lease.ttl = Span(Duration::from_secs(60));
    plan.lease.on_expiry = OnExpiry::Shutdown;
    talk.start(plan);
    talk.say(&Request::Renew);
    let until = || std::fs::read_to_string(&lease).unwrap().trim().parse::<u64>().unwrap();
    wait_until("a later end", || until() >= uptime() + 50);
}

#[test]
fn a_lease_that_is_renewed_lasts() {
    let node = Node::new();
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("sleep 2; echo survived")]);
    plan.lease.ttl = SHORT;
    talk.start(plan);
    for _ in 0..22 {
        talk.say(&Request::Renew);
        std::thread::sleep(Duration::from_millis(100));
    }
    let wanted = |event: &Event| matches!(event, Event::Log(log) if log.text == "survived\n");
    loop {
        let line = talk.line();
        assert!(!line.is_empty() && !line.contains("\"gone\""), "{line}");
        if gpu_suites::event::Record::parse(line.trim_end()).is_ok_and(|record| wanted(&record.event)) {
            break;
        }
    }
}

#[test]
fn a_finished_run_waits_for_its_harness_until_the_lease_ends() {
    let node = Node::new();
    let mut plan = plan("r", &[sh("true")]);
    // Long enough to come back in on a busy machine.
    plan.lease.ttl = Span(Duration::from_secs(4));
    let records = node.run(plan);
    let mut later = node.talk();
    later.attach("r", records.len() as u64 - 1);
    assert_eq!(later.record(), *records.last().unwrap());
    drop(later);
    wait_until("the run's folder gone", || !node.run_dir("r").exists());
    wait_until("its supervisor gone", || processes(&node.run_dir("r").display().to_string()).is_empty());
}

#[test]
fn bye_lets_the_folder_of_a_finished_run_go_and_no_other() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("sleep 0.5")]));
    talk.wait_for(|event| matches!(event, Event::CaseStarted(_)));
    let mut hasty = node.talk();
    hasty.attach("r", 0);
    hasty.say(&Request::Bye);
    assert!(hasty.child.wait().unwrap().success());
    talk.finish();
    // The hasty one was not listened to.
    node.talk().attach("r", 0);
    talk.say(&Request::Bye);
    assert!(talk.child.wait().unwrap().success());
    assert!(!node.run_dir("r").exists());
}
