//! The figures of docs/benchmarks.md. Those about whole programs are in `tests/bench/`, which lists them.

use std::process::ExitCode;

use anyhow::Result;

use crate::{pipeline, python, rig, setup, step};

/// Measures `name`.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    match name {
        "pipeline" => pipeline::run(arguments),
        "step" => step::run(arguments),
        "regression" => {
            let python = python::find(&setup::cache_folder()?, &python::OTAVA)?;
            rig::run_as_tested("bench", name, arguments, &[(python::OTAVA.variable(), &python)])
        }
        "verdicts" => rig::run_as_tested("bench", name, arguments, &[]),
        _ => rig::run(name, arguments),
    }
}
