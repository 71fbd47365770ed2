//! Control lines: `@progress`, `@artifact`, `@skip`, `@device`, `@error`.

use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess};

use crate::checks::Known;
use crate::metrics::{Blame, Line, MAX_NAME};

const CONTROLS: [&str; 5] = ["@progress", "@artifact", "@skip", "@device", "@error"];

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
    check: Known,
    reason: String,
}

#[derive(Deserialize)]
#[serde(expecting = r#"an object such as {"what": "…", "hint": "…"}"#)]
struct Error {
    what: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    fault: Blame,
}

/// The rest of a line that begins with the control key `name`.
pub(super) fn control<'de, A: MapAccess<'de>>(name: &str, mut map: A) -> Result<Line, A::Error> {
    let line = match name {
        "@progress" => {
            let Progress { phase, step, steps } = map.next_value()?;
            Line::Progress { phase, step, steps }
        }
        "@artifact" => Line::Artifact(map.next_value()?),
        "@skip" => {
            let Skip { check: Known(check), reason } = map.next_value()?;
            Line::Skip { check, reason }
        }
        "@device" => Line::Device(map.next_value()?),
        "@error" => {
            let Error { what, hint, fault } = map.next_value()?;
            Line::Error { what, hint, fault }
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

pub(super) fn alone<E: de::Error>(name: &str) -> E {
    E::custom(format!("`{name}` stands alone in its line: write the metrics in a line of their own"))
}
