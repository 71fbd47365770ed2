//! Numbers as people read them: durations, sizes, losses, and a curve in a few characters.

/// A duration: `0.42s`, `12.3s`, `3m 07s`, `2h 05m`.
pub fn seconds(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, 1e9) } else { 0.0 };
    let tenths = (seconds * 10.0).round() / 10.0;
    if seconds < 0.9995 {
        format!("{seconds:.2}s")
    } else if tenths < 60.0 {
        format!("{tenths:.1}s")
    } else {
        let whole = whole(seconds.round());
        match (whole / 3600, whole / 60 % 60, whole % 60) {
            (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
            (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
        }
    }
}

/// A time that is only guessed: whole seconds below a minute.
pub fn about(seconds_left: f64) -> String {
    if seconds_left < 59.5 { format!("{seconds_left:.0}s") } else { seconds(seconds_left) }
}

/// Steps per second: `41.3`, `1250`.
pub fn rate(rate: f64) -> String {
    if rate < 9.995 {
        figure((rate * 100.0).round() / 100.0)
    } else if rate < 100.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

/// A size: `512 B`, `12.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// A measured value with four significant digits: `0.6931`, `12.34`, `1.2e-6`, `NaN`.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !value.is_finite() {
        value.to_string()
    } else if (1e-4..1e6).contains(&size) {
        if value.fract() == 0.0 {
            return format!("{value:.0}");
        }
        let decimals = if size >= 1000.0 {
            0
        } else if size >= 100.0 {
            1
        } else if size >= 10.0 {
            2
        } else if size >= 1.0 {
            3
        } else if size >= 0.1 {
            4
        } else if size >= 0.01 {
            5
        } else {
            6
        };
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.2e}")
    }
}

/// `1 case`, `2 cases`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The curve of a metric in at most `width` characters; empty where there is no curve.
///
/// What spans more than a factor of 30 is drawn on a logarithmic scale: the end of an overfitted loss would be flat
/// on a linear one.
pub fn sparkline(points: &[(u64, f64)], width: usize) -> String {
    if points.len() < 2 || width == 0 {
        return String::new();
    }
    let least = points.iter().fold(f64::INFINITY, |least, (_, value)| least.min(*value));
    let most = points.iter().fold(f64::NEG_INFINITY, |most, (_, value)| most.max(*value));
    let scale = |value: f64| if least > 0.0 && most / least > 30.0 { value.ln() } else { value };
    let span = scale(most) - scale(least);
    let width = width.min(points.len());
    (0..width)
        .map(|column| {
            let bucket = &points[column * points.len() / width..(column + 1) * points.len() / width];
            let mean = bucket.iter().map(|(_, value)| scale(*value)).sum::<f64>() / bucket.len() as f64;
            let height = if span > 0.0 { (mean - scale(least)) / span } else { 0.0 };
            BARS[usize::try_from(whole((height * 7.0).round())).unwrap_or(0).min(7)]
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and what is shown is never so large or negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// US dollars with as many digits as say something.
pub fn dollars(usd: f64) -> String {
    if usd < 0.1 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_a_reader_needs() {
        for (value, text) in [
            (0.0, "0.00s"),
            (0.4218, "0.42s"),
            (0.9996, "1.0s"),
            (12.34, "12.3s"),
            (59.96, "1m 00s"),
            (187.2, "3m 07s"),
            (7_500.0, "2h 05m"),
            (-1.0, "0.00s"),
            (f64::NAN, "0.00s"),
        ] {
            assert_eq!(seconds(value), text, "{value}");
        }
        assert_eq!(about(7.4), "7s");
        assert_eq!([rate(0.123), rate(24.39), rate(1249.6)], ["0.12", "24.4", "1250"]);
    }

    #[test]
    fn values_have_four_significant_digits() {
        for (value, text) in [
            (0.693_512, "0.6935"),
            (0.002_134_9, "0.002135"),
            (0.012_345_6, "0.01235"),
            (1.0, "1"),
            (0.5, "0.5"),
            (123.456, "123.5"),
            (123_456.7, "123457"),
            (120_000.4, "120000"),
            (1.234e-7, "1.23e-7"),
            (-2.5e9, "-2.50e9"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(figure(value), text, "{value}");
        }
    }

    #[test]
    fn sizes_have_their_unit() {
        assert_eq!([bytes(512), bytes(12_900_000), bytes(u64::MAX)], ["512 B", "12.3 MiB", "16777216.0 TiB"]);
    }

    #[test]
    fn a_curve_falls_where_its_values_fall() {
        let line: Vec<(u64, f64)> = (0..8).map(|step| (step, 7.0 - step as f64)).collect();
        assert_eq!(sparkline(&line, 8), "█▇▆▅▄▃▂▁");
        let decay: Vec<(u64, f64)> =
            line.iter().map(|(step, value)| (*step, 10.0_f64.powf(*value))).collect();
        assert_eq!(sparkline(&decay, 8), "█▇▆▅▄▃▂▁", "logarithmic");
        assert_eq!(sparkline(&[(0, 1.0), (1, 1.0)], 8), "▁▁");
        assert_eq!(sparkline(&[(0, 1.0)], 8), "");
        assert_eq!(sparkline(&[(0, f64::MIN), (1, f64::MAX)], 8).chars().count(), 2);
    }
}
