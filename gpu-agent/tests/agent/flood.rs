//! A case may write as much as it likes: nothing is lost, and the agent's memory stays as it is.

use gpu_suites::event::Event;
use gpu_suites::seal::Key;
use gpu_suites::wire::Request;
use serde_json::json;

use crate::rig::{Node, plan, sh};

/// The agent's processes may take so much.
const MEMORY: u64 = 64 << 20;

/// The most memory that a process has taken.
fn peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_flood_of_log_is_kept_to_the_last_byte_in_little_memory() {
    let bytes = 64 << 20;
    let node = Node::new();
    let mut talk = node.talk();
    talk.start(plan(
        "r",
        &[sh(&format!("yes 'forty bytes of a log that goes on and on' | head -c {bytes}"))],
    ));
    let (mut text, mut longest) = (0, 0);
    loop {
        match talk.record().event {
            Event::Log(log) => {
                text += log.text.len();
                longest = longest.max(log.text.len());
            }
            Event::RunFinished(_) => break,
            _ => {}
        }
    }
    assert_eq!(text, bytes);
    assert!(longest <= 16 << 10, "{longest}");
    let peaks = [node.supervisor("r"), talk.child.id().cast_signed()].map(peak);
    assert!(peaks.iter().all(|peak| *peak < MEMORY), "{peaks:?}");
}

#[test]
fn a_reader_who_does_not_read_costs_no_memory_and_keeps_the_lease() {
    let node = Node::new();
    let mut talk = node.talk();
    let mut plan = plan("r", &[sh("yes | head -c 33554432; sleep 2.5")]);
    plan.lease.ttl = gpu_suites::unit::Span(std::time::Duration::from_secs(1));
    talk.say(&Request::Start { plan: Box::new(plan), key: Key::default() });
    for _ in 0..30 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        talk.say(&Request::Renew);
    }
    let peaks = [node.supervisor("r"), talk.child.id().cast_signed()].map(peak);
    assert!(peaks.iter().all(|peak| *peak < MEMORY), "{peaks:?}");
    let (mut text, mut finished) = (0, false);
    while !finished {
        let line = talk.line();
        if let Ok(record) = gpu_suites::event::Record::parse(line.trim_end()) {
            match record.event {
                Event::Log(log) => text += log.text.len(),
                Event::RunFinished(_) => finished = true,
                _ => {}
            }
        }
    }
    assert_eq!(text, 32 << 20);
}

#[test]
fn a_hundred_thousand_metric_lines_arrive_each_once_and_in_order() {
    let node = Node::new();
    let mut talk = node.talk();
    let program = "import os\nwith open(os.environ['GPU_HARNESS_METRICS'], 'w') as f:\n for i in range(100000): \
                   f.write('{\"step\": %d, \"loss\": %.6f}\\n' % (i, 1 / (i + 1)))";
    talk.start(plan("r", &[json!(["python3", "-c", program])]));
    let mut next = 0;
    loop {
        match talk.record().event {
            Event::Metrics(metrics) => {
                assert_eq!(metrics.step, Some(next));
                next += 1;
            }
            Event::RunFinished(_) => break,
            _ => {}
        }
    }
    assert_eq!(next, 100_000);
}

#[test]
fn log_beyond_the_limit_is_counted_and_dropped() {
    let node = Node::new();
    let case = json!({ "command": { "run": ["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"] }, "limits": { "log": 1000 } });
    let records = node.run(plan("r", &[case]));
    assert_eq!(crate::rig::log(&records, "s::c0").len(), 1000);
    let dropped = records.iter().find_map(|record| match &record.event {
        Event::LogTruncated(truncated) => Some(truncated.dropped),
        _ => None,
    });
    assert_eq!(dropped, Some(99_000));
}

#[test]
fn a_log_within_its_limit_is_kept_whatever_its_bytes_are() {
    let bytes = 12 << 20;
    for (pattern, what) in
        [(r"b'\xff'", "no UTF-8"), (r"b'\1'", "control characters"), (r"b'\1' * 999 + b'\xff'", "both")]
    {
        let program = format!(
            "import sys; p = {pattern}; sys.stdout.buffer.write((p * ({bytes} // len(p) + 1))[:{bytes}])"
        );
        let case = json!({
            "command": { "run": ["python3", "-c", program] }, "limits": { "log": bytes }, "timeout": "30s",
        });
        let records = Node::new().run(plan("r", &[case]));
        let logs = records.iter().filter_map(|record| match &record.event {
            Event::Log(log) => Some(log.bytes().len()),
            _ => None,
        });
        assert_eq!(logs.sum::<usize>(), bytes, "{what}");
        assert!(!records.iter().any(|record| matches!(record.event, Event::LogTruncated(_))), "{what}");
    }
}
