//! Is the node's clock right? The kernel knows whether something keeps it so, and by how much it may be off.

use gpu_suites::facts::Clock;
use jiff::Timestamp;

pub(super) fn look() -> Clock {
    let state = state();
    Clock {
        now: Timestamp::now(),
        synchronised: state.as_ref().map(|state| state.status & libc::STA_UNSYNC == 0),
        max_error_ms: state.map(|state| state.maxerror as f64 / 1e3),
    }
}

fn state() -> Option<libc::timex> {
    // SAFETY: `timex` is plain numbers, for which zero is a value; with `modes` zero nothing is set.
    unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut state) >= 0).then_some(state)
    }
}
