//! What CI files and shell scripts are checked with: actionlint, check-jsonschema and ShellCheck.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::network::Network;
use super::summary::Row;
use super::venv::Venv;

const VENV: Venv = Venv { what: "validators", name: "validators", list: ".ci/validators.txt", megabytes: 66 };

/// The folder of the programs, made where it is missing.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<(PathBuf, Row)> {
    VENV.ensure(cache, network)
}
