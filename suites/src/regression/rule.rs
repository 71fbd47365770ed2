//! Is this run worse than the nights before? A robust z and a least effect, confirmed by measuring again.
//!
//! The *bound* is the larger of [`Rule::z`] standard deviations and [`Rule::effect`], measured from the median of the last
//! [`Rule::window`] values. A night is suspected from [`Rule::suspect`] of the bound on: a first measurement that is a
//! little lucky must not hide a regression. What is suspected is measured again at once, twice. It is a regression where
//! all three measurements are suspicious and two of them lie beyond the bound; the first that is not suspicious clears the
//! night. So one disturbed measurement is never enough, and z can be lower than that of a single look would have to be.
//! docs/history.md says how the numbers were chosen.

use serde::{Deserialize, Serialize};

use super::direction::Direction;
use crate::statistics::{self, Spread};

/// So many measurements of a night make a regression.
pub const MEASUREMENTS: usize = 3;

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Rule {
    /// How many values before this run count: the latest.
    pub window: usize,
    /// Of how few values nothing is concluded.
    pub least: usize,
    /// Standard deviations.
    pub z: f64,
    /// The least share that counts.
    pub effect: f64,
    /// The share of the bound from which on it is measured again.
    pub suspect: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { window: 30, least: 10, z: 2.4, effect: 0.03, suspect: 0.6 }
    }
}

/// What this run's measurements amount to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Too few values to tell: it is not known whether all is well.
    InsufficientData { have: usize, need: usize },
    /// Of what was measured this run something is no number (NaN or infinite), or nothing was measured.
    NoNumber,
    /// As before.
    Steady(Against),
    /// Better than before.
    Improved(Against),
    /// It looks worse, and has to be measured again.
    Suspected(Against),
    /// Three measurements of this run agree that it is worse.
    Regressed(Against),
}

/// This run, held against the nights before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The median of what was measured.
    pub value: f64,
    /// The median of the nights before.
    pub median: f64,
    /// Their scatter, as a standard deviation.
    pub sigma: f64,
    pub nights: usize,
    /// The first value that is too bad.
    pub bound: f64,
}

/// The median of some nights, with the bound on either side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Against {
    /// By which share of the median this run is worse; negative where it is better.
    pub fn worsening(&self, direction: Direction) -> f64 {
        direction.worsening(self.median, self.value)
    }

    /// The same in standard deviations; infinite where the nights before are all alike and this run is not.
    pub fn z(&self, direction: Direction) -> f64 {
        let worse = match direction {
            Direction::Higher => self.median - self.value,
            Direction::Lower => self.value - self.median,
        };
        if worse.abs() > 0.0 { worse / self.sigma } else { 0.0 }
    }
}

impl Verdict {
    /// What this run was held against, where there was enough to hold it against.
    pub fn against(&self) -> Option<&Against> {
        match self {
            Self::InsufficientData { .. } | Self::NoNumber => None,
            Self::Steady(against)
            | Self::Improved(against)
            | Self::Suspected(against)
            | Self::Regressed(against) => Some(against),
        }
    }
}

impl Rule {
    /// Judges `this_run`, its measurements in their order, against the values of the nights before, oldest first.
    ///
    /// The nights before may hold values that are no numbers, which do not count. Of this run none may: one that is no number is
    /// no measurement to be passed over, but the worst that there is.
    pub fn judge(&self, before: &[f64], this_run: &[f64], direction: Direction) -> Verdict {
        let measured = this_run;
        let is_finite = measured.iter().all(|value| value.is_finite());
        let Some(value) = statistics::median(measured).filter(|_| is_finite) else {
            return Verdict::NoNumber;
        };
        let (have, spread) = self.baseline(before);
        let Some(spread) = spread.filter(|_| have >= self.least) else {
            return Verdict::InsufficientData { have, need: self.least };
        };
        let distance = self.distance(spread);
        let sign = match direction {
            Direction::Higher => -1.0,
            Direction::Lower => 1.0,
        };
        let bound = (spread.median + sign * distance).clamp(f64::MIN, f64::MAX);
        let against = Against { value, median: spread.median, sigma: spread.sigma, nights: have, bound };
        let worse = |value: f64| sign * (value - spread.median);
        let is_beyond = |value: f64, share: f64| worse(value) >= share * distance && worse(value) > 0.0;
        if !measured.iter().all(|value| is_beyond(*value, self.suspect)) {
            let is_better = worse(value) <= -distance && worse(value) < 0.0;
            return if is_better { Verdict::Improved(against) } else { Verdict::Steady(against) };
        }
        let beyond = measured.iter().filter(|value| is_beyond(**value, 1.0)).count();
        if measured.len() < MEASUREMENTS {
            Verdict::Suspected(against)
        } else if 2 * beyond > measured.len() {
            Verdict::Regressed(against)
        } else {
            Verdict::Steady(against)
        }
    }

    /// Where a value lies that is as before; `None` where the nights before are too few to tell.
    pub fn band(&self, before: &[f64]) -> Option<Band> {
        let (have, spread) = self.baseline(before);
        let spread = spread.filter(|_| have >= self.least)?;
        let distance = self.distance(spread);
        let bound = |sign: f64| (spread.median + sign * distance).clamp(f64::MIN, f64::MAX);
        Some(Band { low: bound(-1.0), median: spread.median, high: bound(1.0) })
    }

    /// The numbers among the last values, and how they lie.
    fn baseline(&self, before: &[f64]) -> (usize, Option<Spread>) {
        let finite = before.iter().rev().copied().filter(|value| value.is_finite());
        let last = Vec::from_iter(finite.take(self.window));
        (last.len(), Spread::of(&last))
    }

    /// Whether the nights before are enough to hold this run against.
    pub fn has_baseline(&self, before: &[f64]) -> bool {
        self.baseline(before).0 >= self.least
    }

    /// How far from the median is too far.
    fn distance(&self, spread: Spread) -> f64 {
        (self.z * spread.sigma).max(self.effect * spread.median.abs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Direction::{Higher, Lower};

    /// 30 nights around 100, one percent apart.
    fn nights() -> Vec<f64> {
        Vec::from_iter((0..30).map(|night| [99.0, 100.0, 101.0, 100.5, 99.5][night % 5]))
    }

    fn judge(before: &[f64], this_run: &[f64]) -> Verdict {
        Rule::default().judge(before, this_run, Higher)
    }

    #[test]
    fn a_drop_is_suspected_measured_again_and_then_a_regression_or_not() {
        let nights = nights();
        assert!(matches!(judge(&nights, &[99.0]), Verdict::Steady(_)));
        assert!(matches!(judge(&nights, &[94.0]), Verdict::Suspected(_)));
        assert!(matches!(judge(&nights, &[94.0, 94.5]), Verdict::Suspected(_)), "two are not three");
        assert!(matches!(judge(&nights, &[94.0, 94.5, 95.0]), Verdict::Regressed(_)));
        assert!(
            matches!(judge(&nights, &[94.0, 97.5, 94.0]), Verdict::Regressed(_)),
            "one was a little lucky"
        );
        assert!(matches!(judge(&nights, &[97.5, 94.0, 97.5]), Verdict::Steady(_)), "two were");
        assert!(matches!(judge(&nights, &[94.0, 100.0]), Verdict::Steady(_)), "the first was disturbed");
        assert!(matches!(judge(&nights, &[94.0, 94.0, 100.0]), Verdict::Steady(_)));
        assert!(matches!(judge(&nights, &[106.0]), Verdict::Improved(_)));
    }

    #[test]
    fn the_band_ends_where_the_verdict_changes() {
        let band = Rule::default().band(&nights()).unwrap();
        assert_eq!(Some(band.median), Some(100.0));
        for (direction, bound) in [(Higher, band.low), (Lower, band.high)] {
            let verdict = Rule::default().judge(&nights(), &[bound; 3], direction);
            assert!(
                matches!(verdict, Verdict::Regressed(against) if (against.bound - bound).abs() < 1e-9),
                "{verdict:?}"
            );
        }
        assert_eq!(Rule::default().band(&nights()[..9]), None);
    }

    #[test]
    fn measurements_beyond_the_third_count_too() {
        assert!(matches!(judge(&nights(), &[94.0, 94.0, 94.0, 100.0]), Verdict::Steady(_)));
        assert!(matches!(judge(&nights(), &[94.0, 94.0, 97.5, 94.0]), Verdict::Regressed(_)));
    }

    #[test]
    fn which_way_is_worse_is_the_metric_s_own() {
        let rule = Rule::default();
        assert!(matches!(rule.judge(&nights(), &[106.0; 3], Lower), Verdict::Regressed(_)));
        assert!(matches!(rule.judge(&nights(), &[94.0], Lower), Verdict::Improved(_)));
    }

    #[test]
    fn too_few_nights_are_a_verdict_of_their_own_and_no_pass() {
        for have in 0..10 {
            let verdict = judge(&nights()[..have], &[1.0, 1.0]);
            assert_eq!(verdict, Verdict::InsufficientData { have, need: 10 });
        }
        let unreadable = [&nights()[..9], &[f64::NAN; 30]].concat();
        assert_eq!(judge(&unreadable, &[100.0]), Verdict::InsufficientData { have: 9, need: 10 });
        assert!(matches!(judge(&nights()[..10], &[100.0]), Verdict::Steady(_)));
    }

    #[test]
    fn what_is_no_number_is_neither_good_nor_bad() {
        for this_run in [&[][..], &[f64::NAN], &[f64::INFINITY, f64::NAN]] {
            assert_eq!(judge(&nights(), this_run), Verdict::NoNumber);
        }
        assert_eq!(judge(&nights(), &[f64::NAN, 100.0]), Verdict::NoNumber, "no measurement is passed over");
    }

    #[test]
    fn nights_all_alike_are_judged_by_the_effect_alone() {
        let alike = [100.0; 30];
        assert!(matches!(judge(&alike, &[100.0]), Verdict::Steady(_)));
        assert!(matches!(judge(&alike, &[98.0; 3]), Verdict::Steady(_)));
        assert!(matches!(judge(&alike, &[96.0; 3]), Verdict::Regressed(_)));
        let none = [0.0; 30];
        assert!(matches!(Rule::default().judge(&none, &[0.0], Lower), Verdict::Steady(_)));
        assert!(matches!(Rule::default().judge(&none, &[1.0; 3], Lower), Verdict::Regressed(_)));
    }

    #[test]
    fn outlier_nights_among_those_before_hide_nothing() {
        let mut struck = nights();
        for night in [2, 8, 15, 16, 25] {
            struck[night] = 50.0;
        }
        assert!(matches!(judge(&struck, &[94.0; 3]), Verdict::Regressed(_)));
        assert!(matches!(judge(&struck, &[99.0]), Verdict::Steady(_)));
    }

    #[test]
    fn only_the_last_nights_count() {
        let before = [&[200.0; 50][..], &nights()].concat();
        assert!(matches!(judge(&before, &[100.0]), Verdict::Steady(_)));
    }

    #[test]
    fn a_verdict_tells_by_how_much() {
        let Verdict::Regressed(against) = judge(&[100.0; 30], &[90.0, 92.0, 91.0]) else { panic!() };
        assert_eq!((against.value, against.median, against.nights, against.bound), (91.0, 100.0, 30, 97.0));
        assert!((against.worsening(Higher) - 0.09).abs() < 1e-12);
        assert_eq!(Some(against.z(Higher)), Some(f64::INFINITY));
    }

    proptest! {
        #[test]
        fn any_numbers_get_a_verdict(
            before in prop::collection::vec(any::<f64>(), 0..60),
            this_run in prop::collection::vec(any::<f64>(), 0..4),
        ) {
            for direction in [Higher, Lower] {
                let verdict = Rule::default().judge(&before, &this_run, direction);
                if let Verdict::InsufficientData { have, need } = verdict {
                    prop_assert!(have < need);
                }
            }
        }

        #[test]
        fn one_measurement_or_two_are_suspected_and_never_a_regression(
            before in prop::collection::vec(99.0..101.0, 10..60),
            this_run in prop::collection::vec(1.0..95.0, 1..3),
        ) {
            let verdict = judge(&before, &this_run);
            prop_assert!(matches!(verdict, Verdict::Suspected(_)), "{:?}", verdict);
        }

        #[test]
        fn the_unit_does_not_matter(
            before in prop::collection::vec(1.0..1e3, 10..40),
            this_run in prop::collection::vec(1.0..1e3, 1..5),
            // A power of two loses no digit.
            scale in (-20..20).prop_map(|power: i32| 2.0_f64.powi(power)),
        ) {
            let scaled = |values: &[f64]| Vec::from_iter(values.iter().map(|value| value * scale));
            let same = judge(&before, &this_run);
            let other = judge(&scaled(&before), &scaled(&this_run));
            prop_assert_eq!(std::mem::discriminant(&same), std::mem::discriminant(&other));
        }

        #[test]
        fn more_is_not_worse_where_more_is_better(
            before in prop::collection::vec(90.0..110.0, 10..40),
            this_run in 50.0..150.0,
            more in 0.0..50.0,
        ) {
            let rank = |value: f64| match judge(&before, &[value; 3]) {
                Verdict::Regressed(_) => 0,
                Verdict::Suspected(_) => 1,
                Verdict::Steady(_) => 2,
                _ => 3,
            };
            prop_assert!(rank(this_run) <= rank(this_run + more));
        }
    }
}
