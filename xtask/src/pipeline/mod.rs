//! `cargo xtask bench pipeline`: images on S3 to Parquet on S3 by gpu-worker, a PyTorch `DataLoader` and Ray Data, in turn
//! on one machine, with the same server, images, TorchScript ResNet-18 and resizing; then decoding and memory alone.

mod alone;
mod rates;
mod rig;
mod sets;

use std::process::ExitCode;

use anyhow::{Context, Result};

use self::rig::Rig;
use self::sets::{FRAMES, SMALL, TILES};

/// Formats of numbers that the model is run in.
const DTYPES: [&str; 2] = ["fp32", "bf16"];

/// Measures `[IMAGES=2000] [DTYPE=fp32]` and prints the tables of docs/benchmarks.md.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let images = arguments.first().map_or(Ok(TILES.count), |text| text.parse());
    let images: usize = images.context("IMAGES is a number")?;
    let dtype = arguments.get(1).map_or(DTYPES[0], String::as_str);
    let dtype = DTYPES.into_iter().find(|known| *known == dtype).context("DTYPE is fp32 or bf16")?;
    let rig = Rig::start(dtype)?;
    println!("{}; {dtype}\n", rig.versions()?);
    for set in [TILES, SMALL, FRAMES] {
        let set = set.scaled(images, TILES.count);
        rates::compare(&rig, &set)?;
    }
    alone::decoding(&rig, &TILES)?;
    alone::memory(&rig, images)?;
    Ok(ExitCode::SUCCESS)
}
