//! How a line of metrics is read: one pass over the bytes, straight into the values.
//!
//! Programs write `NaN`, `inf`, `1e400`, which are not JSON, or no double. Such a line fails in the strict reader; its bare
//! words are then quoted and it is read once more, so that the lines which are plain JSON pay nothing for it.

mod bare_words;
mod control;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Unexpected, Visitor};

use self::bare_words::Quoted;
use self::control::{alone, control};
use crate::metrics::value::ValueOf;
use crate::metrics::{Line, MAX_NAME};

/// The most metrics in one line.
pub const MAX_METRICS: usize = 1024;

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
                let value = map.next_value_seed(ValueOf(Some(&name)))?;
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
            Err(E::invalid_value(Unexpected::Float(step), &self))
        }
    }
}
