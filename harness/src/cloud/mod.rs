//! Nodes from a cloud: how one is chosen, asked for, reached, paid for and, always, given back.

mod access;
pub mod boot;
pub mod breaker;
pub mod calls;
pub mod clock;
pub mod consistency;
#[cfg(feature = "ec2")]
pub mod ec2;
pub mod error;
pub mod hand_on;
pub mod kept;
pub mod keys;
pub mod kind;
pub mod labels;
mod last_resort;
mod lease;
pub mod ledger;
pub mod life;
pub mod limits;
pub mod live_nodes;
pub mod meter;
pub mod node_options;
pub mod observe;
pub mod provider;
pub mod providers;
pub mod provision;
pub mod provisioned;
pub mod purchase;
pub mod reap;
pub mod reap_actions;
pub mod release;
pub mod reuse;
pub mod search;
pub mod stale_keys;
pub mod tagged;
pub mod tags;
pub mod user_data;
pub mod waiting;
pub mod who;

pub use crate::config::cloud::{CloudNode, CloudSettings, Market, Usd};
pub use purchase::Purchase;
