//! The hardships that a run must withstand, at their full counts. Those of running
//! programs are in `tests/soak.rs`, which lists them.

use std::process::ExitCode;

use anyhow::Result;

use crate::{dist, fuzz, rig};

/// Runs `name` at its full count.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    match name {
        "dist" => dist::proof::run(arguments),
        "fuzz" => fuzz::run(arguments),
        _ => rig::run_as_tested("soak", name, arguments, &[]),
    }
}
