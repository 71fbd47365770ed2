//! Has a metric become worse? The verdict on this run's value, given the values of the nights before.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`direction`] | which way is worse? |
//! | [`rule`] | is this run worse than the nights before? |
//! | [`change`] | when did a series change its level? |
//! | [`standing`] | does a case fail, or is it flaky? |
//! | [`answers`] | are the answers the same as before? |
//! | [`pairs`] | how does one version compare with another, measured in turn? |
//!
//! All of it is a function from values to values. `cargo xtask bench regression` measures what the rule finds and how often
//! it cries for nothing.

pub mod answers;
pub mod change;
pub mod direction;
pub mod pairs;
pub mod rule;
pub mod standing;

pub use change::{Change, changes};
pub use direction::Direction;
pub use pairs::Ratio;
pub use rule::{Against, Band, Rule, Verdict};
pub use standing::Standing;
