//! The kinds of things that are made in EC2, and when each has to go.

use gpu_suites::event::ResourceKind;

use crate::cloud::kind::{Goes, Kind};

pub const FLEET: ResourceKind = ResourceKind::of("fleet");
pub const SPOT_REQUEST: ResourceKind = ResourceKind::of("spot-request");
pub const LAUNCH_TEMPLATE: ResourceKind = ResourceKind::of("launch-template");
pub const SECURITY_GROUP: ResourceKind = ResourceKind::of("security-group");

/// In the order in which a reaper ends them.
pub(super) const ALL: [Kind; 6] = [
    Kind { resource: FLEET, goes: Goes::First },
    Kind { resource: SPOT_REQUEST, goes: Goes::Last },
    Kind { resource: ResourceKind::INSTANCE, goes: Goes::Itself },
    Kind { resource: ResourceKind::VOLUME, goes: Goes::Last },
    // It may hold the instance's keys.
    Kind { resource: LAUNCH_TEMPLATE, goes: Goes::OnceLaunched },
    Kind { resource: SECURITY_GROUP, goes: Goes::Unused },
];
