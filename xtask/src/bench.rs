//! The figures of docs/benchmarks.md, each measured by one entry of [`BENCHES`].

use std::process::ExitCode;

use anyhow::Result;

use crate::Entry;

/// What `cargo xtask bench NAME` can measure.
const BENCHES: &[Entry] = &[];

/// Measures `name`.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    crate::dispatch("bench", BENCHES, name, arguments)
}
