//! A metric of any length in a few numbers and at most 256 points.

/// The most points kept of one metric.
pub const POINTS: usize = 256;

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// How many values came, non-finite ones included.
    pub count: u64,
    /// How many of them were NaN or infinite.
    pub non_finite: u64,
    pub first: f64,
    pub last: f64,
    /// The least finite value; infinite where there was none.
    pub min: f64,
    /// The greatest finite value; infinite where there was none.
    pub max: f64,
    points: Vec<(u64, f64)>,
    finite: u64,
    stride: u64,
}

impl Series {
    pub fn new(step: Option<u64>, value: f64) -> Self {
        let mut series = Self {
            count: 0,
            non_finite: 0,
            first: value,
            last: value,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            points: Vec::new(),
            finite: 0,
            stride: 1,
        };
        series.push(step, value);
        series
    }

    /// Adds a value. A value without a step counts as the next one.
    pub fn push(&mut self, step: Option<u64>, value: f64) {
        let place = step.unwrap_or(self.count);
        self.count += 1;
        self.last = value;
        if !value.is_finite() {
            self.non_finite += 1;
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        // Every stride-th value is kept; a full buffer is halved and the stride doubled, so that the points stay
        // evenly spread over a run of any length.
        if self.finite.is_multiple_of(self.stride) {
            if self.points.len() == POINTS {
                let mut index = 0;
                self.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            if self.finite.is_multiple_of(self.stride) {
                self.points.push((place, value));
            }
        }
        self.finite += 1;
    }

    /// Finite values spread evenly over the series, by step, oldest first.
    pub fn points(&self) -> &[(u64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_of_any_length_keeps_evenly_spread_points_and_its_exact_ends() {
        let mut series = Series::new(Some(0), 0.0);
        for step in 1..100_000_u32 {
            series.push(Some(step.into()), f64::from(step));
        }
        let gaps: Vec<u64> = series.points().windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!((POINTS / 2..=POINTS).contains(&series.points().len()), "{}", series.points().len());
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "{gaps:?}");
        assert_eq!((series.count, series.first, series.last), (100_000, 0.0, 99_999.0));
        assert_eq!((series.min, series.max), (0.0, 99_999.0));
    }

    #[test]
    fn values_that_are_no_numbers_are_counted_and_do_not_spoil_the_extremes() {
        let mut series = Series::new(Some(0), f64::NAN);
        series.push(Some(1), 2.0);
        series.push(Some(2), f64::INFINITY);
        assert_eq!((series.count, series.non_finite, series.min, series.max), (3, 2, 2.0, 2.0));
        assert!(series.first.is_nan() && series.last.is_infinite());
        assert_eq!(series.points(), [(1, 2.0)]);
    }
}
