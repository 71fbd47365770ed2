//! Tables as Parquet files (parquet.apache.org/docs/file-format), written and read whole.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`schema`] | which columns does a table have? |
//! | [`writer`] | how do rows become a file? |
//! | [`reader`] | which rows are in a file that [`writer`] wrote? |
//! | `chunk` | how do the values of one column lie in a page? |
//! | `levels` | where are nulls and lists, in numbers? |
//! | `thrift` | how are the headers and the footer written? |
//!
//! The part of the format that a table of predictions needs, and no more: text, numbers, lists of numbers; plain
//! values in pages of version 1, zstd, with a checksum for each page. Every reader of Parquet knows all of it.
#![warn(missing_docs)]

mod chunk;
mod levels;
pub mod reader;
pub mod schema;
mod thrift;
pub mod writer;

pub use reader::{ReadError, Table, read};
pub use schema::{Cell, Column, Kind};
pub use writer::{TableWriter, WriteError};
