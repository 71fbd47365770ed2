//! What a person or a CI system reads of a run, and what no run can do to a report.

use std::path::Path;

use gpu_suites::event::{self, Event, Record, Stream};
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use proptest::prelude::*;

use super::sample::{self, HOSTILE};
use super::terminal::{Plain, Verbosity};
use super::{Reporter as _, RunState, junit, look::Look, render, summary};

fn plain(records: &[Record], verbosity: Verbosity, grouping: bool) -> String {
    let mut out = Vec::new();
    let mut state = RunState::default();
    let mut reporter = Plain::new(&mut out, verbosity, grouping);
    for record in records {
        state.apply(record);
        reporter.event(record, &state);
    }
    reporter.finish(&state, Path::new("gpu-harness-runs/20261122"), state.exit());
    String::from_utf8(out).unwrap()
}

fn xml(state: &RunState) -> String {
    String::from_utf8(junit::xml(state, Path::new("gpu-harness-runs/20261122"))).unwrap()
}

/// What a CI system does first.
fn parsed(xml: &str) -> roxmltree::Document<'_> {
    roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}:\n{xml}"))
}

#[test]
fn a_log_of_a_run_reads_like_this() {
    insta::assert_snapshot!("plain", plain(&sample::every_outcome(), Verbosity::Normal, false));
}

#[test]
fn a_quiet_log_has_only_what_is_wrong_and_the_summary() {
    insta::assert_snapshot!("plain_quiet", plain(&sample::every_outcome(), Verbosity::Quiet, false));
}

#[test]
fn a_verbose_log_has_every_line_and_every_check() {
    insta::assert_snapshot!("plain_verbose", plain(&sample::every_outcome(), Verbosity::Verbose, false));
}

#[test]
fn a_junit_report_reads_like_this() {
    insta::assert_snapshot!("junit", xml(&sample::state(&sample::every_outcome())).replace("><", ">\n<"));
}

#[test]
fn a_summary_fits_its_terminal() {
    let state = sample::state(&sample::every_outcome());
    for width in [60, 80, 120] {
        let text = summary::summary(&state, Look { colour: false, width: Some(width) });
        let table = text.split("\n\n").nth(1).unwrap();
        insta::assert_snapshot!(format!("summary_{width}_columns"), table);
        assert!(table.lines().all(|line| console::measure_text_width(line) <= width), "{table}");
        assert!(
            state.cases().iter().all(|case| table.contains(case.id().as_str())),
            "a name is cut:\n{table}"
        );
    }
    insta::assert_snapshot!("summary", summary::summary(&state, Look { colour: false, width: Some(80) }));
}

#[test]
fn a_device_that_every_case_ran_on_is_said_once() {
    let mut records = sample::every_outcome();
    let of = |record: &Record| record.event.case().cloned();
    let device = records.iter().position(|record| matches!(record.event, Event::Device(_))).unwrap();
    let Event::Device(on_cpu) = records[device].event.clone() else { unreachable!() };
    let started = |record: &Record| matches!(record.event, Event::CaseStarted(_));
    for at in (0..records.len()).rev().filter(|at| started(&records[*at])).collect::<Vec<_>>() {
        let case = of(&records[at]).unwrap();
        let event = event::Device { case, facts: on_cpu.facts.clone() };
        let record = Record { event: event.into(), ..records[at].clone() };
        records.insert(at + 1, record);
    }
    for width in [60, 80, 120] {
        let text = summary::summary(&sample::state(&records), Look { colour: false, width: Some(width) });
        let head = text.split("\n\n").next().unwrap();
        assert!(head.ends_with("\non CPU"), "{head}");
        assert_eq!(text.matches("CPU").count() - text.matches("this CPU has").count(), 1, "{text}");
    }
}

#[test]
fn a_hostile_node_steers_neither_log_nor_report() {
    let records = sample::hostile();
    let state = sample::state(&records);
    insta::with_settings!({filters => vec![("x{100,}", "[many x]")]}, {
        insta::assert_snapshot!("hostile_plain", plain(&records, Verbosity::Verbose, false));
        insta::assert_snapshot!("hostile_junit", xml(&state).replace("><", ">\n<"));
    });
    for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
        let log = plain(&records, verbosity, false);
        assert!(!log.contains(|char: char| char.is_control() && char != '\n'), "{log:?}");
        for command in ["##[", "##vso[", "##teamcity[", "section_start:", "\u{202e}"] {
            assert!(!log.contains(command), "{command}: {log}");
        }
        assert!(!log.lines().any(|line| line.trim_start().starts_with("::")), "{log}");
    }
    assert_eq!(state.cases().len(), 1, "a node cannot add cases");
    assert!(state.closed.is_none() && state.interrupted.is_none(), "nor speak for the harness");
    let report = xml(&state);
    assert!(!report.contains("[[ATTACHMENT|/etc") && !report.contains("../"), "nor have files published");
}

#[test]
fn on_github_the_only_commands_in_the_log_are_our_own() {
    for records in [sample::every_outcome(), sample::hostile()] {
        let log = plain(&records, Verbosity::Normal, true);
        let commands: Vec<&str> = log.lines().filter(|line| line.trim_start().starts_with("::")).collect();
        assert!(!commands.is_empty());
        for four in commands.chunks(4) {
            assert!(four[0].starts_with("::group::last lines of the log of "), "{four:?}");
            let word = four[1].strip_prefix("::stop-commands::").unwrap();
            assert_eq!(four[2], format!("::{word}::"), "what the node wrote is between these two");
            assert_eq!(four[3], "::endgroup::");
        }
    }
}

#[test]
fn the_text_that_a_parser_reads_from_junit_is_the_cleaned_text() {
    let state = sample::state(&sample::hostile());
    let xml = xml(&state);
    let document = parsed(&xml);
    let text_of = |tag: &str| -> String {
        let node = document.descendants().find(|node| node.has_tag_name(tag)).unwrap();
        node.children().filter_map(|child| child.text()).collect()
    };
    let clean = crate::text::clean::text(HOSTILE).replace("[[", "[ [");
    assert!(clean.contains("]]><script>"));
    assert!(text_of("system-err").ends_with(&clean), "{}", text_of("system-err"));
    assert!(text_of("failure").contains("]]><script>alert(1)</script>&amp;"), "{}", text_of("failure"));
}

#[test]
fn another_parser_reads_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    for (records, failures) in [(sample::every_outcome(), 2), (sample::hostile(), 1)] {
        let path = folder.path().join("junit.xml");
        super::write_atomic(&path, xml(&sample::state(&records)).as_bytes()).unwrap();
        let script =
            "import sys, xml.etree.ElementTree as E; print(len(list(E.parse(sys.argv[1]).iter('failure'))))";
        let python = std::process::Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
        assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), failures.to_string());
    }
}

#[test]
fn each_outcome_has_its_element() {
    let state = sample::state(&sample::every_outcome());
    let xml = xml(&state);
    let document = parsed(&xml);
    let mut seen = Vec::new();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let result = case.children().find(|child| !child.tag_name().name().starts_with("system-"));
        let result =
            result.map(|result| (result.tag_name().name(), result.attribute("type").unwrap_or_default()));
        seen.push((case.attribute("name").unwrap(), result));
    }
    assert_eq!(
        seen,
        [
            ("unet-crowns", None),
            ("resnet18-batchnorm", Some(("failure", "loss-drop"))),
            ("frozen-head", None),
            ("script", Some(("error", "errored"))),
            ("retried", None),
            ("taken-and-run-again", None),
            ("taken-for-good", Some(("error", "interrupted"))),
            ("pytest", Some(("failure", "finite"))),
            ("endless", Some(("error", "timed-out"))),
            ("needs-bf16", Some(("skipped", "skipped"))),
            ("never-reached", Some(("error", "cancelled"))),
        ]
    );
}

#[test]
fn a_run_that_was_killed_has_no_pass_for_what_it_did_not_finish() {
    let records = sample::every_outcome();
    for length in 1..records.len() {
        let mut state = sample::state(&records[..length]);
        state.cut_off();
        for case in state.cases() {
            if case.last_ended().is_none() {
                let ending = state.ending(case);
                let wanted = if state.interrupted.is_some() { Outcome::Cancelled } else { Outcome::Errored };
                assert_eq!(ending.outcome, wanted, "{} after {length} records", case.id());
                assert!(ending.reason.is_some());
            }
        }
        assert_ne!(state.exit(), Exit::AllPassed);
    }
}

#[test]
fn a_run_without_a_case_is_an_error_in_junit_too() {
    let state = RunState::default();
    let xml = xml(&state);
    assert_eq!(parsed(&xml).descendants().filter(|node| node.has_tag_name("error")).count(), 1);
    assert_eq!(state.exit(), Exit::Infrastructure);
}

#[test]
fn a_case_that_passes_at_the_second_try_is_flaky_and_its_first_try_is_not_forgotten() {
    let state = sample::state(&sample::every_outcome());
    let case = state.case(&"overfit-one-image::retried".into()).unwrap();
    assert!(case.is_flaky());
    assert_eq!(state.cases().iter().filter(|case| case.is_flaky()).count(), 1);
    assert_eq!(
        case.ended.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(),
        [Outcome::Failed, Outcome::Passed]
    );
}

#[test]
fn a_case_whose_node_was_taken_away_is_not_flaky_and_ends_as_it_ends_on_the_next() {
    let state = sample::state(&sample::every_outcome());
    let case = state.case(&"commands::taken-and-run-again".into()).unwrap();
    assert!(!case.is_flaky());
    assert_eq!(state.ending(case).outcome, Outcome::Passed);
    assert_eq!(case.interruptions().map(|attempt| attempt.number).collect::<Vec<_>>(), [1]);
    let taken = state.case(&"commands::taken-for-good".into()).unwrap();
    assert_eq!(state.ending(taken).outcome, Outcome::Interrupted);
    assert_eq!(taken.interruptions().count(), 0, "the end is no attempt before the end");
}

/// A case of one try on each node, by their outcomes; attempt 0 is one that was not started.
fn tries(endings: &[(u32, Outcome)]) -> RunState {
    let mut records = sample::every_outcome();
    records.truncate(1);
    let case = gpu_suites::id::CaseId::from("commands::pytest");
    let from = Some(gpu_suites::event::Origin { node: "lab".into(), seq: 0 });
    let at = records[0].at;
    for &(attempt, outcome) in endings {
        let started = gpu_suites::event::CaseStarted { case: case.clone(), attempt };
        let finished = gpu_suites::event::CaseFinished {
            case: case.clone(),
            attempt,
            outcome,
            reason: None,
            seconds: 1.0,
        };
        if attempt > 0 {
            records.push(Record { seq: 0, at, from: from.clone(), event: started.into() });
        }
        records.push(Record { seq: 0, at, from: from.clone(), event: finished.into() });
    }
    sample::state(&records)
}

#[test]
fn what_a_case_came_to_over_several_nodes_is_its_last_word_and_only_its_own_failures_make_it_flaky() {
    use Outcome::{Failed, Interrupted, Passed, Skipped, TimedOut};
    for (endings, outcome, flaky, attempt, interruptions) in [
        (&[(1, Interrupted), (2, Passed)][..], Passed, false, 2, 1),
        (&[(1, Interrupted), (2, Interrupted), (3, Passed)], Passed, false, 3, 2),
        (&[(1, Failed), (2, Interrupted), (3, Passed)], Passed, true, 3, 1),
        (&[(1, Interrupted), (2, TimedOut), (3, Passed)], Passed, true, 3, 1),
        (&[(1, Interrupted), (2, Failed)], Failed, false, 2, 1),
        (&[(1, Interrupted)], Interrupted, false, 1, 0),
        // Left out on its second node: its try on the first is not forgotten.
        (&[(1, Interrupted), (0, Skipped)], Skipped, false, 1, 1),
    ] {
        let state = tries(endings);
        let case = state.case(&"commands::pytest".into()).unwrap();
        let seen = (state.ending(case).outcome, case.is_flaky(), case.attempt, case.interruptions().count());
        assert_eq!(seen, (outcome, flaky, attempt, interruptions), "{endings:?}");
    }
}

#[test]
fn reports_are_rebuilt_from_the_events_and_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample::every_outcome();
    let mut lines: Vec<u8> =
        records.iter().flat_map(|record| (record.to_line() + "\n").into_bytes()).collect();
    // The harness was killed while it wrote one more.
    lines.extend(b"{\"seq\":9999,\"at\":\"2026-");
    std::fs::write(folder.path().join("events.ndjson"), &lines).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let copy = folder.path().join("elsewhere/copy.xml");
    render(folder.path(), Some(&copy)).unwrap();
    let first = (
        read("junit.xml"),
        read("summary.txt"),
        read("cases/overfit-one-image.resnet18-batchnorm/stdout.log"),
    );
    assert_eq!(first.0, read("elsewhere/copy.xml"));
    assert_eq!(first.2, "loading weights\nlabels: 4\n");
    let state = render(folder.path(), None).unwrap();
    assert_eq!(first.0, read("junit.xml"));
    assert_eq!(first.1, read("summary.txt"));
    assert_eq!(first.2, read("cases/overfit-one-image.resnet18-batchnorm/stdout.log"));
    assert_eq!(state.tally(), sample::state(&records).tally());
}

#[test]
fn a_check_of_a_newer_version_is_reported_and_one_without_a_name_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = sample::every_outcome().iter().map(|record| record.to_line() + "\n").collect();
    let ours = r#""check":"loss-drop""#;
    let damage = format!("lines that are no events were left out: {}", lines.matches(ours).count());
    let damaged = |state: &RunState| state.warnings.iter().any(|warning| warning.message.ends_with(&damage));
    for (name, is_read) in [("loss-monotone", true), ("\\u001b[31mred", false)] {
        let newer = lines.replace(ours, &format!(r#""check":"{name}""#));
        assert_ne!(newer, lines, "the sample has such a check");
        std::fs::write(folder.path().join("events.ndjson"), newer).unwrap();
        let state = render(folder.path(), None).unwrap();
        assert_eq!(damaged(&state), !is_read, "{name}");
        for report in ["junit.xml", "report.html"] {
            let text = std::fs::read_to_string(folder.path().join(report)).unwrap();
            assert_eq!(text.contains("loss-monotone"), is_read, "{report}");
        }
    }
}

#[test]
fn the_logs_of_a_run_that_is_still_going_on_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample::every_outcome();
    let log = folder.path().join("cases/overfit-one-image.resnet18-batchnorm/stdout.log");
    let mut lines = String::new();
    let mut logs = super::LogFiles::new(folder.path());
    for record in &records {
        lines += &(record.to_line() + "\n");
        logs.take(record).unwrap();
    }
    std::fs::write(folder.path().join("events.ndjson"), &lines).unwrap();
    std::fs::write(&log, "marked").unwrap();
    render(folder.path(), None).unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "marked");
    drop(logs);
    render(folder.path(), None).unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "loading weights\nlabels: 4\n");
}

#[test]
fn a_folder_without_events_is_told_apart_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = render(folder.path(), None).unwrap_err().to_string();
    assert!(missing.contains("name the folder of a run"), "{missing}");
    std::fs::write(folder.path().join("events.ndjson"), "").unwrap();
    let empty = render(folder.path(), None).unwrap_err().to_string();
    assert!(empty.ends_with("has no events of a run"), "{empty}");
}

#[test]
fn a_node_that_starts_every_case_anew_gets_its_logs_into_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut logs = super::LogFiles::new(folder.path());
    let mut records = sample::every_outcome();
    let case = gpu_suites::id::CaseId::from("commands::pytest");
    let at = records[0].at;
    let from = Some(gpu_suites::event::Origin { node: "lab".into(), seq: 0 });
    records.truncate(1);
    for attempt in [1, 2] {
        let started = gpu_suites::event::CaseStarted { case: case.clone(), attempt };
        records.push(Record { seq: 0, at, from: from.clone(), event: started.into() });
        for text in ["a\u{1b}[0m", "b\n"] {
            let log = gpu_suites::event::Log {
                case: case.clone(),
                stream: Stream::Stderr,
                text: text.into(),
                raw: None,
            };
            records.push(Record { seq: 0, at, from: from.clone(), event: log.into() });
        }
    }
    for record in &records {
        logs.take(record).unwrap();
    }
    logs.flush().unwrap();
    for name in ["stderr.log", "stderr.2.log"] {
        let path = folder.path().join("cases/commands.pytest").join(name);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\u{1b}[0mb\n", "evidence is kept as it came");
    }
}

/// A record of one of the sample runs, out of its place, with some of its text replaced.
fn any_record() -> impl Strategy<Value = Record> {
    let records = [sample::every_outcome(), sample::hostile()].concat();
    (proptest::sample::select(records), any::<String>(), any::<i64>()).prop_map(|(record, text, seconds)| {
        let line = record.to_line();
        let text = serde_json::to_string(&text).unwrap();
        let line = line.replacen("\"overlay.png\"", &text, 1).replacen("\"loss\"", &text, 1);
        let mut record = Record::parse(&line).unwrap_or(record);
        record.at = jiff::Timestamp::from_second(seconds % 253_402_200_000).unwrap();
        record
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_records_in_any_order_can_be_folded_and_shown(records in proptest::collection::vec(any_record(), 0..40)) {
        let state = sample::state(&records);
        parsed(&xml(&state));
        summary::summary(&state, Look { colour: true, width: Some(40) });
        for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
            plain(&records, verbosity, true);
        }
    }

    #[test]
    fn a_report_of_any_text_is_well_formed(text in "\\PC*|[\\x00-\\x1f\\]>&<\u{7f}-\u{9f}\u{fffe}\"']{0,40}|.*") {
        let records: Vec<Record> = sample::hostile()
            .iter()
            .filter_map(|record| {
                let hostile = serde_json::to_string(HOSTILE).unwrap();
                let line = record.to_line().replace(&hostile, &serde_json::to_string(&text).unwrap());
                Record::parse(&line).ok()
            })
            .collect();
        prop_assert!(records.len() > 10, "{}", records.len());
        parsed(&xml(&sample::state(&records)));
    }
}
