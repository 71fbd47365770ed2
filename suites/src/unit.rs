//! Quantities as people write them: `90s`, `5%`, `4 GiB`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written `300ms`, `90s`, `10m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A share, written `5%` or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A number of bytes, written `512 KiB`, `64MiB`, `4 GiB` or plain `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Why a quantity could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {wanted}")]
pub struct UnitError {
    text: String,
    wanted: &'static str,
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError {
            text: text.to_owned(),
            wanted: "a length of time: write 300ms, 90s, 10m or 1h 30m",
        };
        let span = jiff::SignedDuration::from_str(text.trim()).map_err(|_| wrong())?;
        Duration::try_from(span).map(Self).map_err(|_| wrong())
    }
}

impl Span {
    /// So that it is the same when it is read again, however long or short it is.
    fn exactly(self) -> String {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match (nanos % 1_000_000, u32::try_from(seconds)) {
            (0, Ok(_)) => format!("{}ms", self.0.as_millis()),
            _ => format!("{seconds}s {nanos}ns"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        match (whole / 3600, whole / 60 % 60, whole % 60) {
            (0, 0, _) if whole < 10 && self.0.subsec_millis() > 0 => {
                write!(f, "{:.1}s", self.0.as_secs_f64())
            }
            (0, 0, s) => write!(f, "{s}s"),
            (0, m, 0) => write!(f, "{m}m"),
            (0, m, s) => write!(f, "{m}m {s}s"),
            (h, 0, 0) => write!(f, "{h}h"),
            (h, m, 0) => write!(f, "{h}h {m}m"),
            (h, m, s) => write!(f, "{h}h {m}m {s}s"),
        }
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError { text: text.to_owned(), wanted: "a share: write 5% or 0.05" };
        let trimmed = text.trim();
        let value = match trimmed.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
            None => trimmed.parse::<f64>().map_err(|_| wrong())?,
        };
        if value.is_finite() && value >= 0.0 { Ok(Self(value)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 1e6).round() / 1e4;
        write!(f, "{percent}%")
    }
}

const UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError { text: text.to_owned(), wanted: "a size: write 512 KiB, 64 MiB or 4 GiB" };
        let lower = text.trim().to_ascii_lowercase();
        let (_, scale, number) = UNITS
            .iter()
            .find_map(|(unit, scale)| lower.strip_suffix(unit).map(|number| (unit, scale, number.trim())))
            .ok_or_else(wrong)?;
        let number = number.parse::<f64>().map_err(|_| wrong())?;
        let bytes = number * *scale as f64;
        if !(0.0..=9e18).contains(&bytes) {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked above"
        )]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1024 => write!(f, "{} B", self.0),
            1024..1_048_576 => write!(f, "{:.1} KiB", bytes / 1024.0),
            1_048_576..1_073_741_824 => write!(f, "{:.1} MiB", bytes / 1_048_576.0),
            _ => write!(f, "{:.1} GiB", bytes / 1_073_741_824.0),
        }
    }
}

/// Serialised so that reading it back gives the same value; numbers are accepted where `number` makes sense of them.
macro_rules! unit_serde {
    ($type:ident, $name:literal, $example:literal, $schema:tt, |$value:ident| $write:expr, |$number:ident| $read:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                serializer.serialize_str(&$write)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} such as {}", $name, $example)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_f64<E: de::Error>(self, $number: f64) -> Result<$type, E> {
                        let read: Option<$type> = $read;
                        read.ok_or_else(|| E::invalid_value(de::Unexpected::Float($number), &self))
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_f64(number as f64)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_f64(number as f64)
                    }
                }
                deserializer.deserialize_any(V)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".into(), concat!($name, " such as ", $example).into());
                schema
            }
        }
    };
}

unit_serde!(
    Span,
    "a length of time",
    "90s",
    // A number without its unit is none.
    { "type": "string", "pattern": "[0-9]+\\s*[A-Za-z]" },
    |span| span.exactly(),
    |_n| None
);
unit_serde!(
    Share,
    "a share",
    "5%",
    { "type": ["string", "number"], "minimum": 0, "pattern": "^\\s*[0-9.]+([eE][-+]?[0-9]+)?\\s*%?\\s*$" },
    |share| format!("{}", share.0),
    |n| format!("{n}").parse().ok()
);
unit_serde!(
    ByteSize,
    "a size",
    "64 MiB",
    { "type": ["string", "number"], "minimum": 0, "pattern": "^\\s*[0-9.]+([eE][-+]?[0-9]+)?\\s*([kKmMgGtT][iI]?)?[bB]?\\s*$" },
    |size| format!("{}", size.0),
    |n| format!("{n}").parse().ok()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_the_same_when_it_is_read_again() {
        for text in ["0s", "1ns", "999ns", "1ms", "90s", "1h 30m", "999999999h", "2562047788015215h"] {
            let span: Span = text.parse().unwrap();
            let written = serde_json::to_string(&span).unwrap();
            assert_eq!(serde_json::from_str::<Span>(&written).unwrap(), span, "{text}: {written}");
        }
    }
}
