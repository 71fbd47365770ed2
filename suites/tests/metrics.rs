//! Promises of the line protocol: what a program writes is read as it was meant, or refused in words that help.

use std::fmt::Write as _;

use gpu_suites::metric_lines::{MAX_METRICS, parse};
use gpu_suites::metrics::{Line, MAX_NAME, Value};
use proptest::prelude::*;

fn metrics(line: &str) -> Vec<(String, Value)> {
    match parse(line.as_bytes()) {
        Ok(Line::Metrics { values, .. }) => values.into_iter().collect(),
        other => panic!("{line}: {other:?}"),
    }
}

fn number(line: &str) -> f64 {
    metrics(line)[0].1.number().expect("a number")
}

#[test]
fn lines_are_read_as_they_are_meant() {
    let long = format!(r#"{{"{}":1}}"#, "n".repeat(MAX_NAME));
    let many =
        format!("{{{}}}", Vec::from_iter((0..MAX_METRICS).map(|at| format!(r#""m{at}":1"#))).join(","));
    let mut text = String::new();
    for line in [
        r#"{"step": 12, "loss": 0.31, "eval/iou": 0.92, "batch_hash": "9f2c", "amp": true}"#,
        r#"{"loss": 1}"#,
        "  {\"loss\": 1}\r\n",
        r#"{"step": 12.0, "loss": -0.0}"#,
        r#"{"step": 0, "loss": NaN, "a": Infinity, "b": -Infinity, "c": "NaN", "d": "say \"NaN\", NaN"}"#,
        r#"{"as_text": "0.31"}"#,
        r#"{"lo\u0073s": 1}"#,
        r#"{"@progress": {"step": 12, "steps": 300}}"#,
        r#"{"@progress": {"phase": "repeat", "step": 12}}"#,
        r#"{"@artifact": "overlay.png"}"#,
        r#"{"@skip": {"check": "mixed-precision", "reason": "this CPU has no bf16 instructions"}}"#,
        r#"{"@device": {"name": "cpu", "threads": 2, "deep": {"is": ["fine"]}}}"#,
        r#"{"@error": {"what": "a.pt is not TorchScript", "hint": "save it with torch.jit.save"}}"#,
    ] {
        let _ = writeln!(
            text,
            "{}\n  {:?}",
            line.trim(),
            parse(line.as_bytes()).unwrap_or_else(|e| panic!("{line}: {e}"))
        );
    }
    insta::assert_snapshot!(text);
    assert_eq!(metrics(&long).len(), 1);
    assert_eq!(metrics(&many).len(), MAX_METRICS);
}

#[test]
fn a_line_that_is_refused_says_what_to_write() {
    let long = format!(r#"{{"{}":1}}"#, "n".repeat(MAX_NAME + 1));
    let many =
        format!("{{{}}}", Vec::from_iter((0..=MAX_METRICS).map(|at| format!(r#""m{at}":1"#))).join(","));
    let deep = format!(r#"{{"@device":{}"#, "[".repeat(10_000));
    let mut text = String::new();
    for line in [
        "",
        "loss 0.31",
        "loss=0.31",
        "0.31",
        "[0.31]",
        "{}",
        r#"{"step": 3}"#,
        r#"{"loss": 0.31"#,
        r#"{"loss": 0.31} {"loss": 0.30}"#,
        r"{'loss': 0.31}",
        r#"{"loss": 0.31,}"#,
        r#"{"loss": nano}"#,
        r#"{"loss": NaN, "x": }"#,
        r#"{"loss": -nan(ind), "x": }"#,
        r#"{"loss": {"train": 0.31}}"#,
        r#"{"loss": [0.31]}"#,
        r#"{"loss": 1, "loss": 2}"#,
        r#"{"": 1}"#,
        r#"{"step": -1, "loss": 1}"#,
        r#"{"step": 1.5, "loss": 1}"#,
        r#"{"step": "1", "loss": 1}"#,
        r#"{"step": NaN, "loss": 1}"#,
        r#"{"step": 1, "step": 2, "loss": 1}"#,
        r#"{"@progres": {"step": 12}}"#,
        r#"{"@progress": {"steps": 12}}"#,
        r#"{"@progress": 12}"#,
        r#"{"@artifact": 12}"#,
        r#"{"@skip": {"check": "loss-dorp", "reason": "x"}}"#,
        r#"{"@skip": {"check": "loss-drop"}}"#,
        r#"{"@artifact": "a.png", "loss": 1}"#,
        r#"{"loss": 1, "@artifact": "a.png"}"#,
        &long,
        &many,
        &deep,
    ] {
        let shown: String = line.chars().take(60).collect();
        let _ = writeln!(text, "{shown}\n  {}", parse(line.as_bytes()).expect_err(line));
    }
    let _ =
        writeln!(text, "(not UTF-8)\n  {}", parse(b"{\"loss\": 1, \"a\": \"\xff\"}").expect_err("not UTF-8"));
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_finite_is_a_value_however_it_is_spelled() {
    for nan in [
        "nan",
        "-nan",
        "NaN",
        "NAN",
        "null",
        "nan(0x7ff8000000000000)",
        "-nan(ind)",
        "1.#IND",
        "-1.#QNAN",
        "\"nan\"",
        "\"-nan\"",
        "\"NaN\"",
        "\"1.#IND\"",
    ] {
        let line = format!(r#"{{"step": 81, "loss": {nan}, "acc": 0.5}}"#);
        let read = metrics(&line);
        assert_eq!(read[0], ("acc".to_owned(), Value::Number(0.5)), "{line}");
        assert!(read[1].1.number().is_some_and(f64::is_nan), "{line}: {read:?}");
    }
    for (text, wanted) in [
        ("inf", f64::INFINITY),
        ("Infinity", f64::INFINITY),
        ("+inf", f64::INFINITY),
        ("1e400", f64::INFINITY),
        ("1.#INF", f64::INFINITY),
        ("\"inf\"", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("-1e400", f64::NEG_INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
    ] {
        let line = format!(r#"{{"loss":{text}}}"#);
        assert_eq!(Some(number(&line)), Some(wanted), "{line}");
    }
    // A hash may look like a number that is too large, and a row may be called anything.
    assert_eq!(metrics(r#"{"batch_hash": "12e4567890123456"}"#)[0].1, Value::Text("12e4567890123456".into()));
    assert_eq!(metrics(r#"{"row": "inf"}"#)[0].1, Value::Text("inf".into()));
}

#[test]
fn what_is_not_finite_comes_back_from_events_as_it_was() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let text = serde_json::to_string(&Value::Number(number)).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert!(
            read.number()
                .is_some_and(|read| read.to_bits() == number.to_bits() || read.is_nan() == number.is_nan()),
            "{text}"
        );
    }
    let null: Value = serde_json::from_str("null").unwrap();
    assert!(null.number().is_some_and(f64::is_nan));
}

#[test]
fn a_large_integer_is_a_number() {
    let bits = |line: &str| number(line).to_bits();
    assert_eq!(bits(r#"{"n": 9007199254740993}"#), (9_007_199_254_740_993_u64 as f64).to_bits());
    assert_eq!(bits(r#"{"n": 123456789012345678901234567890}"#), 1.234_567_890_123_456_8e29_f64.to_bits());
}

proptest! {
    #[test]
    fn every_digit_of_a_number_counts(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
        let line = format!(r#"{{"loss":{number:?}}}"#);
        prop_assert_eq!(self::number(&line).to_bits(), number.to_bits());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn nothing_close_to_a_line_makes_the_reader_panic(text in r#"(NaN|-|Infinity|\{|\}|"|\\|loss|:|,|@skip|step|1| |é){0,30}"#) {
        if let Err(error) = parse(text.as_bytes()) {
            prop_assert!(error.to_string().starts_with("byte "));
        }
    }

    #[test]
    fn a_name_in_a_string_is_not_a_number(text in r#"[NaInfty"\\ -]{0,30}"#) {
        let line = format!(r#"{{"x":NaN,"text":{}}}"#, serde_json::to_string(&text).expect("a string"));
        let read = metrics(&line);
        // Of all that these letters can spell, these are numbers that are none.
        let word = text.trim().trim_start_matches('-').to_ascii_lowercase();
        let expected = match word.as_str() {
            "nan" | "inf" | "infinity" => None,
            _ => Some(Value::Text(text)),
        };
        if let Some(expected) = expected {
            prop_assert_eq!(&read[0].1, &expected);
        }
    }
}
