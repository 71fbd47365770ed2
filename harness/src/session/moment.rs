//! Moments on a clock that nobody sets and that goes on while the machine sleeps.
//!
//! Limits of time and of money are kept by it: a laptop that is suspended is billed for its node all the same.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often the clock is looked at: timers stand still while the machine sleeps.
const LOOK: Duration = Duration::from_secs(5);

/// A moment, as the time since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    /// So much later than now; a time that no clock holds is never.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Self::now().0.saturating_add(time))
    }

    pub fn left(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    pub async fn come(self) {
        while !self.left().is_zero() {
            tokio::time::sleep(self.left().min(LOOK)).await;
        }
    }

    /// Waits until then; for ever, where there is no such moment.
    pub async fn of(moment: Option<Self>) {
        match moment {
            Some(moment) => moment.come().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_moment_comes_and_one_beyond_all_clocks_does_not() {
        Moment::after(Duration::from_millis(5)).come().await;
        assert!(
            Moment::now().left().is_zero()
                && Moment::after(Duration::MAX).left() > Duration::from_secs(1 << 40)
        );
        let never = tokio::time::timeout(Duration::from_millis(5), Moment::of(None));
        assert!(never.await.is_err());
    }
}
