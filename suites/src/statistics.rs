//! Where numbers lie and how far they scatter, by their order alone: an outlier moves neither. The one definition of each:
//! the middle of an even count is the mean of the two in the middle.

/// The interquartile range of a normal distribution, in standard deviations.
const IQR_IN_SIGMA: f64 = 1.349;

/// The middle of some numbers, and their scatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    /// The interquartile range, scaled so that it is the standard deviation where the numbers are normally distributed.
    pub sigma: f64,
}

impl Spread {
    /// Of the finite ones among `values`; `None` where there is none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = Vec::from_iter(values.iter().copied().filter(|value| value.is_finite()));
        sorted.sort_by(f64::total_cmp);
        let quantile = |share| quantile(&sorted, share);
        let (low, median, high) = (quantile(0.25)?, quantile(0.5)?, quantile(0.75)?);
        // Divided first: the difference of two huge numbers is more than any number.
        let sigma = high / IQR_IN_SIGMA - low / IQR_IN_SIGMA;
        Some(Self { median, sigma: sigma.clamp(0.0, f64::MAX) })
    }
}

/// The median of the finite ones among `values`.
pub fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// The value below which a share of some numbers in rising order lies, between the two neighbours in proportion.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    let below = sorted.iter().enumerate().rev().find(|(index, _)| *index as f64 <= place);
    let (index, below) = below.map(|(index, value)| (index, *value))?;
    let above = sorted.get(index + 1).copied().unwrap_or(below);
    let part = place - index as f64;
    Some(below * (1.0 - part) + above * part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_and_the_scatter_of_a_few_numbers() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0]).unwrap();
        assert_eq!(Some(spread.median), Some(3.0));
        assert!((spread.sigma - 2.0 / IQR_IN_SIGMA).abs() < 1e-12, "{spread:?}");
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, sigma: 0.0 }));
        assert_eq!(Spread::of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }

    #[test]
    fn a_fifth_of_outliers_changes_little() {
        let calm = Vec::from_iter((0..30).map(|night| 100.0 + f64::from(night % 5)));
        let mut struck = calm.clone();
        for night in [3, 9, 14, 20, 21, 28] {
            struck[night] = 10.0;
        }
        let (calm, struck) = (Spread::of(&calm).unwrap(), Spread::of(&struck).unwrap());
        assert!((calm.median - struck.median).abs() <= 1.0, "{calm:?} {struck:?}");
        assert!(struck.sigma <= 2.0 * calm.sigma, "{calm:?} {struck:?}");
    }

    proptest! {
        #[test]
        fn any_numbers_have_a_finite_middle_among_them(values in prop::collection::vec(any::<f64>(), 0..50)) {
            let finite = Vec::from_iter(values.iter().copied().filter(|value| value.is_finite()));
            match Spread::of(&values) {
                None => prop_assert!(finite.is_empty()),
                Some(Spread { median, sigma }) => {
                    let least = finite.iter().copied().fold(f64::INFINITY, f64::min);
                    let most = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    // The last digit may be lost where two neighbours are mixed.
                    let slack = (least.abs().max(most.abs())) * 1e-12;
                    prop_assert!(median >= least - slack && median <= most + slack, "{median} of {finite:?}");
                    prop_assert!(sigma >= 0.0 && sigma.is_finite());
                }
            }
        }
    }
}
