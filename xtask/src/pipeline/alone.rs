//! Single stages: decoding on one core, and the memory of a run as it gets longer.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use super::rates::median;
use super::rig::{self, Rig, figure};
use super::sets::{self, SMALL, Set};

const PAIRS: usize = 3;
/// Images of each run; those that there are are linked again and again.
const COUNTS: [usize; 3] = [2_000, 10_000, 50_000];
const MIB: f64 = (1 << 20) as f64;

/// Decoding and resizing in one thread, against Pillow and torchvision.
pub(super) fn decoding(rig: &Rig, set: &Set) -> Result<()> {
    let folder = rig.images().join(set.name).display().to_string();
    println!("Decode and resize to 224 px in one thread: {}\n", set.about);
    println!("| pair | Pillow | torchvision | gpu-worker | against Pillow | against torchvision |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    for pair in 1..=PAIRS {
        let theirs = rig.python("dataloader.py", &["decode", &folder])?;
        let ours = rig.worker(&set.part_name(), rig::LEAVES, &json!({ "decoders": 1 }))?;
        let (pillow, torchvision) = (figure(&theirs, "pillow")?, figure(&theirs, "torchvision")?);
        let ours = figure(&ours, "decode/ceiling_per_second")?;
        println!(
            "| {pair} | {pillow:.0}/s | {torchvision:.0}/s | {ours:.0}/s | {:.2}× | {:.2}× |",
            ours / pillow,
            ours / torchvision
        );
        ratios.push((ours / pillow, ours / torchvision));
    }
    let (pillow, torchvision) = ratios.into_iter().unzip();
    println!(
        "| median | | | | {:.2}× | {:.2}× |\n",
        median(pillow).unwrap_or_default(),
        median(torchvision).unwrap_or_default()
    );
    Ok(())
}

/// Memory of gpu-worker, on more and more of the small images.
pub(super) fn memory(rig: &Rig, images: usize) -> Result<()> {
    println!("Memory of the whole process: {}, a small model at 224 px\n", SMALL.about);
    println!("| images | median | peak | last third against the first | images a second |");
    println!("| --- | --- | --- | --- | --- |");
    let small = rig.images().join(SMALL.name);
    for count in COUNTS {
        let name = format!("images-{count}");
        let folder = rig.images().join(&name);
        let _ = fs::remove_dir_all(&folder);
        for first in (0..count).step_by(images) {
            sets::link(&small, &folder.join(first.to_string()), images.min(count - first))?;
        }
        let ours = rig.worker(&name, rig::LEAVES, &json!({ "calibrate": "0s" }))?;
        let (peak, rate) = (figure(&ours, "memory_peak_bytes")?, figure(&ours, "images_per_second")?);
        let rows = figure(&ours, "rows/written").context("a run counts its rows")?;
        let median = figure(&ours, "memory_median_bytes")?;
        let growth =
            figure(&ours, "memory_growth").map_or_else(|_| "-".into(), |times| format!("{times:.2}×"));
        println!("| {rows} | {:.0} MiB | {:.0} MiB | {growth} | {rate:.0} |", median / MIB, peak / MIB);
    }
    println!();
    Ok(())
}
