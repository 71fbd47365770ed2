//! The time of an overfit step in gpu-worker against Python's eager torch: the same U-Net, machine and threads, in turn.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{cargo, python, setup};

const PAIRS: usize = 5;
const SIZE: u32 = 160;
const WIDTH: u32 = 16;

/// Measures pairs of runs of `[STEPS=40]` steps and prints the figures.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let steps = arguments.first().map_or(Ok(40_u32), |text| text.parse()).context("STEPS is a number")?;
    let ready = setup::ensure(setup::Needs::Demo)?;
    let build = ["build", "--package=gpu-worker"];
    cargo::run(cargo::cargo(&ready.libtorch).args(build))?;
    let python = python::find(&ready.cache, &python::TORCH)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = ready.cache.join("bench-step");
    prepare(&folder, &ready.cache, threads)?;
    let mut ours = Command::new(cargo::program_folder(cargo::Profile::Dev)?.join("gpu-worker"));
    ours.args(["--bench-steps", &steps.to_string(), "case.json"]).current_dir(&folder);
    ours.envs(cargo::torch_environment(&ready.libtorch));
    let mut theirs = Command::new(python);
    theirs.arg(cargo::root().join("bench/overfit_step.py")).args(["--image", "cache/image.png"]);
    theirs.args(["--boxes", "cache/boxes.csv", "--size", &SIZE.to_string(), "--width", &WIDTH.to_string()]);
    theirs.args(["--steps", &steps.to_string(), "--threads", &threads.to_string()]).current_dir(&folder);
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push((median_step(&mut theirs)?, median_step(&mut ours)?));
    }
    let mut ratios: Vec<f64> = pairs.iter().map(|(theirs, ours)| ours / theirs).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "U-Net of width {WIDTH} at {SIZE} px, {threads} threads, medians of {steps} steps, {PAIRS} pairs in turn\n"
    );
    println!("| pair | Python's eager torch | gpu-worker | ratio |\n| --- | --- | --- | --- |");
    for (number, (theirs, ours)) in pairs.iter().enumerate() {
        println!(
            "| {} | {:.1} ms | {:.1} ms | {:.2}× |",
            number + 1,
            theirs * 1e3,
            ours * 1e3,
            ours / theirs
        );
    }
    println!("| median | | | {:.2}× |\n", ratios[PAIRS / 2]);
    Ok(ExitCode::SUCCESS)
}

/// A case as the agent would lay it out.
fn prepare(folder: &Path, cache: &Path, threads: usize) -> Result<()> {
    fs::create_dir_all(folder.join("cache"))?;
    for name in ["image.png", "boxes.csv"] {
        fs::copy(cache.join("data/tiles/osbs-029").join(name), folder.join("cache").join(name))
            .with_context(|| format!("failed to copy {name} of the tile"))?;
    }
    let data =
        json!({ "image": "cache:image.png", "boxes": "cache:boxes.csv", "task": "segment", "size": SIZE });
    let train =
        json!({ "model": { "builtin": "unet", "width": WIDTH }, "data": data, "learning-rate": 0.01 });
    let spec = json!({ "name": "step", "train": train, "limits": { "threads": threads } });
    fs::write(folder.join("case.json"), json!({ "id": "bench::step", "spec": spec }).to_string())?;
    Ok(())
}

fn median_step(command: &mut Command) -> Result<f64> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures: Option<Value> = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    match figures.as_ref().and_then(|figures| figures["seconds_per_step"]["median"].as_f64()) {
        Some(seconds) if output.status.success() => Ok(seconds),
        _ => bail!("{command:?} gave no figure: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
