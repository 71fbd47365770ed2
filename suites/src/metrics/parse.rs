//! How a line of metrics is read: one pass over the bytes, straight into the values.
//!
//! Python writes `NaN` and `Infinity`, which are not JSON. Such a line fails in the strict reader; its bare words are
//! then quoted and it is read once more, so that the lines which are plain JSON pay nothing for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Line, Value};
use crate::spec::CheckName;

/// The longest name of a metric, in bytes.
pub const MAX_NAME: usize = 128;

/// The most metrics in one line.
pub const MAX_METRICS: usize = 1024;

const CONTROLS: [&str; 5] = ["@progress", "@artifact", "@skip", "@device", "@error"];

/// Why a line is not understood: where, what was there, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {byte}: {what}")]
pub struct LineError {
    byte: usize,
    what: String,
}

/// Reads one line, with or without its newline.
pub fn parse(line: &[u8]) -> Result<Line, LineError> {
    let line = line.trim_ascii();
    let first = match read(line) {
        Ok(line) => return Ok(line),
        Err(error) => error,
    };
    match Quoted::of(line) {
        Some(quoted) => {
            read(&quoted.text).map_err(|error| LineError { byte: quoted.original(error.byte), ..error })
        }
        None => Err(first),
    }
}

fn read(line: &[u8]) -> Result<Line, LineError> {
    if line.is_empty() {
        return Err(LineError {
            byte: 1,
            what: r#"an empty line: write an object such as {"step": 1, "loss": 0.5}"#.into(),
        });
    }
    if let Err(error) = std::str::from_utf8(line) {
        let what = "this is not UTF-8: write the line as UTF-8".into();
        return Err(LineError { byte: error.valid_up_to() + 1, what });
    }
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = json.deserialize_any(LineVisitor).and_then(|line| json.end().map(|()| line));
    read.map_err(|error| explain(&error))
}

fn explain(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let what = match error.classify() {
        serde_json::error::Category::Eof => {
            "the line ends in the middle of its object: write it whole, in one go".into()
        }
        serde_json::error::Category::Syntax => {
            format!(r#"not JSON ({what}): write one object a line, such as {{"step": 1, "loss": 0.5}}"#)
        }
        _ => match what
            .split_once(": ")
            .and_then(|(start, rest)| Some((start, rest.split_once(", expected ")?)))
        {
            Some(("invalid type" | "invalid value", (found, wanted))) => {
                format!("expected {wanted}, found {found}")
            }
            _ => what.to_owned(),
        },
    };
    LineError { byte: error.column().max(1), what }
}

/// A line whose bare `NaN`, `Infinity` and `-Infinity` were put in quotes: [`Value`] reads those as the numbers.
struct Quoted {
    text: Vec<u8>,
    /// Where, in `text`, each quoted word ends.
    ends: Vec<usize>,
}

impl Quoted {
    fn of(line: &[u8]) -> Option<Self> {
        let mut quoted = Self { text: Vec::with_capacity(line.len() + 16), ends: Vec::new() };
        let mut rest = line;
        while let Some((&byte, after)) = rest.split_first() {
            let word =
                ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
            if byte == b'"' {
                let end = end_of_string(rest);
                quoted.text.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            } else if let Some(word) = word {
                quoted.text.push(b'"');
                quoted.text.extend_from_slice(word.as_bytes());
                quoted.text.push(b'"');
                quoted.ends.push(quoted.text.len());
                rest = &rest[word.len()..];
            } else {
                quoted.text.push(byte);
                rest = after;
            }
        }
        (!quoted.ends.is_empty()).then_some(quoted)
    }

    fn original(&self, byte: usize) -> usize {
        byte - 2 * self.ends.iter().filter(|end| **end <= byte).count()
    }
}

/// The length of the string that `text` begins with, quotes included.
fn end_of_string(text: &[u8]) -> usize {
    let end = text.iter().enumerate().skip(1).try_fold(false, |escaped, (at, byte)| match byte {
        b'"' if !escaped => ControlFlow::Break(at + 1),
        b'\\' => ControlFlow::Continue(!escaped),
        _ => ControlFlow::Continue(false),
    });
    end.break_value().unwrap_or(text.len())
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"one object a line, such as {"step": 1, "loss": 0.5}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
        let mut step = None;
        let mut values = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "step" {
                if step.replace(map.next_value_seed(StepSeed)?).is_some() {
                    return Err(de::Error::custom("`step` is in the line twice: write it once"));
                }
            } else if name.starts_with('@') {
                if step.is_some() || !values.is_empty() {
                    return Err(alone(&name));
                }
                return control(&name, map);
            } else {
                let value = map.next_value_seed(ValueSeed(&name))?;
                check_name(&name)?;
                if values.len() == MAX_METRICS {
                    return Err(de::Error::custom(format!(
                        "more than {MAX_METRICS} metrics in one line: write several lines with the same step"
                    )));
                }
                match values.entry(name) {
                    Entry::Vacant(entry) => entry.insert(value),
                    Entry::Occupied(entry) => {
                        let twice = format!("metric `{}` is in the line twice: write it once", entry.key());
                        return Err(de::Error::custom(twice));
                    }
                };
            }
        }
        if values.is_empty() {
            return Err(de::Error::custom(
                r#"no metric in the line: write at least one, such as {"step": 1, "loss": 0.5}"#,
            ));
        }
        Ok(Line::Metrics { step, values })
    }
}

fn alone<E: de::Error>(name: &str) -> E {
    E::custom(format!("`{name}` stands alone in its line: write the metrics in a line of their own"))
}

fn check_name<E: de::Error>(name: &str) -> Result<(), E> {
    if name.is_empty() {
        return Err(E::custom("a metric without a name: write a name such as \"loss\""));
    }
    if name.len() > MAX_NAME {
        let start: String = name.chars().take(24).collect();
        return Err(E::custom(format!(
            "the name `{start}…` has {} bytes: write at most {MAX_NAME}",
            name.len()
        )));
    }
    Ok(())
}

struct StepSeed;

impl<'de> DeserializeSeed<'de> for StepSeed {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for StepSeed {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 on as `step`")
    }

    fn visit_u64<E>(self, step: u64) -> Result<u64, E> {
        Ok(step)
    }

    fn visit_f64<E: de::Error>(self, step: f64) -> Result<u64, E> {
        if step.fract() == 0.0 && (0.0..9e15).contains(&step) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small whole number"
            )]
            Ok(step as u64)
        } else {
            Err(E::invalid_value(de::Unexpected::Float(step), &self))
        }
    }
}

/// Reads the value of the named metric.
struct ValueSeed<'a>(&'a str);

impl ValueSeed<'_> {
    fn refuse<E: de::Error>(&self, what: &str, instead: &str) -> E {
        let name: String = self.0.chars().take(MAX_NAME).collect();
        E::custom(format!("metric `{name}` is {what}: {instead}"))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text or true/false")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from_text(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Err(self.refuse("null", "write NaN for a number that could not be computed, or leave the metric out"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.refuse(
            "an object",
            &format!("write its parts as metrics of their own, such as \"{}/part\"", self.0),
        ))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.refuse(
            "a list",
            &format!("write each element as a metric of its own, such as \"{}/0\"", self.0),
        ))
    }
}

#[derive(Deserialize)]
#[serde(expecting = r#"an object such as {"step": 12, "steps": 300}"#)]
struct Progress {
    #[serde(default)]
    phase: Option<String>,
    step: u64,
    #[serde(default)]
    steps: Option<u64>,
}

#[derive(Deserialize)]
#[serde(expecting = r#"an object such as {"check": "metric", "reason": "…"}"#)]
struct Skip {
    check: CheckName,
    reason: String,
}

#[derive(Deserialize)]
#[serde(expecting = r#"an object such as {"what": "…", "hint": "…"}"#)]
struct Error {
    what: String,
    #[serde(default)]
    hint: Option<String>,
}

fn control<'de, A: MapAccess<'de>>(name: &str, mut map: A) -> Result<Line, A::Error> {
    let line = match name {
        "@progress" => {
            let Progress { phase, step, steps } = map.next_value()?;
            Line::Progress { phase, step, steps }
        }
        "@artifact" => Line::Artifact(map.next_value()?),
        "@skip" => {
            let Skip { check, reason } = map.next_value()?;
            Line::Skip { check, reason }
        }
        "@device" => Line::Device(map.next_value()?),
        "@error" => {
            let Error { what, hint } = map.next_value()?;
            Line::Error { what, hint }
        }
        _ => {
            let shown: String = name.chars().take(MAX_NAME).collect();
            return Err(de::Error::custom(format!(
                "unknown control key `{shown}`: write one of {}",
                CONTROLS.join(", ")
            )));
        }
    };
    match map.next_entry::<IgnoredAny, IgnoredAny>()? {
        Some(_) => Err(alone(name)),
        None => Ok(line),
    }
}
