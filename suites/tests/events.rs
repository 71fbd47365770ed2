//! Promises of the event records: what is written can be read, by this version and by others.

use std::collections::BTreeMap;

use gpu_suites::bytes::Bytes;
use gpu_suites::checks;
use gpu_suites::event::{
    Artifact, ArtifactPlace, CaseFinished, CaseStarted, Check, EndCause, Event, Finding, Log, Metrics, Node,
    NodeState, Origin, Progress, ReclaimNotice, Record, RunFinished, Stream, Verdict, Warning,
};
use gpu_suites::id::{CaseId, CheckName, NodeName, Sha256};
use gpu_suites::metrics::Value;
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |number| !number.is_nan())
            .prop_map(Value::Number),
        any::<String>()
            .prop_filter("these texts are numbers", |text| !["NaN", "Infinity", "-Infinity"]
                .contains(&text.as_str()))
            .prop_map(Value::Text),
        any::<bool>().prop_map(Value::Flag),
    ]
}

fn case() -> impl Strategy<Value = CaseId> {
    any::<String>().prop_map(CaseId)
}

/// One of ours, or of another version.
fn check() -> impl Strategy<Value = CheckName> {
    let ours = prop::sample::select(Vec::from_iter(checks::names().cloned()));
    prop_oneof![ours, "[a-z0-9-]{1,64}".prop_map(|name| name.try_into().expect("a name"))]
}

fn finding() -> impl Strategy<Value = Finding> {
    let verdict = prop_oneof![Just(Verdict::Held), Just(Verdict::Broke), Just(Verdict::Skipped)];
    let texts = (any::<String>(), any::<String>(), any::<Option<String>>(), any::<Option<String>>());
    (check(), verdict, texts, any::<Option<u64>>()).prop_map(|(check, verdict, texts, step)| Finding {
        check,
        verdict,
        observed: texts.0,
        wanted: texts.1,
        subject: texts.2,
        cause: texts.3,
        step,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let outcome = prop_oneof![
        Just(Outcome::Passed),
        Just(Outcome::TimedOut),
        Just(Outcome::Errored),
        Just(Outcome::Interrupted)
    ];
    prop_oneof![
        (case(), any::<Option<u64>>(), prop::collection::btree_map(any::<String>(), value(), 0..5))
            .prop_map(|(case, step, values)| Metrics { case, step, values }.into()),
        (case(), stream, any::<String>(), any::<Option<Vec<u8>>>())
            .prop_map(|(case, stream, text, raw)| { Log { case, stream, text, raw: raw.map(Bytes) }.into() }),
        (case(), any::<u32>(), finding()).prop_map(|(case, attempt, finding)| Check {
            case,
            attempt,
            finding
        }
        .into()),
        (case(), any::<Option<String>>(), any::<u64>(), any::<Option<u64>>())
            .prop_map(|(case, phase, step, steps)| Progress { case, phase, step, steps }.into()),
        (case(), any::<u32>(), outcome, any::<Option<String>>(), 0.0..1e9f64).prop_map(
            |(case, attempt, outcome, reason, seconds)| {
                CaseFinished { case, attempt, outcome, reason, seconds }.into()
            }
        ),
        (case(), any::<u32>()).prop_map(|(case, attempt)| CaseStarted { case, attempt }.into()),
        (prop::option::of(case()), any::<String>())
            .prop_map(|(case, message)| Warning { case, message }.into()),
        (case(), any::<String>(), any::<u64>(), any::<bool>()).prop_map(|(case, path, bytes, executable)| {
            Artifact { case, path, bytes, sha256: Sha256("0".repeat(64)), executable }.into()
        }),
        (case(), any::<String>(), any::<Option<String>>()).prop_map(|(case, path, link)| ArtifactPlace {
            case,
            path,
            link
        }
        .into()),
        (prop::option::of(0..4_000_000_000_000_i64), any::<String>()).prop_map(|(millis, action)| {
            let taken_at = millis.map(|millis| Timestamp::from_millisecond(millis).expect("in range"));
            ReclaimNotice { taken_at, action }.into()
        }),
        prop::option::of(prop_oneof![Just(EndCause::Reclaimed), Just(EndCause::FailFast)])
            .prop_map(|cause| RunFinished { reason: None, cause, seal: None }.into()),
        any::<String>().prop_map(|detail| {
            Node { node: NodeName::from("local"), state: NodeState::Reachable, detail }.into()
        }),
    ]
}

proptest! {
    #[test]
    fn a_record_survives_its_line(
        seq in any::<u64>(),
        millis in 0..4_000_000_000_000_i64,
        from in any::<Option<(String, u64)>>(),
        event in event(),
    ) {
        let from = from.map(|(node, seq)| Origin { node: NodeName(node), seq });
        let at = Timestamp::from_millisecond(millis).expect("in range");
        let record = Record { seq, at, from, event };
        let line = record.to_line();
        prop_assert!(!line.contains('\n'), "one line: {line}");
        prop_assert_eq!(Record::parse(&line).expect("it was written by us"), record);
    }

    #[test]
    fn no_text_makes_the_reader_panic(line in any::<String>()) {
        let _ = Record::parse(&line);
    }
}

#[test]
fn a_number_that_json_cannot_write_survives_too() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, 0.1 + 0.2] {
        let values = BTreeMap::from([("loss".to_owned(), Value::Number(number))]);
        let record = Record {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            from: None,
            event: Metrics { case: "a::b".into(), step: Some(1), values }.into(),
        };
        let Event::Metrics(read) = Record::parse(&record.to_line()).expect("readable").event else {
            panic!()
        };
        let back = read.values["loss"].number().expect("a number");
        assert_eq!(back.to_bits(), number.to_bits(), "{number}");
    }
}

#[test]
fn a_kind_of_another_version_is_passed_on_whole() {
    let line =
        r#"{"seq":7,"at":"2026-11-22T21:00:00Z","kind":"aurora","colour":"green","kp":[1,2,{"x":null}]}"#;
    let mut record = Record::parse(line).expect("readable");
    assert_eq!(record.to_line(), line);

    record.from = Some(Origin { node: "local".into(), seq: record.seq });
    record.seq = 1000;
    let repeated = record.to_line();
    assert_eq!(
        repeated,
        r#"{"seq":1000,"at":"2026-11-22T21:00:00Z","from":{"node":"local","seq":7},"kind":"aurora","colour":"green","kp":[1,2,{"x":null}]}"#
    );
    assert_eq!(Record::parse(&repeated).expect("readable"), record);
}

#[test]
fn a_field_of_another_version_does_not_hide_the_event() {
    let line = r#"{"seq":1,"at":"2026-11-22T21:00:00Z","kind":"case-started","case":"a::b","attempt":1,"new":{"x":1}}"#;
    let record = Record::parse(line).expect("readable");
    assert_eq!(record.event, CaseStarted { case: "a::b".into(), attempt: 1 }.into());
}

#[test]
fn a_reclaim_is_told_in_words_that_are_not_the_notices_own() {
    let taken_at = Some("2026-11-23T14:32:05Z".parse().expect("a time"));
    for (taken_at, action, text) in [
        (taken_at, "terminate", "AWS takes the spot instance back at 14:32:05 UTC"),
        (taken_at, "stop", "AWS stops the spot instance at 14:32:05 UTC"),
        (None, "\u{1b}[2Jowned", "AWS takes the spot instance back within two minutes"),
    ] {
        assert_eq!(ReclaimNotice { taken_at, action: action.into() }.to_string(), text);
    }
}

#[test]
fn a_line_that_is_no_record_says_where_it_goes_wrong() {
    let cut = r#"{"seq":1,"at":"2026-11-22T21:00:00Z","kind":"case-st"#;
    insta::assert_snapshot!(
        Record::parse(cut).unwrap_err(),
        @"not an event record: EOF while parsing a string at line 1 column 52"
    );
    let short = r#"{"seq":1,"at":"2026-11-22T21:00:00Z","kind":"case-started","case":"a::b"}"#;
    insta::assert_snapshot!(
        Record::parse(short).unwrap_err(),
        @"not an event record: missing field `attempt` at line 1 column 73"
    );
}
