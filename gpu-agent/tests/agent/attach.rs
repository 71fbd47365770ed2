//! A connection that is cut loses nothing.

use gpu_suites::event::Event;
use gpu_suites::seal::Key;
use gpu_suites::wire::{Refusal, Reply, Request};

use crate::rig::{Node, kill, kill_group, log, plan, processes, sh, wait_until};

#[test]
fn attaching_from_any_number_sends_the_journal_from_there() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("echo one; sleep 0.05; echo two >&2"), sh("echo three")]));
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("\"kind\":\"run-finished\"")) {
        lines.push(talk.line());
    }
    assert!(lines.len() >= 10, "{lines:#?}");
    for from in 0..lines.len() {
        let mut again = node.talk();
        again.attach("r", from as u64);
        for line in &lines[from..] {
            assert_eq!(again.line(), *line, "from {from}");
        }
    }
}

#[test]
fn a_serve_that_is_killed_again_and_again_loses_nothing() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.005; done")]));
    let mut records = Vec::new();
    for cut in 1..=10_u32 {
        for _ in 0..cut {
            records.push(talk.record());
        }
        kill(talk.child.id().cast_signed());
        talk = node.talk();
        talk.attach("r", records.len() as u64);
    }
    records.extend(talk.finish());
    assert!(records.iter().enumerate().all(|(at, record)| record.seq == at as u64));
    let wanted: String = (0..300).flat_map(|at| ["line ".into(), at.to_string(), "\n".into()]).collect();
    assert_eq!(log(&records, "s::c0"), wanted);
}

#[test]
fn starting_a_run_twice_is_attaching_to_it() {
    let node = Node::new();
    let plan = plan("r", &[sh("sleep 0.3; echo once")]);
    let (mut first, mut second) = (node.talk(), node.talk());
    first.start(plan.clone());
    second.start(plan);
    let records = first.finish();
    assert_eq!(records, second.finish());
    assert_eq!(log(&records, "s::c0"), "once\n");
}

#[test]
fn the_harness_gone_the_run_goes_on() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("sleep 0.3; echo still here")]));
    // The whole process group, as a shell that loses its terminal does.
    kill_group(talk.child.id());
    drop(talk);
    let mut talk = node.talk();
    talk.attach("r", 0);
    assert_eq!(log(&talk.finish(), "s::c0"), "still here\n");
}

#[test]
fn a_killed_supervisor_is_told_and_leaves_no_orphan() {
    let node = Node::new();
    let mut talk = node.talk();
    // Nobody else sleeps for so long, not even what an earlier run of this test may have left.
    let sleeps = [1, 2, 3].map(|at| format!("sleep {}", 10_000_000 + 10 * std::process::id() + at));
    let line = format!("(setsid {} &) ; {} & echo ready; exec {}", sleeps[0], sleeps[1], sleeps[2]);
    talk.start(plan("r", &[sh(&line), sh("echo never")]));
    talk.wait_for(|event| matches!(event, Event::Log(log) if log.text == "ready\n"));
    // The shell that is told to start them has their names in its command line too.
    let orphans = || sleeps.each_ref().map(|text| processes(text).len());
    wait_until("all of the case running", || orphans().iter().all(|count| *count > 0));
    kill(node.supervisor("r"));
    assert_eq!(talk.reply(), Reply::Gone);
    wait_until("nothing of the case running", || orphans() == [0; 3]);
    // Whoever comes later is told too, after all that there is.
    let mut later = node.talk();
    later.attach("r", 1);
    later.wait_for(|event| matches!(event, Event::Log(_)));
    assert_eq!(later.reply(), Reply::Gone);
    later.say(&Request::Bye);
    assert!(later.child.wait().unwrap().success());
    assert!(!node.run_dir("r").exists());
}

#[test]
fn a_run_that_is_not_here_is_refused() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.say(&Request::Attach { run: "nothing".into(), from: 0, key: Key::default() });
    assert_eq!(talk.reply(), Reply::Refused { error: Refusal::NoSuchRun { run: "nothing".into() } });
}

#[test]
fn renewals_are_answered_between_the_lines() {
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan("r", &[sh("sleep 0.5")]));
    talk.wait_for(|event| matches!(event, Event::Device(_)));
    talk.say(&Request::Renew);
    talk.say(&Request::Renew);
    assert_eq!([talk.reply(), talk.reply()], [Reply::Alive, Reply::Alive]);
    talk.finish();
}
