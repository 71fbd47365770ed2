//! How many steps came in each stretch of time, whatever the number of steps: the rate of a case that reports none itself.

const STRETCHES: usize = 256;
/// Seconds of a stretch, to begin with.
const SHORTEST: f64 = 0.25;
/// Steps that a stretch has on the average, where that leaves more than the fewest stretches.
const MANY: u64 = 20;
const FEWEST: usize = 12;

/// Steps by stretches of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    width: f64,
    steps: Vec<u64>,
    last: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { width: SHORTEST, steps: Vec::new(), last: None }
    }
}

impl Pace {
    /// A line of this step came, so many seconds after the beginning.
    pub(super) fn push(&mut self, seconds: f64, step: u64) {
        // Several lines may be about one step.
        if self.last.replace(step) == Some(step) || !(0.0..1e9).contains(&seconds) {
            return;
        }
        while seconds >= self.width * STRETCHES as f64 {
            self.width *= 2.0;
            self.steps = self.steps.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let place = (0..STRETCHES).rev().find(|place| *place as f64 * self.width <= seconds).unwrap_or(0);
        if self.steps.len() <= place {
            self.steps.resize(place + 1, 0);
        }
        self.steps[place] += 1;
    }

    /// Seconds and steps a second in the middle of each stretch that is over. Stretches are so long that each has many steps, as
    /// far as there are: with a few in each the rate would jump by a whole step.
    pub fn rates(&self) -> Vec<(f64, f64)> {
        let over = self.steps.len().saturating_sub(1);
        let all = self.steps[..over].iter().sum::<u64>();
        let mut together = 1;
        while over / together >= 2 * FEWEST && all * (together as u64) < MANY * over as u64 {
            together *= 2;
        }
        let width = self.width * together as f64;
        let whole = self.steps[..over].chunks_exact(together).enumerate();
        whole
            .map(|(place, steps)| ((place as f64 + 0.5) * width, steps.iter().sum::<u64>() as f64 / width))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_is_steady_over_a_second_and_over_a_day() {
        for (steps, each) in [(100_u64, 0.01), (1_000_000, 0.09)] {
            let mut pace = Pace::default();
            (0..steps).for_each(|step| pace.push(step as f64 * each, step));
            let rates = pace.rates();
            assert!((3..=STRETCHES).contains(&rates.len()), "{}", rates.len());
            for (_, rate) in rates {
                assert!((rate * each - 1.0).abs() < 0.13, "{rate} steps a second of {each} s each");
            }
        }
    }

    #[test]
    fn a_pause_shows_and_a_step_counts_once() {
        let mut pace = Pace::default();
        for (seconds, step) in [(0.0, 1), (0.1, 1), (0.2, 2), (1.1, 3), (1.3, 4)] {
            pace.push(seconds, step);
        }
        assert_eq!(pace.rates().iter().map(|(_, rate)| *rate).collect::<Vec<_>>(), [8.0, 0.0, 0.0, 0.0, 4.0]);
    }
}
