//! What a running case says about itself: one JSON object per line in `$GPU_HARNESS_METRICS`. See docs/metrics.md.

mod bare_words;
mod control;
mod not_finite;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use parse::{LineError, MAX_METRICS, MAX_NAME, parse};

use crate::id::CheckName;

/// A metric's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; NaN and infinities are values too, written `"NaN"`, `"Infinity"`, `"-Infinity"` in events.
    Number(f64),
    /// A fact, e.g. the hash of a batch.
    Text(String),
    /// A fact that holds or does not.
    Flag(bool),
}

impl Value {
    /// The number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Flag(_) => None,
        }
    }

    /// The value of a JSON string: a number that is not finite, which JSON cannot write otherwise, else a text.
    fn from_text(text: &str) -> Self {
        match not_finite::quoted(text) {
            Some(number) => Self::Number(number),
            None => Self::Text(text.to_owned()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Self::Number(number) if number.is_infinite() => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(parse::ValueOf(None))
    }
}

/// One line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Metrics of a step.
    Metrics {
        /// The step, where the line names one.
        step: Option<u64>,
        /// The metrics by name.
        values: BTreeMap<String, Value>,
    },
    /// `@progress`.
    Progress {
        /// What is being done.
        phase: Option<String>,
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: Option<u64>,
    },
    /// `@artifact`: a path below `$GPU_HARNESS_ARTIFACTS`.
    Artifact(String),
    /// `@skip`: a check cannot be judged here.
    Skip {
        /// The check.
        check: CheckName,
        /// Why not.
        reason: String,
    },
    /// `@device`: facts about what the case runs on.
    Device(BTreeMap<String, serde_json::Value>),
    /// `@error`: the process cannot go on.
    Error {
        /// What happened, to what.
        what: String,
        /// What to do next.
        hint: Option<String>,
        /// Whose fault it is.
        fault: Blame,
    },
}

/// Whose fault it is that a process cannot go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The node's, or of what it talks with: the case is errored, and may pass elsewhere.
    #[default]
    Node,
    /// That of what is tested: a model that raises, an input that is damaged. The case is failed.
    Code,
}
