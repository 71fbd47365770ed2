//! Tables as Parquet files, written and read whole: rows of cells on one side, the crates parquet and arrow on the other.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`schema`] | which columns does a table have, and what is in a cell? |
//! | `build` | how do cells become a column of arrow's? |
//! | [`writer`] | how do rows become a file? |
//! | [`reader`] | which rows are in a file? |
#![warn(missing_docs)]

mod build;
pub mod reader;
pub mod schema;
pub mod writer;

pub use reader::{ReadError, Table, read};
pub use schema::{Cell, Column, Kind};
pub use writer::{TableWriter, WriteError};
