//! An index of packages on this machine, with no more in it than a node without a GPU takes: tests of bare nodes serve it.

use anyhow::{Context, Result};
use gpu_wheels::libtorch::Build;
use gpu_wheels::mirror;

use super::cache::Cache;
use super::network::Network;
use super::summary::Row;

/// Makes the cache hold the index.
pub(super) fn ensure(cache: &Cache, network: &Network) -> Result<Row> {
    let place = cache.index();
    let from = place.display().to_string();
    if mirror::is_there(Build::Cpu, &place) {
        return Ok(Row::present("index", from));
    }
    eprintln!("making {from} (some 125 MB, once)");
    let made = network.wheels().and_then(|source| Ok(mirror::keep(Build::Cpu, &place, &source)?));
    made.context("failed to make the index for tests of bare nodes")?;
    Ok(Row::fresh("index", from))
}
