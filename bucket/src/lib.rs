//! An S3 server on this machine: buckets are folders, objects are files, and nobody else can ask it.
//!
//! A run that has no bucket gets one here, so that its images and shards go the way that they go in production. The
//! API, its signatures and its documents are the crate s3s's. What lies behind them is this project's own folder of
//! objects: s3s-fs, which comes with s3s, lists without etags, walks through the whole bucket for each page of a
//! listing, and keeps two files beside each object.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`server`] | who listens, on which port, and until when? |
//! | `objects` | what does each call of the API do to the files? |
//! | `listing` | which objects are on a page of a listing? |
//! | `upload` | where are the parts of an object that comes in parts? |
#![warn(missing_docs)]

mod listing;
mod objects;
pub mod server;
mod upload;

pub use server::{Server, ServerError};
