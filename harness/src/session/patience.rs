//! How long a node is tried again whose connections break: for as long as something gets on.

use std::time::Duration;

use tokio::time::Instant;

/// The pause before the second try; each following one is twice as long.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// A few tries are always allowed: one may take longer than the whole time.
const FEWEST: u32 = 5;

/// Troubles since something last got on.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
    tries: u32,
}

impl Patience {
    /// Something got on: what was before is forgotten.
    pub(crate) fn renew(&mut self) {
        *self = Self::default();
    }

    /// One more trouble. Returns how long to wait before the next try.
    pub(crate) fn trouble(&mut self, now: Instant) -> Duration {
        self.since.get_or_insert(now);
        let pause = match self.tries {
            0 => Duration::ZERO,
            tries => SHORTEST.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST),
        };
        self.tries += 1;
        pause
    }

    /// Whether it is enough: nothing got on for so long, in spite of several tries.
    pub(crate) fn is_over(&self, limit: Duration, now: Instant) -> bool {
        self.tries >= FEWEST && self.lasted(now) >= limit
    }

    /// How long nothing has got on.
    pub(crate) fn lasted(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// How often it was tried meanwhile.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_there_is_an_end() {
        let mut patience = Patience::default();
        let (limit, mut now, mut pauses) = (Duration::from_secs(120), Instant::now(), Vec::new());
        while !patience.is_over(limit, now) {
            let pause = patience.trouble(now);
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses[..9], [0, 50, 100, 200, 400, 800, 1600, 3200, 5000]);
        assert!(pauses.len() < 40, "{}", pauses.len());
    }

    #[test]
    fn a_few_tries_are_allowed_however_long_each_takes_and_progress_forgives_all() {
        let (mut patience, mut now) = (Patience::default(), Instant::now());
        for _ in 0..4 {
            patience.trouble(now);
            now += Duration::from_secs(600);
            assert!(!patience.is_over(Duration::from_secs(10), now));
        }
        patience.trouble(now);
        assert!(patience.is_over(Duration::from_secs(10), now));
        patience.renew();
        assert!(!patience.is_over(Duration::from_secs(10), now));
        assert_eq!(patience.trouble(now), Duration::ZERO);
    }
}
