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

    /// In a time namespace whose machine has slept for a day: of its clocks, only the one that goes on meanwhile is ahead.
    #[test]
    fn a_moment_comes_also_where_the_machine_sleeps() {
        const SLEPT: u64 = 24 * 3600;
        const INSIDE: &str = "GPU_HARNESS_TEST_HAS_SLEPT";
        if crate::here::Env::of_process().get(INSIDE).is_some() {
            let awake = clock_gettime(ClockId::Monotonic).tv_sec.unsigned_abs();
            assert!(Moment::now().0 >= Duration::from_secs(awake + SLEPT));
            return;
        }
        let namespace = || {
            let mut unshare = std::process::Command::new("unshare");
            unshare.args(["--user", "--map-root-user", "--fork", "--time", "--boottime", &SLEPT.to_string()]);
            unshare
        };
        let allowed = namespace().arg("true").status();
        assert!(
            allowed.is_ok_and(|status| status.success()),
            "this test has a clock of its own: allow user namespaces, on Linux 5.6 or newer"
        );
        let name = "session::moment::tests::a_moment_comes_also_where_the_machine_sleeps";
        let mut inside = namespace();
        inside.arg(std::env::current_exe().unwrap()).args(["--exact", name]).env(INSIDE, "1");
        let told = inside.output().unwrap();
        let said = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && said.contains("1 passed"), "{said}");
    }
}
