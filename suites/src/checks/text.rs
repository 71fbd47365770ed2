//! How figures are written in findings.

/// Four significant digits: enough to see what is meant.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN".into(),
            _ if number > 0.0 => "Infinity".into(),
            _ => "-Infinity".into(),
        };
    }
    if size == 0.0 || (number.fract() == 0.0 && size < 1e9) {
        return format!("{number:.0}");
    }
    if !(1e-3..1e9).contains(&size) {
        let text = format!("{number:.3e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'));
    }
    // Four significant digits. Not by a logarithm, which would make the agent link libm.
    let decimals = (0..=6)
        .rev()
        .find(|digits| size < 10_f64.powi(4 - digits))
        .and_then(|digits| usize::try_from(digits).ok())
        .unwrap_or(0);
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Every digit, so that two numbers that differ in one bit are told apart.
pub(crate) fn exact(number: f64) -> String {
    format!("{number:?}")
}

/// ` at step 12`, or nothing.
pub(crate) fn at(step: Option<u64>) -> String {
    step.map_or(String::new(), |step| format!(" at step {step}"))
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Untrusted text as part of a sentence: no longer than `limit` characters.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_short_and_true() {
        for (number, text) in [
            (0.0, "0"),
            (200.0, "200"),
            (0.693_199, "0.6932"),
            (0.1 + 0.2, "0.3"),
            (12.345_678, "12.35"),
            (123_456.78, "123457"),
            (0.000_123_456, "1.235e-4"),
            (1.5e12, "1.5e12"),
            (1e-4, "1e-4"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(exact(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(clip("äöü", 2), "äö…");
    }
}
