//! When a series changed its level: slow drifts and steps too small for one night's verdict.
//!
//! Pettitt's test finds the place where the values before and after differ most by their ranks, so that an outlier weighs
//! as much as any other value; each part is then searched in turn. What is found is told apart from the verdict on a night
//! and fails nothing.

use serde::{Deserialize, Serialize};

use crate::statistics;

/// How sure a change must be: the chance that a series without any shows one.
pub const SIGNIFICANCE: f64 = 0.001;
/// The least share by which the level must differ.
pub const LEAST: f64 = 0.01;
/// The fewest values on either side.
const SIDE: usize = 5;

/// A place where the level changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The first value of the new level.
    pub at: usize,
    /// The median before, back to the previous change.
    pub before: f64,
    /// The median after, up to the next change.
    pub after: f64,
    /// The chance of finding it in a series that does not change.
    pub p: f64,
}

impl Change {
    /// By which share of the level before it went up, or down.
    pub fn share(&self) -> f64 {
        let change = self.after - self.before;
        if change.abs() > 0.0 { change / self.before.abs() } else { 0.0 }
    }
}

/// The changes of a series, oldest first. Values that are no numbers are passed over; places are those of `values`.
pub fn changes(values: &[f64]) -> Vec<Change> {
    let finite = Vec::from_iter(values.iter().copied().enumerate().filter(|(_, value)| value.is_finite()));
    let mut found = Vec::new();
    search(&finite, 0..finite.len(), &mut found);
    found.sort_unstable_by_key(|(place, _)| *place);
    let ends = |index: usize| found.get(index).map_or(finite.len(), |(place, _)| *place);
    let level = |from: usize, to: usize| {
        let part = Vec::from_iter(finite[from..to].iter().map(|(_, value)| *value));
        statistics::median(&part).unwrap_or(f64::NAN)
    };
    let changes = found.iter().enumerate().map(|(index, (place, p))| {
        let from = if index == 0 { 0 } else { ends(index - 1) };
        Change {
            at: finite[*place].0,
            before: level(from, *place),
            after: level(*place, ends(index + 1)),
            p: *p,
        }
    });
    changes.filter(|change| change.share().abs() >= LEAST).collect()
}

/// Splits a part at its change, if it has one, and then its halves.
fn search(values: &[(usize, f64)], part: std::ops::Range<usize>, found: &mut Vec<(usize, f64)>) {
    let Some((place, p)) = split(&values[part.clone()]).filter(|(_, p)| *p <= SIGNIFICANCE) else { return };
    let place = part.start + place;
    found.push((place, p));
    search(values, part.start..place, found);
    search(values, place..part.end, found);
}

/// Pettitt's test: the place of the greatest difference, and its p-value (1979, equation 7: exact to two digits below 0.5).
fn split(values: &[(usize, f64)]) -> Option<(usize, f64)> {
    let n = values.len();
    if n < 2 * SIDE {
        return None;
    }
    let ranks = ranks(values);
    let size = n as f64;
    let mut sum = 0.0;
    let mut best = (0, -1.0);
    for (place, rank) in (1..n).zip(&ranks) {
        sum += rank;
        let difference = (2.0 * sum - place as f64 * (size + 1.0)).abs();
        if (SIDE..=n - SIDE).contains(&place) && difference > best.1 {
            best = (place, difference);
        }
    }
    let p = 2.0 * (-6.0 * best.1 * best.1 / (size.powi(3) + size.powi(2))).exp();
    Some((best.0, p.min(1.0)))
}

/// The place of each value in the order of all, from 1; equal ones share the mean of theirs.
fn ranks(values: &[(usize, f64)]) -> Vec<f64> {
    let mut order = Vec::from_iter(0..values.len());
    order.sort_by(|one, other| values[*one].1.total_cmp(&values[*other].1));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    for alike in order.chunk_by(|one, other| values[*one].1.total_cmp(&values[*other].1).is_eq()) {
        let mean = begin as f64 + f64::midpoint(alike.len() as f64, 1.0);
        for index in alike {
            ranks[*index] = mean;
        }
        begin += alike.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Noise between -1 and 1 that is the same each time.
    fn noise(seed: u64, length: usize) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0
        });
        next.skip(10).take(length).collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let mut values = Vec::from_iter(noise(1, 60).iter().map(|noise| 100.0 + noise));
        for value in &mut values[40..] {
            *value -= 3.0;
        }
        let changes = changes(&values);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!((39..=41).contains(&changes[0].at), "{changes:?}");
        assert!((changes[0].share() + 0.03).abs() < 0.01, "{changes:?}");
    }

    #[test]
    fn up_and_down_again_are_two_changes() {
        let level = |night: usize| if (30..60).contains(&night) { 110.0 } else { 100.0 };
        let values =
            Vec::from_iter(noise(2, 90).iter().enumerate().map(|(night, noise)| level(night) + noise));
        let places = Vec::from_iter(changes(&values).iter().map(|change| change.at));
        assert_eq!(places, [30, 60]);
    }

    #[test]
    fn a_slow_drift_is_found_though_no_night_differs_from_the_one_before() {
        let values = Vec::from_iter(
            noise(3, 60).iter().enumerate().map(|(night, noise)| 100.0 - 0.08 * night as f64 + noise),
        );
        let changes = changes(&values);
        assert!(!changes.is_empty());
        assert!(changes.iter().all(|change| change.share() < 0.0), "{changes:?}");
    }

    #[test]
    fn outliers_are_no_change() {
        let mut values = Vec::from_iter(noise(4, 60).iter().map(|noise| 100.0 + noise));
        for night in [50, 51, 55] {
            values[night] = 20.0;
        }
        assert_eq!(changes(&values), []);
    }

    #[test]
    fn a_series_without_a_change_shows_one_as_rarely_as_is_promised() {
        let false_ones = (0..5_000_u64).filter(|seed| {
            let values = Vec::from_iter(noise(*seed + 10, 40).iter().map(|noise| 100.0 + 20.0 * noise));
            !changes(&values).is_empty()
        });
        let count = false_ones.count();
        assert!(count <= 10, "{count} of 5000, where 5 are expected");
    }

    #[test]
    fn what_does_not_move_or_is_no_number_has_no_change() {
        assert_eq!(changes(&[]), []);
        assert_eq!(changes(&[5.0; 40]), []);
        assert_eq!(changes(&[f64::NAN; 40]), []);
        let gaps = Vec::from_iter((0..40).map(|night| {
            if night % 3 == 0 {
                f64::NAN
            } else if night < 20 {
                100.0
            } else {
                90.0 + f64::from(night) / 1e3
            }
        }));
        assert_eq!(changes(&gaps).iter().map(|change| change.at).collect::<Vec<_>>(), [20]);
    }

    proptest! {
        #[test]
        fn any_series_has_its_changes_in_order_and_within(values in prop::collection::vec(any::<f64>(), 0..100)) {
            let changes = changes(&values);
            prop_assert!(changes.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert!(changes.iter().all(|change| change.at < values.len() && change.p <= SIGNIFICANCE));
        }
    }
}
