//! A Python environment with what the test EC2 (moto) and the readers of Parquet files import.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::network::Network;
use super::programs;
use super::summary::Row;
use super::venv::Venv;

const VENV: Venv =
    Venv { what: "test EC2", name: "ec2-python", list: "fixtures/ec2/requirements.txt", megabytes: 600 };

/// The environment's Python, made where it is missing; `None` where there is no root, without which nothing needs it.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<(Option<PathBuf>, Row)> {
    if !programs::can_be_root() {
        let why = "left out: its hosts need root, or a sudo that asks no password";
        return Ok((None, Row::present(VENV.what, why.to_owned())));
    }
    let (programs, row) = VENV.ensure(cache, network)?;
    Ok((Some(programs.join("python")), row))
}
