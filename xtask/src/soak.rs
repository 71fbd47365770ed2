//! The hardships that a run must withstand, at their full counts: one entry of [`SOAKS`] each.

use std::process::ExitCode;

use anyhow::Result;

use crate::Entry;

/// What `cargo xtask soak NAME` can run.
const SOAKS: &[Entry] = &[];

/// Runs `name` at its full count.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    crate::dispatch("soak", SOAKS, name, arguments)
}
