//! Pythons with the versions of pytest that the plugin is tested with: the oldest and the newest, each beside the
//! pytest-xdist of its time.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::network::Network;
use super::summary::Row;
use super::venv::Venv;

/// The environments, and the variable that tells the tests where each one's Python is.
const ALL: [(&str, Venv); 2] = [
    (
        "GPU_HARNESS_PYTEST_7",
        Venv { what: "pytest 7", name: "pytest-7", list: "python/tests/pytest-7.txt", megabytes: 25 },
    ),
    (
        "GPU_HARNESS_PYTEST_9",
        Venv { what: "pytest 9", name: "pytest-9", list: "python/tests/pytest-9.txt", megabytes: 30 },
    ),
];

/// A variable, and the Python that it names.
pub(crate) type Named = (&'static str, PathBuf);

/// The Pythons, made where they are missing.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<Vec<(Named, Row)>> {
    let made = ALL.iter().map(|(variable, venv)| {
        let (programs, row) = venv.ensure(cache, network)?;
        Ok(((*variable, programs.join("python")), row))
    });
    made.collect()
}
