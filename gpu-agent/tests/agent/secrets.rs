//! What a case cannot do though it runs as the supervisor's user: renew the lease, end the run, read what another case is
//! given, write in the journal without being found out.

use std::process::Command;

use gpu_suites::event::Event;
use gpu_suites::seal::{Key, Sealing};
use gpu_suites::wire::Request;
use serde_json::json;

use crate::rig::{AGENT, Node, ends, plan, processes, sh, wait_until};

/// A user who has nothing.
const NOBODY: u32 = 65534;

/// Starts a run under a key, and gives the lines of its journal up to the last.
fn lines(node: &Node, plan: gpu_suites::plan::Plan, key: &Key) -> Vec<String> {
    let mut talk = node.talk();
    talk.say(&Request::Start { plan: Box::new(plan), key: key.clone() });
    talk.reply();
    let mut lines = Vec::new();
    loop {
        let line = talk.line().trim_end().to_owned();
        let is_last = line.contains("\"kind\":\"run-finished\"");
        lines.push(line);
        if is_last {
            return lines;
        }
    }
}

/// Whether the seal in the last line fits the lines before it.
fn is_whole(lines: &[String], key: &Key) -> bool {
    let (last, before) = lines.split_last().unwrap();
    let mut sealing = Sealing::default();
    for line in before {
        sealing.line(line.as_bytes());
    }
    match gpu_suites::event::Record::parse(last).unwrap().event {
        Event::RunFinished(end) => end.seal == Some(sealing.seal(key)),
        _ => false,
    }
}

#[test]
fn a_case_that_speaks_to_the_agent_itself_neither_renews_nor_ends_its_run() {
    // It does what the harness does, but for the key, which it does not know.
    let says = |request: &str| {
        format!(
            "(printf '%s\\n' '{{\"request\":\"open\",\"protocol\":3,\"harness\":\"x\"}}' \
             '{{\"request\":\"attach\",\"run\":\"r\",\"from\":0}}' '{request}'; sleep 0.3) | {AGENT} serve > /dev/null"
        )
    };
    let node = Node::new();
    let mut renewing = plan("r", &[sh(&format!("while :; do {}; done", says("{\"request\":\"renew\"}")))]);
    renewing.lease.ttl = gpu_suites::unit::Span(std::time::Duration::from_secs(2));
    let mut talk = node.talk();
    talk.say(&Request::Start { plan: Box::new(renewing), key: Key::new() });
    wait_until("the run being known", || node.run_dir("r").exists());
    drop(talk);
    wait_until("the end of the lease", || !node.run_dir("r").exists());

    let node = Node::new();
    let cancel = says("{\"request\":\"cancel\",\"reason\":\"x\",\"limit\":false}");
    let key = Key::new();
    let lines = lines(
        &node,
        plan("r", &[sh(&format!("{cancel}; {}", says("{\"request\":\"bye\"}"))), sh("true")]),
        &key,
    );
    let records: Vec<_> = lines.iter().map(|line| gpu_suites::event::Record::parse(line).unwrap()).collect();
    assert_eq!(ends(&records), ["passed", "passed"]);
    assert!(is_whole(&lines, &key));
}

#[test]
fn what_a_case_is_given_is_nowhere_on_the_disk() {
    let node = Node::new();
    let secret = "hush-7d1f0a";
    let cases = [
        // Spelled so that it does not find itself.
        sh(&format!("grep -r 'hush-7d1f0[a]' {}; true", node.cache().display())),
        json!({ "command": { "run": ["sh", "-c", "test -n \"$TOKEN\""], "env": { "TOKEN": secret } } }),
    ];
    let key = Key::new();
    let lines = lines(&node, plan("r", &cases), &key);
    let records: Vec<_> = lines.iter().map(|line| gpu_suites::event::Record::parse(line).unwrap()).collect();
    assert_eq!(ends(&records), ["passed", "passed"]);
    assert_eq!(crate::rig::log(&records, "s::c0"), "", "a file holds the other case's secret");
    let here = Command::new("grep").args(["-r", secret]).arg(node.cache()).output().unwrap();
    assert!(here.stdout.is_empty(), "{here:?}");
}

#[test]
fn a_journal_that_a_case_has_written_in_does_not_fit_its_seal() {
    let key = Key::new();
    let forged = "{\"seq\":2,\"at\":\"2026-11-23T10:00:00Z\",\"kind\":\"warning\",\"message\":\"forged\"}";
    let node = Node::new();
    let forging =
        lines(&node, plan("r", &[sh(&format!("echo '{forged}' >> ../../../journal.ndjson"))]), &key);
    assert!(forging.iter().any(|line| line.contains("forged")) && !is_whole(&forging, &key), "{forging:?}");
    let node = Node::new();
    let honest = lines(&node, plan("r", &[sh("echo honest")]), &key);
    assert!(is_whole(&honest, &key), "{honest:?}");
    assert!(!honest.iter().any(|line| line.contains(&serde_json::to_string(&key).unwrap()[1..65])));
}

#[test]
fn another_process_of_the_same_user_reads_neither_memory_nor_files_of_the_supervisor() {
    let node = Node::new();
    let agent = node.path().join("gpu-agent");
    std::fs::copy(AGENT, &agent).unwrap();
    // Root reads whatever it likes: another user's processes tell what one may do to another.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(node.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let as_its_user = |program: &str| {
        let mut command = Command::new(if is_root { "setpriv" } else { program });
        if is_root {
            command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
            command.args(["--clear-groups", program]);
        }
        command
    };
    let mut talk = node.talk_through(as_its_user(&agent.display().to_string()), &["serve"]);
    talk.start(plan("r", &[sh("sleep 5301")]));
    talk.wait_for(|event| matches!(event, Event::CaseStarted(_)));
    let reads = |pid: i32, file: &str| {
        let read = as_its_user("cat").arg(format!("/proc/{pid}/{file}")).output().unwrap();
        read.status.success()
    };
    wait_until("the case", || !processes("sleep 5301").is_empty());
    let (supervisor, case) = (node.supervisor("r"), processes("sleep 5301")[0]);
    for file in ["environ", "maps"] {
        assert!(reads(case, file), "{file}: a process of the same user reads what no one guards");
        assert!(!reads(supervisor, file), "{file}");
    }
}
