//! Files on this machine: those that travel to a node, those that come back, and where they lie.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`binaries`] | where are the programs that a node runs? |
//! | [`cache`] | where is what outlives a run kept? |
//! | [`content`] | what is a file, told by its bytes? |
//! | [`tree`], [`commit`] | what of a user's repository travels, and at which commit is it? |
//! | [`inputs`] | which files does a case read? |
//! | [`archive`], [`artifacts`] | how are files packed and unpacked? |
//! | [`announced`] | what did a node say that it will deliver? |
//! | [`results`], [`run_dir`] | where do a run's results lie, and how are they written whole? |

pub(crate) mod announced;
pub(crate) mod archive;
pub(crate) mod artifacts;
pub mod binaries;
pub mod cache;
pub mod commit;
pub mod content;
pub mod inputs;
pub mod results;
pub mod run_dir;
pub mod tree;
