//! EC2: what calls AWS, or knows its words.

pub mod advice;
pub mod ask;
pub mod candidates;
pub mod capped;
pub mod cloud;
mod cloud_error;
pub mod doctor;
pub mod doubts;
pub mod fleet;
pub mod ingress;
pub mod inventory;
pub mod look_up;
pub mod prices;
pub mod quota;
pub mod refusal;
pub mod sm;
mod template;
mod young;

use super::{Ec2Settings, ImageChoice, Market, Purchase, Usd};
