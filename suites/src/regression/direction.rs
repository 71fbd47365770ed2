//! Which way a metric is better, by its name.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More is better: a rate, an accuracy.
    Higher,
    /// Less is better: a time, a loss, memory.
    Lower,
}

/// Words of a metric's last part that say which way is better; the first that fits counts.
const WORDS: &[(&str, Direction)] = &[
    ("per_second", Direction::Higher),
    ("throughput", Direction::Higher),
    ("speedup", Direction::Higher),
    ("accuracy", Direction::Higher),
    ("precision", Direction::Higher),
    ("recall", Direction::Higher),
    ("iou", Direction::Higher),
    ("dice", Direction::Higher),
    ("f1", Direction::Higher),
    ("psnr", Direction::Higher),
    ("ssim", Direction::Higher),
    ("share_of_ceiling", Direction::Higher),
    ("latency", Direction::Lower),
    ("loss", Direction::Lower),
    ("error", Direction::Lower),
    ("cer", Direction::Lower),
    ("wer", Direction::Lower),
    ("perplexity", Direction::Lower),
    ("memory", Direction::Lower),
    ("bytes", Direction::Lower),
    ("seconds", Direction::Lower),
    ("ms", Direction::Lower),
    ("us", Direction::Lower),
    ("p50", Direction::Lower),
    ("p90", Direction::Lower),
    ("p99", Direction::Lower),
];

impl Direction {
    /// What the name says, e.g. `fp32/items_per_second`; `None` where it says nothing.
    pub fn of(metric: &str) -> Option<Self> {
        // What is known beforehand is not measured.
        if metric.starts_with("golden/") {
            return None;
        }
        let last = metric.rsplit('/').next().unwrap_or(metric).to_lowercase();
        let parts = Vec::from_iter(last.split(['_', '-', '.']));
        let has = |word: &str| {
            let wanted = Vec::from_iter(word.split('_'));
            parts.windows(wanted.len()).any(|window| window == wanted)
        };
        WORDS.iter().find(|(word, _)| has(word)).map(|(_, direction)| *direction)
    }

    /// By which share of `from` it is worse at `to`: negative where it is better, infinite where `from` is nothing.
    pub fn worsening(self, from: f64, to: f64) -> f64 {
        let change = match self {
            Self::Higher => from - to,
            Self::Lower => to - from,
        };
        // Nothing of nothing is nothing, and no NaN.
        if change.abs() > 0.0 { change / from.abs() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_way_is_better() {
        for (name, wanted) in [
            ("fp32/items_per_second", Some(Direction::Higher)),
            ("bf16/batch=16/items_per_second", Some(Direction::Higher)),
            ("eval/iou", Some(Direction::Higher)),
            ("loss", Some(Direction::Lower)),
            ("fp32/latency_p99_ms", Some(Direction::Lower)),
            ("peak_memory_bytes", Some(Direction::Lower)),
            ("step_seconds", Some(Direction::Lower)),
            ("f1", Some(Direction::Higher)),
            ("forms", None),
            ("learning_rate", None),
            ("", None),
        ] {
            assert_eq!(Direction::of(name), wanted, "{name}");
        }
    }

    #[test]
    fn worse_is_a_positive_share_either_way() {
        assert_eq!(Some(Direction::Higher.worsening(100.0, 95.0)), Some(0.05));
        assert_eq!(Some(Direction::Lower.worsening(100.0, 105.0)), Some(0.05));
        assert_eq!(Some(Direction::Lower.worsening(-2.0, -1.0)), Some(0.5));
        assert_eq!(Some(Direction::Lower.worsening(0.0, 0.0)), Some(0.0));
        assert_eq!(Some(Direction::Lower.worsening(0.0, 1e-9)), Some(f64::INFINITY));
    }
}
