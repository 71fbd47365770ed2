//! Whatever fails, from whichever call on: recording goes on for whoever records, and what went wrong is told at the end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gpu_suites::event::{
    Artifact, CaseStarted, CaseSummary, Interrupted, ResourceKind, ResourceMade, RunCreated,
};
use gpu_suites::id::Sha256;
use jiff::Timestamp;
use sha2::Digest as _;

use super::*;

/// More calls than a short run makes.
const CALLS: usize = 40;

/// A disk that is full from a call on.
struct Full {
    calls_left: usize,
}

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A terminal that breaks at a call.
struct Breaks {
    calls_left: usize,
}

impl Reporter for Breaks {
    fn event(&mut self, _: &Record, _: &RunState) {
        self.calls_left = self.calls_left.checked_sub(1).expect("the terminal is gone");
    }

    fn finish(&mut self, _: &RunState, _: &Path, _: Exit) {}
}

fn recorder(folder: &Path, disk: usize, terminal: usize) -> Recorder {
    let log = EventLog::into(Path::new("events.ndjson"), Box::new(Full { calls_left: disk }));
    let run_dir = RunDir { run: "r".into(), path: folder.to_owned() };
    Recorder::with(log, run_dir, "cloud".into(), None, Box::new(Breaks { calls_left: terminal })).unwrap()
}

fn case() -> CaseId {
    CaseId::new("s", "c")
}

/// A run that has something which has to be given back.
fn record(recorder: &mut Recorder) {
    let summary = CaseSummary { id: case(), description: None, at: String::new(), junit: vec![] };
    let (run, node) = ("r".into(), NodeName::from("cloud"));
    recorder.own(RunCreated {
        run,
        harness: "0".into(),
        node: node.clone(),
        cases: vec![summary],
        commit: None,
    });
    for number in 0..CALLS {
        let (id, region) = (format!("i-{number}"), "us-east-1".to_owned());
        recorder.own(ResourceMade { node: node.clone(), resource: ResourceKind::INSTANCE, id, region });
    }
}

#[test]
fn a_disk_that_is_full_from_any_call_on_stops_nobody_who_records_and_is_told_at_the_end() {
    for calls in 0..CALLS {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), calls, usize::MAX);
        for _ in 0..3 {
            record(&mut recorder);
            // In steps, so that there are several writes.
            let _ = recorder.writer.settle();
        }
        assert_eq!(recorder.state().receipt.resources.len(), CALLS, "{calls}");
        // What comes after the disk is full is known as well.
        let by = "a test".to_owned();
        recorder.own(Interrupted { by });
        assert_eq!(recorder.state().interrupted.as_deref(), Some("a test"), "{calls}");
        let trouble = recorder.finish(Exit::AllPassed).map(drop);
        if calls < 3 {
            let told = trouble.unwrap_err().to_string();
            assert!(told.contains("events.ndjson"), "{calls}: {told}");
        }
    }
}

#[test]
fn a_terminal_that_breaks_at_any_call_stops_nobody_who_records_and_is_told_at_the_end() {
    for calls in 0..CALLS {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), usize::MAX, calls);
        record(&mut recorder);
        assert_eq!(recorder.state().receipt.resources.len(), CALLS);
        let ended = catch_unwind(AssertUnwindSafe(|| recorder.finish(Exit::AllPassed)));
        assert!(ended.is_err(), "{calls}: the panic goes on, after everything else");
    }
}

#[test]
fn what_cannot_be_kept_is_known_soon() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path(), 0, usize::MAX);
    assert!(!recorder.is_broken() && recorder.has_room());
    record(&mut recorder);
    while !recorder.is_broken() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_case_whose_files_have_not_arrived_whole_has_not_passed() {
    for (content, outcome) in
        [(Some("whole"), Outcome::Passed), (Some("other"), Outcome::Errored), (None, Outcome::Errored)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), usize::MAX, usize::MAX);
        record(&mut recorder);
        let sha256 = Sha256(hex::encode(sha2::Sha256::digest("whole")));
        let (path, reason) = ("a/b.bin".to_owned(), None);
        let events: Vec<Event> = vec![
            CaseStarted { case: case(), attempt: 1 }.into(),
            // Of an attempt whose files nobody asks for.
            Artifact {
                case: case(),
                path: "old.bin".into(),
                bytes: 1,
                sha256: sha256.clone(),
                executable: false,
            }
            .into(),
            CaseStarted { case: case(), attempt: 2 }.into(),
            Artifact { case: case(), path, bytes: 5, sha256, executable: false }.into(),
            CaseFinished { case: case(), attempt: 2, outcome: Outcome::Passed, reason, seconds: 1.0 }.into(),
        ];
        for (seq, event) in (0..).zip(events) {
            Records::node(&mut recorder, Record { seq, at: Timestamp::UNIX_EPOCH, from: None, event });
        }
        if let Some(content) = content {
            let path = folder.path().join("cases/s.c/artifacts/a");
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("b.bin"), content).unwrap();
        }
        let missing = recorder.missing(None).await;
        recorder.lacks(missing, Outcome::Errored, Some("the node was lost"));
        let last = recorder.state().case(&case()).unwrap().last_ended().unwrap();
        assert_eq!(last.outcome, outcome, "{content:?}");
        if outcome == Outcome::Errored {
            let reason = last.reason.as_deref().unwrap();
            assert_eq!(reason, "1 of 1 files that it made did not arrive whole (a/b.bin): the node was lost");
        }
        assert_eq!(recorder.missing(None).await, [], "what was looked for is not asked for again");
    }
}
