//! The doors at which bytes of other people's come in, each as a function of bytes: what a fuzzer calls (`fuzz/`), and the
//! tests below with seeds and small changes of them.
//!
//! Whatever comes, a door neither panics nor hangs, and what it lets through is clean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use gpu_suites::checks::{End, ProcessEnd};
use gpu_suites::evaluation::Evaluator;
use gpu_suites::event::{Artifact, CaseFinished, CaseStarted, CaseSummary, Event, Record, RunCreated};
use gpu_suites::id::Sha256;
use gpu_suites::lines::{Line, Lines};
use gpu_suites::outcome::Outcome;
use gpu_suites::plan::{Lease, OnExpiry, PROTOCOL, Plan, PlannedCase};
use gpu_suites::seal::Key;
use gpu_suites::spec::Case;
use gpu_suites::unit::Span;
use jiff::Timestamp;
use sha2::Digest as _;

use crate::files::announced::Announced;
use crate::report::{self, RunState};
use crate::session::intake::{Intake, Taken};
use crate::transport::ssh::fuzz as ssh;

/// A door: its name is a file's in `fuzz/targets` and a folder's in `fuzz/seeds`.
pub type Door = fn(&[u8]);

pub const DOORS: [(&str, Door); 11] = [
    ("archive", archive),
    ("config", config),
    ("facts", facts),
    ("host_key", host_key),
    ("junit", junit),
    ("known_hosts", known_hosts),
    ("metrics", metrics),
    ("picture", picture),
    ("ssh_config", ssh_config),
    ("suite", suite),
    ("wire", wire),
];

fn case() -> Case {
    let text = r#"{"name":"c","command":{"run":["true"]}}"#;
    serde_json::from_str(text).unwrap_or_else(|error| unreachable!("it is written above: {error}"))
}

fn plan() -> Plan {
    Plan {
        protocol: PROTOCOL,
        run: "r".into(),
        cases: vec![PlannedCase {
            id: "s::c".into(),
            spec: case(),
            inputs: BTreeMap::new(),
            executable: BTreeSet::new(),
            links: BTreeMap::new(),
            attempts_before: 0,
            retries_used: 0,
        }],
        lease: Lease { ttl: Span(std::time::Duration::from_secs(60)), on_expiry: OnExpiry::Exit },
        fail_fast: false,
        retries: 3,
        timeout: None,
        worker: None,
        reclaimable: false,
        libtorch: None,
        environment: gpu_suites::spec::Environment::default(),
    }
}

/// Whether a person may be shown it.
fn assert_clean(text: &str) {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(harmful), "{:?}", text.chars().find(|c| harmful(*c)));
}

/// The journal of a node, as it comes over the wire: to the run's state, the terminal and the summary.
///
/// # Panics
///
/// Where what comes out could harm: that is a find.
pub fn wire(data: &[u8]) {
    let (mut intake, mut state) = (Intake::of(&plan(), Key::default()), created(Vec::new()));
    let mut lines = Lines::of_at_most(64 << 10);
    let mut seq = 1;
    let mut all = |line: Line<'_>| {
        let Line::Whole(line) = line else { return Err(()) };
        let Ok(text) = std::str::from_utf8(line) else { return Err(()) };
        if serde_json::from_str::<gpu_suites::wire::Reply>(text).is_ok() {
            return Ok(());
        }
        let Ok(record) = Record::parse(text) else { return Err(()) };
        if let Ok(Taken::In(record)) = intake.take(record, line) {
            let from = Some(gpu_suites::event::Origin { node: "lab".into(), seq: record.seq });
            let kept = Record { seq, from, ..*record };
            seq += 1;
            let again = Record::parse(&kept.to_line());
            assert!(again.is_ok(), "what is kept can be read again: {}", kept.to_line());
            state.apply(&kept);
        }
        Ok(())
    };
    // Cut where the network may cut.
    for chunk in data.chunks(97) {
        if lines.feed(chunk, &mut all).is_err() {
            break;
        }
    }
    assert_clean(&report::summary::summary(&state, report::look::Look::PLAIN));
}

/// The artifacts of a node: compressed as they come, or the archive itself, so that a fuzzer need not know zstd.
///
/// # Panics
///
/// Where something lands that was not announced: that is a find.
pub fn archive(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let packed = match kind % 2 {
        0 => data.to_vec(),
        _ => zstd::encode_all(data, 1).unwrap_or_default(),
    };
    let mut announced = Announced::default();
    for (path, content) in [("a", &b"ok"[..]), ("d/b", b""), ("long", &[b'x'; 700])] {
        let sha256 = Sha256(hex::encode(sha2::Sha256::digest(content)));
        let _ = announced.take(&Artifact {
            path: path.into(),
            bytes: content.len() as u64,
            sha256,
            ..artifact()
        });
    }
    let Ok(folder) = tempfile::tempdir() else { return };
    let below = folder.path().join("run/cases");
    let done = crate::files::artifacts::unpack(&packed[..], &announced, &below);
    let whole = |name: &str, content: &[u8]| {
        let mut found = Vec::new();
        let opened = std::fs::File::open(below.join("s.c/artifacts").join(name));
        opened.is_ok_and(|mut file| file.read_to_end(&mut found).is_ok()) && found == content
    };
    assert!(done.is_err() || (whole("a", b"ok") && whole("d/b", b"") && whole("long", &[b'x'; 700])));
    let beside = std::fs::read_dir(folder.path()).map_or(0, Iterator::count);
    assert!(beside <= 1, "something was written elsewhere");
}

fn artifact() -> Artifact {
    let line = r#"{"case":"s::c","path":"a","bytes":0,"sha256":""}"#;
    serde_json::from_str(line).unwrap_or_else(|error| unreachable!("it is written above: {error}"))
}

/// What the reports are made of, with one case whose artifacts these are.
fn created(junit: Vec<String>) -> RunState {
    let mut state = RunState::default();
    let summary = CaseSummary { id: "s::c".into(), description: None, at: "s.yaml:3".into(), junit };
    let event = RunCreated {
        run: "r".into(),
        harness: "0.1.0".into(),
        node: "lab".into(),
        cases: vec![summary],
        commit: None,
    };
    state.apply(&Record { seq: 0, at: Timestamp::UNIX_EPOCH, from: None, event: event.into() });
    state
}

/// A run's folder and state where the case has left these bytes under some names.
fn with_artifact(data: &[u8], names: &[&str], junit: Vec<String>) -> Option<(tempfile::TempDir, RunState)> {
    let folder = tempfile::tempdir().ok()?;
    let below = folder.path().join("cases/s.c/artifacts");
    std::fs::create_dir_all(&below).ok()?;
    let mut state = created(junit);
    let mut seq = 1;
    let mut apply = |event: Event| {
        state.apply(&Record { seq, at: Timestamp::UNIX_EPOCH, from: None, event });
        seq += 1;
    };
    apply(CaseStarted { case: "s::c".into(), attempt: 1 }.into());
    for name in names {
        std::fs::write(below.join(name), data).ok()?;
        let sha256 = Sha256(hex::encode(sha2::Sha256::digest(data)));
        apply(Artifact { path: (*name).into(), bytes: data.len() as u64, sha256, ..artifact() }.into());
    }
    let (case, outcome) = ("s::c".into(), Outcome::Passed);
    apply(CaseFinished { case, attempt: 1, outcome, reason: None, seconds: 1.0 }.into());
    Some((folder, state))
}

/// A JUnit report that a case has brought, as a part of ours.
///
/// # Panics
///
/// Where ours cannot be read by an XML parser: that is a find.
pub fn junit(data: &[u8]) {
    let Some((folder, state)) = with_artifact(data, &["r.xml"], vec!["r.xml".into()]) else { return };
    if report::list::write(&report::junit::JUnit, &state, folder.path()).is_err() {
        return;
    }
    let ours = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap_or_default();
    let read = roxmltree::Document::parse(&ours);
    assert!(read.is_ok(), "our report is no XML: {:?}\n{ours}", read.err());
}

/// A picture that a case has made, on the page.
pub fn picture(data: &[u8]) {
    let Some((folder, state)) = with_artifact(data, &["image.png", "a.jpg", "b.webp"], Vec::new()) else {
        return;
    };
    let _ = report::html::html(&state, folder.path());
}

/// A suite file of a pull request.
pub fn suite(data: &[u8]) {
    in_a_file(data, "s.yaml", |path| match gpu_suites::load::load(path, path.parent().unwrap_or(path)) {
        Ok(loaded) => {
            for case in &loaded.suite.cases {
                let _ = Evaluator::for_case(case);
            }
            let _ = crate::files::inputs::Inputs::new(&crate::here::Env::default()).of_case(&loaded, 0);
        }
        Err(error) => assert_clean(&error.to_string()),
    });
}

/// `gpu-harness.yaml` of a pull request.
pub fn config(data: &[u8]) {
    in_a_file(data, "gpu-harness.yaml", |path| {
        match crate::config::Config::read(path, path.parent().unwrap_or(path)) {
            Ok(config) => {
                for name in config.nodes.keys() {
                    let _ = crate::node::NodeSpec::choose(Some(name), &config);
                }
            }
            Err(error) => assert_clean(&error.to_string()),
        }
    });
}

fn in_a_file(data: &[u8], name: &str, look: impl FnOnce(&Path)) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join(name);
    if std::fs::write(&path, data).is_ok() {
        look(&path);
    }
}

/// What a node says it has.
pub fn facts(data: &[u8]) {
    let Ok(facts) = serde_json::from_slice::<gpu_suites::facts::NodeFacts>(data) else { return };
    if let Err(problems) = crate::node::health::judge(&facts, &crate::node::health::Requirements::default()) {
        for problem in problems {
            let _ = problem.to_string();
        }
    }
}

/// What a case says that it measures: the node's door, and the first of all.
pub fn metrics(data: &[u8]) {
    let mut evaluator = Evaluator::for_case(&case());
    for line in data.split(|byte| *byte == b'\n') {
        match gpu_suites::metric_lines::parse(line) {
            Ok(line) => {
                let _ = evaluator.observe(&line);
            }
            Err(error) => {
                let _ = error.to_string();
            }
        }
    }
    let end = End { process: ProcessEnd::Exited(0), elapsed: std::time::Duration::from_secs(1) };
    let _ = evaluator.conclude(&end);
}

/// The user's file of known host keys, which others write into.
///
/// # Panics
///
/// Where a revoked key is trusted, or what is shown of a key could harm: that is a find.
pub fn known_hosts(data: &[u8]) {
    ssh::known_hosts(data, assert_clean);
}

/// The key or the certificate that a machine shows for itself.
///
/// # Panics
///
/// Where an authority that nobody trusts is trusted, or what is shown could harm: that is a find.
pub fn host_key(data: &[u8]) {
    ssh::host_key(data, assert_clean);
}

/// The user's ssh configuration, read where there is no ssh to ask. Nothing that it names is run, looked up or included.
///
/// # Panics
///
/// Where it makes a setting that cannot be: that is a find.
pub fn ssh_config(data: &[u8]) {
    ssh::configuration(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fuzz() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
    }

    fn seeds(door: &str) -> Vec<Vec<u8>> {
        let folder = fuzz().join("seeds").join(door);
        let files =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.flatten().map(|file| std::fs::read(file.path()).unwrap()).collect()
    }

    #[test]
    fn every_door_has_a_target_and_seeds_that_it_takes() {
        for (name, door) in DOORS {
            assert!(fuzz().join("targets").join(format!("{name}.rs")).is_file(), "{name}");
            let seeds = seeds(name);
            assert!(!seeds.is_empty(), "{name}");
            for seed in &seeds {
                door(seed);
            }
            door(b"");
            door(&[0xff; 3000]);
        }
    }

    /// Some bytes replaced, removed, put in twice.
    fn changed(seed: &[u8], changes: &[(u16, u8, u8)]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for (at, kind, byte) in changes {
            if data.is_empty() {
                break;
            }
            let at = usize::from(*at) % data.len();
            match kind % 4 {
                0 => data[at] = *byte,
                1 => drop(data.remove(at)),
                2 => data.insert(at, *byte),
                _ => data.extend_from_within(at..(at + usize::from(*byte)).min(data.len())),
            }
        }
        data
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_door_breaks_at_what_is_nearly_right(
            changes in prop::collection::vec(any::<(u16, u8, u8)>(), 1..12),
            which in any::<prop::sample::Index>(),
        ) {
            for (name, door) in DOORS {
                let seeds = seeds(name);
                door(&changed(&seeds[which.index(seeds.len())], &changes));
            }
        }
    }
}
