//! `cargo xtask bench pipeline`: images on S3 to Parquet on S3 by gpu-worker, a PyTorch `DataLoader` and Ray Data, in turn
//! on one machine, with the same server, images, TorchScript ResNet-18 and resizing; then decoding and memory alone.

mod alone;
mod rates;
mod rig;
mod sets;

use std::process::ExitCode;

use anyhow::{Context, Result};

use self::rig::{Model, Rig};
use self::sets::{FRAMES, SMALL, TILES};

const MODELS: [Model; 3] = [rig::RESNET18, rig::RESNET18_BF16, rig::LEAVES];

/// Measures `[IMAGES=2000] [MODEL=resnet18]` and prints the tables of docs/benchmarks.md.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let images = arguments.first().map_or(Ok(TILES.count), |text| text.parse());
    let images: usize = images.context("IMAGES is a number")?;
    let model = arguments.get(1).map_or(MODELS[0].name, String::as_str);
    let model = MODELS.into_iter().find(|known| known.name == model);
    let model =
        model.with_context(|| format!("MODEL is one of {}", MODELS.map(|known| known.name).join(", ")))?;
    let rig = Rig::start()?;
    println!("{}; {}\n", rig.versions()?, model.about);
    for set in [TILES, SMALL, FRAMES] {
        let set = set.scaled(images, TILES.count);
        rates::compare(&rig, &set, model)?;
    }
    alone::decoding(&rig, &TILES)?;
    alone::memory(&rig, images)?;
    Ok(ExitCode::SUCCESS)
}
