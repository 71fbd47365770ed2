//! The lease of the machine itself, where it was made for a run: the moment at which it ends unless somebody puts it off.
//!
//! User data arms it with the machine's first breath, and something of the machine's own watches it from then on
//! (`harness/src/cloud/arm.sh`). It is a file that holds seconds of uptime, which no clock that is set moves: whoever wants
//! the machine to live on writes a later one. There is one for the machine, however many runs come and go on it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const FILE: &str = "/run/gpu-harness/lease";
/// Another place, for tests.
const VARIABLE: &str = "GPU_AGENT_NODE_LEASE";

#[derive(Debug, Clone)]
pub(crate) struct NodeLease(PathBuf);

impl NodeLease {
    pub(crate) fn here() -> Self {
        Self(std::env::var_os(VARIABLE).map_or_else(|| FILE.into(), PathBuf::from))
    }

    /// Puts the machine's end off until `ttl` from now, unless it is later already. Where there is no lease, nothing.
    pub(crate) fn renew(&self, ttl: Duration) {
        let Some(until) = self.until() else { return };
        let wanted = uptime().saturating_add(ttl.as_secs().max(1));
        if wanted > until
            && let Ok(file) = File::options().write(true).open(&self.0)
        {
            // As wide as what stands there: a reader finds the old number or the new one.
            let _ = file.write_all_at(format!("{wanted:010}\n").as_bytes(), 0);
        }
    }

    /// Whether somebody wants the machine to live on.
    pub(crate) fn holds(&self) -> bool {
        self.until().is_some_and(|until| uptime() < until)
    }

    /// Seconds of uptime; `None` where there is no lease.
    fn until(&self) -> Option<u64> {
        let mut text = String::new();
        File::open(&self.0).ok()?.take(64).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// Seconds since the machine was started, as `/proc/uptime` tells them.
fn uptime() -> u64 {
    clock_gettime(ClockId::Boottime).tv_sec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_put_off_and_never_brought_forward() {
        let folder = tempfile::tempdir().unwrap();
        let lease = NodeLease(folder.path().join("lease"));
        lease.renew(Duration::from_secs(60));
        assert!(!lease.holds() && !lease.0.exists(), "a machine that is somebody's has none");
        std::fs::write(&lease.0, "0000000001\n").unwrap();
        assert!(!lease.holds());
        lease.renew(Duration::from_secs(3600));
        let kept = std::fs::read_to_string(&lease.0).unwrap();
        assert!(lease.holds() && kept.len() == 11, "{kept:?}");
        lease.renew(Duration::from_secs(60));
        assert_eq!(std::fs::read_to_string(&lease.0).unwrap(), kept);
    }
}
