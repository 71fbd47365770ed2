//! Percentiles of latencies that are said with 99 % confidence, by the early-stopping rule of MLPerf's load generator.
//!
//! With few samples the plain 99th percentile is a matter of luck. The rule asks which order statistic is, with 99 %
//! confidence, not below the true percentile, and gives that one; where even the largest sample is not enough, it gives
//! none. (MLCommons, `inference/loadgen/early_stopping.cc`, with tolerance 0.)

/// The probability that the figure given is not below the true percentile.
const CONFIDENCE: f64 = 0.99;

/// The percentile, or how many samples it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Percentile {
    Is(f64),
    /// At least so many samples.
    Takes(usize),
}

/// The value that a share `p` of all samples do not exceed; `sorted` in rising order.
pub(super) fn percentile(sorted: &[f64], p: f64) -> Percentile {
    match overlong(sorted.len(), p) {
        0 => Percentile::Takes(fewest(p)),
        allowed => Percentile::Is(sorted[sorted.len() - allowed]),
    }
}

/// The largest t so that at most t of n samples above the true percentile would come by luck in 1 % of all cases only;
/// 0 where there is none.
fn overlong(n: usize, p: f64) -> usize {
    // The sum of the binomial distribution's first terms, each from the one before, in logarithms: p^n underflows.
    let (good, bad) = (p.ln(), (1.0 - p).ln());
    let mut term = n as f64 * good;
    let mut sum = term;
    let mut allowed = 0;
    for t in 1..n {
        term += ((n - t + 1) as f64 / t as f64).ln() + bad - good;
        let larger = sum.max(term);
        sum = larger + ((sum - larger).exp() + (term - larger).exp()).ln();
        if sum > (1.0 - CONFIDENCE).ln() {
            break;
        }
        allowed = t;
    }
    allowed
}

/// The fewest samples that tell anything.
fn fewest(p: f64) -> usize {
    let mut n = 2;
    while overlong(n, p) == 0 {
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_samples_are_loadgens() {
        // MLPerf's table of minimum queries: 11, 64 and 662 for the 50th, 90th and 99th percentile.
        assert_eq!([0.5, 0.9, 0.99].map(fewest), [11, 64, 662]);
        assert_eq!(percentile(&[1.0; 661], 0.99), Percentile::Takes(662));
    }

    #[test]
    fn a_percentile_of_few_samples_is_one_of_the_largest_and_of_many_near_the_true_one() {
        let samples = |n: usize| Vec::from_iter((1..=n).map(|i| i as f64));
        assert_eq!(percentile(&samples(64), 0.9), Percentile::Is(64.0));
        let Percentile::Is(value) = percentile(&samples(100_000), 0.9) else { panic!("enough samples") };
        assert!((90_000.0..90_400.0).contains(&value), "{value}");
        let Percentile::Is(median) = percentile(&samples(1_000_000), 0.5) else { panic!("enough samples") };
        assert!((500_000.0..502_000.0).contains(&median), "{median}");
    }
}
