//! EC2: what calls AWS, or knows its words. [`Ec2`] is the provider.

mod advice;
pub mod ask;
pub mod candidates;
pub mod capped;
pub mod cloud;
mod doctor;
mod end;
pub mod error;
pub mod fleet;
mod ingress;
mod inventory;
pub mod kinds;
pub mod left_out;
pub mod look_up;
pub mod observe;
pub mod prices;
mod provider;
mod quota;
pub mod refusal;
mod refused;
mod sm;
mod template;
mod young;

use super::{Purchase, Usd};
pub use crate::config::ec2::{Ec2Config, Ec2Settings, ImageChoice};
pub use provider::Ec2;
