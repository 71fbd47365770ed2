//! The tags that everything made for a run carries from the call that makes it: whose it is, and when it ends.
//!
//! They are set in the creating calls and nowhere else, so there is no moment at which a thing exists without them. A
//! network interface has none: the role by which a fleet launches may not tag one. It goes with its instance.

/// The run. What carries it is ours.
pub const RUN: &str = "gpu-harness:run";
pub const NODE: &str = "gpu-harness:node";
/// The launch: the client token of the call that asked for the fleet. What carries it came of that one call, also where
/// its answer was lost.
pub const LAUNCH: &str = "gpu-harness:launch";
pub const OWNER: &str = "gpu-harness:owner";
pub const PIPELINE: &str = "gpu-harness:pipeline";
/// When it ends, by the cloud's clock: RFC 3339 in UTC.
pub const EXPIRES_AT: &str = "gpu-harness:expires-at";
