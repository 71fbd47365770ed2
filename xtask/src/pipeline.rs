//! The pipeline in gpu-worker against PyTorch's own way: the same images, TorchScript ResNet-18 and machine, in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{cargo, python, setup};

const PAIRS: usize = 3;
/// Images of a run; `memory` also runs on 5 and 25 times as many.
const IMAGES: usize = 2000;
const MORE: [usize; 3] = [1, 5, 25];
const MIB: f64 = (1 << 20) as f64;

/// What the runs need.
struct Rig {
    folder: PathBuf,
    worker: PathBuf,
    libtorch: Vec<(&'static str, std::ffi::OsString)>,
    python: PathBuf,
}

/// Measures `[IMAGES=2000]` and prints the figures.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let images = arguments.first().map_or(Ok(IMAGES), |text| text.parse()).context("IMAGES is a number")?;
    let ready = setup::ensure(setup::Needs::Demo)?;
    let build = ["build", "--package=gpu-agent", "--features=torch", "--bin=gpu-worker"];
    cargo::run(cargo::cargo(&ready.libtorch).args(build))?;
    let folder = ready.cache.join("bench-pipeline");
    fs::create_dir_all(folder.join("cache"))?;
    fs::copy(ready.cache.join("tiles/osbs-029/image.png"), folder.join("cache/image.png"))
        .context("failed to copy the tile")?;
    let rig = Rig {
        folder,
        worker: cargo::program_folder()?.join("gpu-worker"),
        libtorch: cargo::torch_environment(&ready.libtorch).into_iter().collect(),
        python: python::find(&ready.cache, &python::TORCH)?,
    };
    rig.python(&["model", "resnet18.pt"])?;
    let cut = json!({ "cut": { "image": "cache:image.png", "count": images } });
    rig.worker("cut", &json!({ "images": cut, "size": 32, "calibrate": "0s" }), SMALL)?;
    rates(&rig)?;
    decoding(&rig)?;
    memory(&rig, images)?;
    Ok(ExitCode::SUCCESS)
}

/// A model that takes no time: the other stages are what is measured.
const SMALL: &str = "leaves.pt";
const LARGE: &str = "resnet18.pt";

fn rates(rig: &Rig) -> Result<()> {
    println!(
        "TorchScript ResNet-18 at 224 px, fp32, batch 32, the images of a folder, {PAIRS} pairs in turn\n"
    );
    println!("| pair | DataLoader | pipeline | ratio | lowest ceiling | share of it | busy: decode, model |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    let (mut best, mut writer) = (0.0, String::new());
    for pair in 1..=PAIRS {
        let theirs = rig.python(&["run", LARGE, "images", "theirs"])?;
        let ours = rig.worker(&format!("pair-{pair}"), &from(rig, "images"), LARGE)?;
        let (slow, fast) = (figure(&theirs, "images_per_second")?, figure(&ours, "images_per_second")?);
        let binding = ours["binding"].as_str().unwrap_or("?").to_owned();
        println!(
            "| {pair} | {slow:.1}/s | {fast:.1}/s | {:.2}× | {binding}, {:.1}/s | {:.0} % | {:.0} %, {:.0} % |",
            fast / slow,
            figure(&ours, &format!("{binding}/ceiling_per_second"))?,
            figure(&ours, "share_of_ceiling")? * 100.0,
            figure(&ours, "decode/utilisation")? * 100.0,
            figure(&ours, "model/utilisation")? * 100.0,
        );
        ratios.push(fast / slow);
        best = f64::max(best, fast);
        theirs["writer"].as_str().unwrap_or("?").clone_into(&mut writer);
    }
    ratios.sort_by(f64::total_cmp);
    println!("| median | | | {:.2}× | | | |\n", ratios[PAIRS / 2]);
    println!(
        "The DataLoader's rows were written by {writer}. A million images take {:.1} h at the pipeline's best rate:",
        1e6 / best / 3600.0
    );
    println!("that many times the price of an hour.\n");
    Ok(())
}

fn decoding(rig: &Rig) -> Result<()> {
    println!("Decode and resize to 224 px, one thread, {PAIRS} pairs in turn\n");
    println!("| pair | Pillow | pipeline | ratio |\n| --- | --- | --- | --- |");
    for pair in 1..=PAIRS {
        let theirs = figure(&rig.python(&["decode", "images"])?, "images_per_second")?;
        let mut spec = from(rig, "images");
        spec["decoders"] = 1.into();
        let ours =
            figure(&rig.worker(&format!("decode-{pair}"), &spec, SMALL)?, "decode/ceiling_per_second")?;
        println!("| {pair} | {theirs:.0}/s | {ours:.0}/s | {:.2}× |", ours / theirs);
    }
    println!();
    Ok(())
}

fn memory(rig: &Rig, images: usize) -> Result<()> {
    println!("Memory of the whole process at its peak, a small model at 224 px\n");
    println!("| images | peak | images a second |\n| --- | --- | --- |");
    for times in MORE {
        let name = format!("times-{times}");
        let many = rig.folder.join(&name);
        let _ = fs::remove_dir_all(&many);
        for copy in 0..times {
            for entry in walk(&rig.folder.join("images"))? {
                let to = many.join(copy.to_string()).join(entry.strip_prefix(rig.folder.join("images"))?);
                fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
                fs::hard_link(&entry, &to)?;
            }
        }
        let mut spec = from(rig, &name);
        spec["calibrate"] = "0s".into();
        let ours = rig.worker(&format!("memory-{times}"), &spec, SMALL)?;
        let (peak, rate) = (figure(&ours, "memory_peak_bytes")?, figure(&ours, "images_per_second")?);
        println!("| {} | {:.0} MiB | {rate:.0} |", images * times, peak / MIB);
    }
    println!();
    Ok(())
}

fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(walk(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn from(rig: &Rig, folder: &str) -> Value {
    json!({ "images": { "from": format!("file://{}/", rig.folder.join(folder).display()) } })
}

fn figure(figures: &Map<String, Value>, name: &str) -> Result<f64> {
    figures.get(name).and_then(Value::as_f64).with_context(|| format!("no figure {name} among {figures:?}"))
}

impl Rig {
    /// Runs a pipeline with these keys besides those that all have; gives the last value of each metric.
    fn worker(&self, name: &str, more: &Value, model: &str) -> Result<Map<String, Value>> {
        let out = self.folder.join("ours").join(name);
        let _ = fs::remove_dir_all(&out);
        if model == SMALL {
            fs::copy(cargo::root().join("fixtures/pipeline").join(SMALL), self.folder.join(SMALL))?;
        }
        let mut pipeline = json!({
            "model": { "torchscript": model },
            "to": format!("file://{}/", out.display()),
            "output": "classify",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            pipeline[key] = value.clone();
        }
        let case = json!({ "id": "bench::pipeline", "spec": { "name": "pipeline", "device": "cpu", "pipeline": pipeline } });
        fs::write(self.folder.join("case.json"), case.to_string())?;
        let mut command = Command::new(&self.worker);
        command.arg("case.json").current_dir(&self.folder).envs(self.libtorch.iter().cloned());
        let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
        if !output.status.success() {
            bail!("{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
        Ok(lines.flatten().collect())
    }

    fn python(&self, arguments: &[&str]) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.python);
        command.arg(cargo::root().join("bench/dataloader.py")).args(arguments).current_dir(&self.folder);
        let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default())
    }
}
