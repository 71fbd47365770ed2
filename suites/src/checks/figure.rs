//! A figure against its bound. What is not finite holds nowhere: neither NaN, nor an infinity, be it the value or the bound.

use crate::statistics::median;

/// Whether a value is at most its bound.
pub(super) fn at_most(value: f64, bound: f64) -> bool {
    value.is_finite() && bound.is_finite() && value <= bound
}

/// Whether a value is at least its bound.
pub(super) fn at_least(value: f64, bound: f64) -> bool {
    at_most(bound, value)
}

/// The larger one; NaN where one of them is, unlike [`f64::max`], which passes it over.
pub(super) fn larger(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.max(other) }
}

/// The median; NaN where one of the values is not finite.
pub(super) fn middle(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = Vec::from_iter(values);
    median(&values).filter(|_| values.iter().all(|value| value.is_finite())).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_holds_nowhere() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for other in [0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!at_most(odd, other) && !at_most(other, odd), "{odd} {other}");
                assert!(!at_least(odd, other) && !at_least(other, odd), "{odd} {other}");
            }
        }
        assert!(at_most(1.0, 1.0) && at_least(1.0, 1.0) && !at_most(2.0, 1.0) && !at_least(1.0, 2.0));
        assert!(middle([1.0, f64::NAN, 2.0]).is_nan() && middle([]).is_nan());
        assert!(larger(f64::NAN, 1.0).is_nan() && larger(1.0, f64::NAN).is_nan());
    }
}
