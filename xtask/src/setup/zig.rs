//! What builds programs for older systems than this one: zig, and the cargo command that links by it.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::network::Network;
use super::summary::Row;
use super::venv::Venv;

const VENV: Venv = Venv { what: "zig", name: "zig", list: ".ci/dist.txt", megabytes: 450 };

/// The folder of the programs, made where it is missing.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<(PathBuf, Row)> {
    VENV.ensure(cache, network)
}
