//! Is the node's clock right? The kernel knows whether something keeps it so, and by how much it may be off.

use jiff::Timestamp;
use serde::Serialize;

/// The kernel's word on its clock.
#[derive(Debug, Serialize)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    /// Whether something (NTP, PTP) keeps the clock right; `None` where the kernel does not tell.
    pub(super) synchronised: Option<bool>,
    /// By how much it may be off at most, by the kernel's estimate.
    pub(super) max_error_ms: Option<f64>,
}

impl Clock {
    pub(super) fn look() -> Self {
        let state = state();
        Self {
            now: Timestamp::now(),
            synchronised: state.as_ref().map(|state| state.status & libc::STA_UNSYNC == 0),
            max_error_ms: state.map(|state| state.maxerror as f64 / 1e3),
        }
    }
}

fn state() -> Option<libc::timex> {
    // SAFETY: `timex` is plain numbers, for which zero is a value; with `modes` zero nothing is set.
    unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut state) >= 0).then_some(state)
    }
}
