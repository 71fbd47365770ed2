//! Nodes from EC2: how one is chosen, asked for, reached, paid for and, always, given back.

pub mod kept;
pub mod life;
pub mod settings;

pub use settings::{Ec2Settings, Ec2SettingsError, ImageChoice, Market, Usd};
