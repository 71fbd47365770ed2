//! Two versions measured in turn: by what ratio they differ, and how sure that is.
//!
//! The two measurements of a pair are neighbours in time, so that a node that grows slower does so to both. The interval
//! is a bootstrap over the pairs' log ratios, or over shares where there is no quotient. A plain percentile interval of a few pairs is too narrow; this one is
//! widened as T. Hesterberg proposes ("What Teachers Should Know About the Bootstrap", 2015, section 4.4).

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::direction::Direction;
use crate::statistics;

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
    pub high: f64,
    /// How many pairs there were.
    pub pairs: usize,
}

/// What a ratio says of the version that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairVerdict {
    /// Worse, by [`EFFECT`] or more, and the whole interval says so.
    Worse,
    /// Better, likewise.
    Better,
    /// Neither: no difference was found that counts.
    NoDifference,
}

impl Ratio {
    /// Of the pairs (before, after). `None` where there are fewer than [`LEAST`], or where they have no ratio: one is no number,
    /// or those before are 0.
    ///
    /// Where a value is not above 0 (a log-likelihood, a margin) there is no quotient: the ratio is then 1 and the change's
    /// share of the usual size of those before. It rises where the values rise, below 0 too.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let is_finite = pairs.iter().all(|(before, after)| before.is_finite() && after.is_finite());
        if pairs.len() < LEAST || !is_finite {
            return None;
        }
        if pairs.iter().all(|(before, after)| *before > 0.0 && *after > 0.0) {
            let logs = Vec::from_iter(pairs.iter().map(|(before, after)| after.ln() - before.ln()));
            return Some(Self::between(&logs, f64::exp));
        }
        let sizes = Vec::from_iter(pairs.iter().map(|(before, _)| before.abs()));
        let size = statistics::median(&sizes).filter(|size| *size > 0.0)?;
        // Divided first: the difference of two huge numbers is more than any number.
        let shares = Vec::from_iter(pairs.iter().map(|(before, after)| after / size - before / size));
        shares.iter().all(|share| share.is_finite()).then(|| Self::between(&shares, |share| 1.0 + share))
    }

    /// The mean of the pairs' changes and its interval, as ratios.
    fn between(changes: &[f64], ratio: impl Fn(f64) -> f64) -> Self {
        let beyond = BEYOND.get(changes.len() - LEAST).copied().unwrap_or(0.019);
        let mut random = StdRng::seed_from_u64(SEED);
        let resample = |_| {
            let drawn = changes.iter().map(|_| changes[random.random_range(0..changes.len())]);
            drawn.sum::<f64>() / changes.len() as f64
        };
        let mut means = Vec::from_iter((0..RESAMPLES).map(resample));
        means.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a few thousand"
        )]
        let end = (beyond * RESAMPLES as f64) as usize;
        Self {
            ratio: ratio(changes.iter().sum::<f64>() / changes.len() as f64),
            low: ratio(means[end]),
            high: ratio(means[RESAMPLES - 1 - end]),
            pairs: changes.len(),
        }
    }

    /// What it says, where this way is better.
    pub fn found(&self, better: Direction) -> PairVerdict {
        let lower = self.high < 1.0 && self.ratio <= 1.0 - EFFECT;
        let higher = self.low > 1.0 && self.ratio >= 1.0 + EFFECT;
        match better {
            Direction::Higher if lower => PairVerdict::Worse,
            Direction::Lower if higher => PairVerdict::Worse,
            _ if lower || higher => PairVerdict::Better,
            _ => PairVerdict::NoDifference,
        }
    }
}

/// What pairs say that have no ratio: where the later ones are no numbers and the earlier ones are, that is worse; where all
/// of them moved the same way (from 0, say), which way it was. `None` where that cannot be said either.
pub fn without_ratio(pairs: &[(f64, f64)], better: Direction) -> Option<PairVerdict> {
    if pairs.len() < LEAST || pairs.iter().any(|(before, _)| !before.is_finite()) {
        return None;
    }
    if pairs.iter().any(|(_, after)| !after.is_finite()) {
        return Some(PairVerdict::Worse);
    }
    let (rose, fell) = (pairs.iter().all(|(b, a)| a > b), pairs.iter().all(|(b, a)| a < b));
    Some(match (better, rose, fell) {
        (Direction::Higher, true, _) | (Direction::Lower, _, true) => PairVerdict::Better,
        (Direction::Higher, _, true) | (Direction::Lower, true, _) => PairVerdict::Worse,
        _ => PairVerdict::NoDifference,
    })
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
                false_alarms += usize::from(same.found(Direction::Higher) == PairVerdict::Worse);
                let slower = Ratio::of(&simulated(&mut random, pairs, 0.95, 0.01)).unwrap();
                found += usize::from(slower.found(Direction::Higher) == PairVerdict::Worse);
            }
            assert!(share(holds, rounds) >= 0.93, "{pairs} pairs: {holds} of {rounds}");
            assert!(share(false_alarms, rounds) <= 0.03, "{pairs} pairs: {false_alarms} of {rounds}");
            assert!(share(found, rounds) >= 0.99, "{pairs} pairs: {found} of {rounds}");
        }
    }

    #[test]
    fn what_is_said_follows_the_direction_and_needs_an_effect() {
        let ratio = |ratio: f64| Ratio { ratio, low: ratio * 0.999, high: ratio * 1.001, pairs: 6 };
        assert_eq!(ratio(0.95).found(Direction::Higher), PairVerdict::Worse);
        assert_eq!(ratio(0.95).found(Direction::Lower), PairVerdict::Better);
        assert_eq!(ratio(1.05).found(Direction::Higher), PairVerdict::Better);
        assert_eq!(ratio(1.05).found(Direction::Lower), PairVerdict::Worse);
        assert_eq!(
            ratio(0.995).found(Direction::Higher),
            PairVerdict::NoDifference,
            "sure, and too small to count"
        );
        let unsure = Ratio { ratio: 0.9, low: 0.8, high: 1.01, pairs: 6 };
        assert_eq!(unsure.found(Direction::Higher), PairVerdict::NoDifference);
    }

    #[test]
    fn what_has_no_ratio_has_none() {
        for (before, after) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN), (1.0, f64::INFINITY)] {
            assert_eq!(Ratio::of(&[(before, after); 8]), None, "{before} {after}");
        }
        assert_eq!(Ratio::of(&[(1.0, 1.0); LEAST - 1]), None);
        let same = Ratio::of(&[(2.0, 2.0); LEAST]).unwrap();
        assert!(same.low >= 1.0 && same.high <= 1.0, "{same:?}");
    }

    #[test]
    fn a_loss_below_zero_that_rises_is_worse_and_one_that_falls_is_better() {
        for (before, after, found) in [
            (-2.0, -1.0, PairVerdict::Worse),
            (-1.0, -2.0, PairVerdict::Better),
            (-1.0, 1.0, PairVerdict::Worse),
            (1.0, -1.0, PairVerdict::Better),
            (1.0, 0.0, PairVerdict::Better),
            (-2.0, -2.0, PairVerdict::NoDifference),
            (-2.0, -2.005, PairVerdict::NoDifference),
        ] {
            let ratio = Ratio::of(&[(before, after); LEAST]).unwrap();
            assert_eq!(ratio.found(Direction::Lower), found, "{before} {after}: {ratio:?}");
        }
    }

    #[test]
    fn what_is_no_number_any_more_or_no_longer_nothing_is_worse_without_a_ratio() {
        let found = |before, after, better| without_ratio(&[(before, after); LEAST], better);
        assert_eq!(found(1.0, f64::NAN, Direction::Higher), Some(PairVerdict::Worse));
        assert_eq!(found(0.0, f64::INFINITY, Direction::Lower), Some(PairVerdict::Worse));
        assert_eq!(found(f64::NAN, 1.0, Direction::Lower), None);
        assert_eq!(found(0.0, 3.0, Direction::Lower), Some(PairVerdict::Worse));
        assert_eq!(found(0.0, 3.0, Direction::Higher), Some(PairVerdict::Better));
        assert_eq!(found(0.0, 0.0, Direction::Lower), Some(PairVerdict::NoDifference));
        assert_eq!(without_ratio(&[(0.0, 1.0); LEAST - 1], Direction::Lower), None);
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
