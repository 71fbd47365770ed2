//! Nodes from EC2: how one is chosen, asked for, reached, paid for and, always, given back.

#[cfg(feature = "ec2")]
mod access;
pub mod advice;
#[cfg(feature = "ec2")]
pub mod ask;
#[cfg(feature = "ec2")]
pub mod asked;
#[cfg(feature = "ec2")]
pub mod boot;
pub mod breaker;
#[cfg(feature = "ec2")]
pub mod calls;
pub mod candidates;
pub mod capped;
#[cfg(feature = "ec2")]
pub mod clock;
#[cfg(feature = "ec2")]
pub mod cloud;
#[cfg(feature = "ec2")]
mod cloud_error;
pub mod consistency;
pub mod deeds;
#[cfg(feature = "ec2")]
pub mod doctor;
#[cfg(feature = "ec2")]
mod doubts;
#[cfg(feature = "ec2")]
pub mod fleet;
pub mod found;
#[cfg(feature = "ec2")]
pub mod had;
#[cfg(feature = "ec2")]
pub mod hand_on;
#[cfg(feature = "ec2")]
pub mod hold;
#[cfg(feature = "ec2")]
pub mod ingress;
#[cfg(feature = "ec2")]
pub mod inventory;
pub mod kept;
pub mod keys;
#[cfg(feature = "ec2")]
pub mod labels;
#[cfg(feature = "ec2")]
mod last_resort;
#[cfg(feature = "ec2")]
mod lease;
#[cfg(feature = "ec2")]
pub mod ledger;
pub mod life;
pub mod limits;
#[cfg(feature = "ec2")]
pub mod living;
#[cfg(feature = "ec2")]
pub mod look_up;
pub mod meter;
#[cfg(feature = "ec2")]
pub mod observe;
pub mod prices;
#[cfg(feature = "ec2")]
pub mod provision;
pub mod purchase;
pub mod quota;
#[cfg(feature = "ec2")]
pub mod reap;
pub mod refusal;
pub mod regions;
#[cfg(feature = "ec2")]
pub mod release;
pub mod reuse;
#[cfg(feature = "ec2")]
pub mod search;
pub mod sm;
#[cfg(feature = "ec2")]
pub mod stale_keys;
pub mod tags;
#[cfg(feature = "ec2")]
mod template;
pub mod user_data;
pub mod waiting;
pub mod who;
#[cfg(feature = "ec2")]
mod young;

pub use crate::config::ec2::{Ec2Settings, Ec2SettingsError, ImageChoice, Market, Usd};
pub use purchase::Purchase;
