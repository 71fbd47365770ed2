//! How a node is made ready: what its cases need is put there before the first of them.

use serde::{Deserialize, Serialize};

/// Something is being put there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentProgress {
    /// What, e.g. `libtorch 2.11.0+cpu`.
    pub what: String,
    /// Bytes that have come.
    pub bytes: u64,
    /// Bytes that there are in all; 0 where that is not known yet.
    pub total: u64,
    /// Bytes a second, of what came now and was not there before.
    pub rate: u64,
}

/// It is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentReady {
    /// What.
    pub what: String,
    /// Where it lies.
    pub place: String,
    /// Bytes that came for it.
    pub bytes: u64,
    /// How long that took.
    pub seconds: f64,
}

/// It could not be put there: the cases that need it end as errored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentFailed {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
    /// After how long.
    pub seconds: f64,
}

impl EnvironmentProgress {
    /// Seconds until all is there, at this rate.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.checked_sub(self.bytes)? as f64 / self.rate as f64;
        (self.total > 0 && left.is_finite()).then_some(left)
    }
}
