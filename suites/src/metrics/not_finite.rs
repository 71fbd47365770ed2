//! Numbers that are none, in every spelling that programs have for them: they are values, and never a reason to drop a line.
//!
//! JSON has no word for them. Python's json writes `NaN` and `Infinity`, printf of glibc `-nan`, of musl and macOS `nan`, of
//! Microsoft `1.#IND`, `-nan(ind)` and `1.#INF`, `JSON.stringify` and pandas `null`, and a number such as `1e400` is JSON and
//! more than a double holds.

/// The number that a word without quotes means, where it is one that is not finite.
pub(crate) fn bare(word: &str) -> Option<f64> {
    quoted(word).or_else(|| word.parse().ok().filter(|number: &f64| !number.is_finite()))
}

/// The same of a word in quotes: digits alone are a text there, such as a hash that looks like `12e4567890123456`.
pub(super) fn quoted(word: &str) -> Option<f64> {
    let word = word.trim();
    // Most texts are passed over at their first letter.
    if !word.starts_with(['n', 'N', 'i', 'I', '+', '-', '1', '∞']) {
        return None;
    }
    if !word.bytes().any(|byte| byte.is_ascii_digit())
        && let Ok(number) = word.parse::<f64>()
    {
        return Some(number);
    }
    let lower = word.to_ascii_lowercase();
    let (negative, size) = match lower.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    let infinity = if negative { f64::NEG_INFINITY } else { f64::INFINITY };
    if size == "∞" || is_microsofts(size, &["1.#inf"]) {
        return Some(infinity);
    }
    // The payload of a NaN in brackets, and whether it is a quiet one: `nan(0x7ff8)`, `nanq`.
    let payload = size.strip_prefix("nan").is_some_and(|rest| {
        matches!(rest, "q" | "s") || (rest.starts_with('(') && rest.ends_with(')') && rest.len() <= 40)
    });
    (payload || is_microsofts(size, &["1.#ind", "1.#qnan", "1.#snan", "1.#nan"])).then_some(f64::NAN)
}

/// Microsoft's words, which `%f` fills up with zeros.
fn is_microsofts(size: &str, words: &[&str]) -> bool {
    words.iter().any(|word| size.strip_prefix(word).is_some_and(|rest| rest.bytes().all(|byte| byte == b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_known_and_nothing_else_is() {
        for word in [
            "nan",
            "NaN",
            "NAN",
            "-nan",
            "+NaN",
            "-NaN",
            "nan(0x7ff8000000000000)",
            "-nan(ind)",
            "nan(snan)",
            "NaNQ",
            "1.#IND",
            "-1.#IND",
            "1.#QNAN",
            "-1.#QNAN0",
            "1.#SNAN",
            " nan ",
            "nan()",
        ] {
            assert!(quoted(word).is_some_and(f64::is_nan), "{word}");
        }
        for word in
            ["inf", "Inf", "INF", "+inf", "Infinity", "+Infinity", "infinity", "1.#INF", "1.#INF00", "∞"]
        {
            assert_eq!(quoted(word), Some(f64::INFINITY), "{word}");
        }
        for word in ["-inf", "-Infinity", "-1.#INF", "-∞"] {
            assert_eq!(quoted(word), Some(f64::NEG_INFINITY), "{word}");
        }
        for (word, number) in
            [("1e400", f64::INFINITY), ("9E999", f64::INFINITY), ("-1e400", f64::NEG_INFINITY)]
        {
            assert_eq!((bare(word), quoted(word)), (Some(number), None), "{word}");
        }
        for word in [
            "",
            "nancy",
            "nano",
            "inference",
            "info",
            "1",
            "1e3",
            "0.5",
            "-",
            "null",
            "none",
            "1.#",
            "i",
            "n",
            "nan(",
            "N/A",
        ] {
            assert_eq!(bare(word), None, "{word}");
        }
    }
}
