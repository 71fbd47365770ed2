//! Two versions measured in turn: by what ratio they differ, and how sure that is.
//!
//! The two measurements of a pair are neighbours in time, so that a node that grows slower does so to both. The interval
//! is a bootstrap over the pairs' log ratios. A plain percentile interval of a few pairs is too narrow; this one is
//! widened as T. Hesterberg proposes ("What Teachers Should Know About the Bootstrap", 2015, section 4.4).

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::direction::Direction;

/// With fewer pairs no interval of 95 % can be had: the extremes of five cover 94 %.
pub const LEAST: usize = 6;
/// A difference that is smaller is none, however sure it is.
pub const EFFECT: f64 = 0.01;
const RESAMPLES: usize = 10_000;
/// The same figures give the same interval, always.
const SEED: u64 = 0x67_70_75;
/// Φ(−√(n/(n−1)) · t(0.975, n−1)) for n from [`LEAST`] on: the share of resamples beyond an end of the interval.
const BEYOND: [f64; 25] = [
    0.002_43, 0.004_11, 0.005_74, 0.007_22, 0.008_55, 0.009_72, 0.010_76, 0.011_67, 0.012_48, 0.013_21,
    0.013_86, 0.014_44, 0.014_97, 0.015_44, 0.015_88, 0.016_28, 0.016_65, 0.016_98, 0.017_29, 0.017_58,
    0.017_85, 0.018_10, 0.018_33, 0.018_55, 0.018_75,
];

/// What a version makes of a figure: 1 is as before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean of the pairs' ratios.
    pub ratio: f64,
    /// Lower end of its interval of 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How many pairs there were.
    pub pairs: usize,
}

/// What a ratio says of the version that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Worse, by [`EFFECT`] or more, and the whole interval says so.
    Worse,
    /// Better, likewise.
    Better,
    /// Neither: no difference was found that counts.
    NoDifference,
}

impl Ratio {
    /// Of the pairs (before, after). `None` where there are fewer than [`LEAST`], or one has no ratio.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let log = |(before, after): &(f64, f64)| {
            let ratio = (after / before).ln();
            (*before > 0.0 && ratio.is_finite()).then_some(ratio)
        };
        let logs = pairs.iter().map(log).collect::<Option<Vec<_>>>().filter(|logs| logs.len() >= LEAST)?;
        let beyond = BEYOND.get(logs.len() - LEAST).copied().unwrap_or(0.019);
        let mut random = StdRng::seed_from_u64(SEED);
        let resample = |_| {
            let drawn = logs.iter().map(|_| logs[random.random_range(0..logs.len())]);
            drawn.sum::<f64>() / logs.len() as f64
        };
        let mut means = Vec::from_iter((0..RESAMPLES).map(resample));
        means.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a few thousand"
        )]
        let end = (beyond * RESAMPLES as f64) as usize;
        Some(Self {
            ratio: (logs.iter().sum::<f64>() / logs.len() as f64).exp(),
            low: means[end].exp(),
            high: means[RESAMPLES - 1 - end].exp(),
            pairs: logs.len(),
        })
    }

    /// What it says, where this way is better.
    pub fn found(&self, better: Direction) -> Found {
        let lower = self.high < 1.0 && self.ratio <= 1.0 - EFFECT;
        let higher = self.low > 1.0 && self.ratio >= 1.0 + EFFECT;
        match better {
            Direction::Higher if lower => Found::Worse,
            Direction::Lower if higher => Found::Worse,
            _ if lower || higher => Found::Better,
            _ => Found::NoDifference,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pairs whose second is `ratio` times the first, with noise of `noise` on each and a drift over all of them.
    fn simulated(random: &mut StdRng, pairs: usize, ratio: f64, noise: f64) -> Vec<(f64, f64)> {
        // The sum of twelve uniform numbers is as good as normally distributed.
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let one = |pair: usize, level: f64, by_chance: f64| {
            level * (1.0 - 0.02 * pair as f64) * (1.0 + noise * by_chance)
        };
        (0..pairs).map(|pair| (one(pair, 100.0, normal()), one(pair, 100.0 * ratio, normal()))).collect()
    }

    fn share(count: usize, of: usize) -> f64 {
        count as f64 / of as f64
    }

    #[test]
    fn the_interval_holds_the_truth_and_a_step_is_found_though_the_node_drifts() {
        let mut random = StdRng::seed_from_u64(11);
        let rounds = 400;
        for pairs in [6, 10] {
            let (mut holds, mut false_alarms, mut found) = (0, 0, 0);
            for _ in 0..rounds {
                let same = Ratio::of(&simulated(&mut random, pairs, 1.0, 0.01)).unwrap();
                holds += usize::from(same.low <= 1.0 && same.high >= 1.0);
                false_alarms += usize::from(same.found(Direction::Higher) == Found::Worse);
                let slower = Ratio::of(&simulated(&mut random, pairs, 0.95, 0.01)).unwrap();
                found += usize::from(slower.found(Direction::Higher) == Found::Worse);
            }
            assert!(share(holds, rounds) >= 0.93, "{pairs} pairs: {holds} of {rounds}");
            assert!(share(false_alarms, rounds) <= 0.03, "{pairs} pairs: {false_alarms} of {rounds}");
            assert!(share(found, rounds) >= 0.99, "{pairs} pairs: {found} of {rounds}");
        }
    }

    #[test]
    fn what_is_said_follows_the_direction_and_needs_an_effect() {
        let ratio = |ratio: f64| Ratio { ratio, low: ratio * 0.999, high: ratio * 1.001, pairs: 6 };
        assert_eq!(ratio(0.95).found(Direction::Higher), Found::Worse);
        assert_eq!(ratio(0.95).found(Direction::Lower), Found::Better);
        assert_eq!(ratio(1.05).found(Direction::Higher), Found::Better);
        assert_eq!(ratio(1.05).found(Direction::Lower), Found::Worse);
        assert_eq!(
            ratio(0.995).found(Direction::Higher),
            Found::NoDifference,
            "sure, and too small to count"
        );
        let unsure = Ratio { ratio: 0.9, low: 0.8, high: 1.01, pairs: 6 };
        assert_eq!(unsure.found(Direction::Higher), Found::NoDifference);
    }

    #[test]
    fn what_has_no_ratio_has_none() {
        for (before, after) in [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(Ratio::of(&[(before, after); 8]), None, "{before} {after}");
        }
        assert_eq!(Ratio::of(&[(1.0, 1.0); LEAST - 1]), None);
        let same = Ratio::of(&[(2.0, 2.0); LEAST]).unwrap();
        assert!(same.low >= 1.0 && same.high <= 1.0, "{same:?}");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_ratio_and_the_scale_does_not_matter(
            pairs in prop::collection::vec((0.5..2.0_f64, 0.5..2.0_f64), LEAST..20), scale in 1e-6..1e6_f64,
        ) {
            let ratio = Ratio::of(&pairs).unwrap();
            prop_assert!(ratio.low <= ratio.ratio && ratio.ratio <= ratio.high, "{:?}", ratio);
            let scaled = Vec::from_iter(pairs.iter().map(|(before, after)| (before * scale, after * scale)));
            let other = Ratio::of(&scaled).unwrap();
            prop_assert!((other.ratio / ratio.ratio - 1.0).abs() < 1e-9);
        }
    }
}
