//! The cache folder, as the harness uses it.

pub use gpu_suites::cache::{VARIABLE, folder};

/// Where in it the files lie that suites name by `cache:`. Beside it lie keys of nodes, which nobody may name.
pub const DATA: &str = "data";
