//! Objects by key, wherever they are: a folder, this process's memory, or any S3.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`location`] | which store does a text such as `s3://bucket/prefix/` name? |
//! | [`store`] | what can be done with one? |
//! | `folder`, `memory`, `s3` | how does each kind do it? |
//! | `unfinished` | how is a file written so that it appears whole, and what becomes of what killed writers left? |
//! | [`error`] | what went wrong with which object, and is it worth another try? |
//!
//! Calls block: whoever wants many at once has as many threads. An object appears whole or not at all.
#![warn(missing_docs)]

pub mod error;
mod folder;
pub mod location;
mod memory;
mod retry;
#[cfg(feature = "s3")]
mod s3;
mod settings;
pub mod store;
mod unfinished;

pub use error::{Fault, StoreError};
pub use folder::Folder;
pub use location::{Location, open};
pub use memory::Memory;
pub use retry::Patience;
#[cfg(feature = "s3")]
pub use s3::S3;
pub use settings::{Keys, S3Settings};
pub use store::{Object, Store};
