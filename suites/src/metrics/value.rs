//! A metric's value: how it is written in events, and read from them and from a case's lines.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{MAX_NAME, not_finite};

/// Metrics whose texts are keys of rows, and never numbers.
const KEYS: [&str; 2] = ["input_row", "row"];

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
        deserializer.deserialize_any(ValueOf(None))
    }
}

/// Reads the value of the named metric, or of one whose name plays no part.
pub(crate) struct ValueOf<'a>(pub(crate) Option<&'a str>);

impl ValueOf<'_> {
    fn refuse<E: de::Error>(&self, found: Unexpected<'_>, what: &str, instead: &str) -> E {
        let Some(name) = self.0 else { return E::invalid_type(found, self) };
        let name: String = name.chars().take(MAX_NAME).collect();
        E::custom(format!("metric `{name}` is {what}, such as \"{name}/{instead}\""))
    }
}

impl<'de> DeserializeSeed<'de> for ValueOf<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueOf<'_> {
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
        // A file may well be called `inf`.
        let is_key = self.0.is_some_and(|name| KEYS.contains(&name));
        Ok(if is_key { Value::Text(text.to_owned()) } else { Value::from_text(text) })
    }

    /// What `JSON.stringify` and pandas make of a NaN.
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Number(f64::NAN))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.refuse(Unexpected::Map, "an object: write its parts as metrics of their own", "part"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.refuse(Unexpected::Seq, "a list: write each element as a metric of its own", "0"))
    }
}
