//! Which batch size is worth it? Powers of two are tried until the rate no longer grows.

use std::num::NonZeroU32;

/// Growth from one size to the next that is worth a larger batch.
const WORTH: f64 = 0.05;
/// Sizes in a row without it after which larger ones are not tried.
const PATIENCE: usize = 2;
/// No larger batch is tried.
const LARGEST: u32 = 4096;

/// The search; pure, so that it can be tested without a model.
#[derive(Debug, Default)]
pub(super) struct Knee {
    tried: Vec<(NonZeroU32, f64)>,
    over: bool,
}

impl Knee {
    pub(super) fn next(&self) -> Option<NonZeroU32> {
        let Some((last, _)) = self.tried.last() else { return (!self.over).then_some(NonZeroU32::MIN) };
        let flat = self.tried.len() - 1 - self.best_index();
        if self.over || flat >= PATIENCE || last.get() >= LARGEST { None } else { last.checked_mul(TWO) }
    }

    /// A size ran at this rate.
    pub(super) fn ran(&mut self, batch: NonZeroU32, rate: f64) {
        self.tried.push((batch, rate));
    }

    /// No larger size is possible.
    pub(super) fn enough(&mut self) {
        self.over = true;
    }

    /// The first size after which none is worth it.
    fn best_index(&self) -> usize {
        let mut best = 0;
        for (index, (_, rate)) in self.tried.iter().enumerate() {
            if *rate > self.tried[best].1 * (1.0 + WORTH) {
                best = index;
            }
        }
        best
    }

    /// The knee: the smallest size that is within 5 % of every other's rate.
    pub(super) fn batch(&self) -> Option<NonZeroU32> {
        self.tried.get(self.best_index()).map(|(batch, _)| *batch)
    }

    pub(super) fn tried(&self) -> &[(NonZeroU32, f64)] {
        &self.tried
    }
}

const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    fn knee(rate: impl Fn(f64) -> f64, possible: u32) -> (u32, usize) {
        let mut knee = Knee::default();
        while let Some(batch) = knee.next() {
            if batch.get() > possible {
                knee.enough();
            } else {
                knee.ran(batch, rate(f64::from(batch.get())));
            }
        }
        (knee.batch().unwrap().get(), knee.tried().len())
    }

    #[test]
    fn the_knee_is_where_the_rate_stops_growing() {
        // A device that does 8 at once in the time of one.
        assert_eq!(knee(|batch| 100.0 * batch.min(8.0), u32::MAX), (8, 6));
        assert_eq!(knee(|_| 100.0, u32::MAX), (1, 3));
        assert_eq!(knee(|batch| 100.0 / batch, u32::MAX), (1, 3));
        assert_eq!(knee(|batch| batch, u32::MAX).0, LARGEST);
    }

    #[test]
    fn what_does_not_fit_into_memory_is_not_tried_twice() {
        assert_eq!(knee(|batch| batch, 33), (32, 6));
    }
}
