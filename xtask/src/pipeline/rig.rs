//! What the programs that are compared run with: the S3 server, the model, and the programs themselves.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{cargo, python, setup};

/// ResNet-18 with random weights, made by bench/resnet18.py.
const LARGE: &str = "resnet18.pt";
/// A classifier of two convolutions.
const SMALL: &str = "leaves.pt";

/// What all programs run, and in which format of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    /// As `cargo xtask bench pipeline` takes it.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) file: &'static str,
    pub(super) dtype: &'static str,
}

pub(super) const RESNET18: Model =
    Model { name: "resnet18", about: "ResNet-18 in fp32", file: LARGE, dtype: "fp32" };
pub(super) const RESNET18_BF16: Model =
    Model { name: "resnet18-bf16", about: "ResNet-18 in bf16", file: LARGE, dtype: "bf16" };
/// It takes next to no time: the rest is what is measured, as in front of a GPU that is never the wall.
pub(super) const LEAVES: Model =
    Model { name: "leaves", about: "a model of two convolutions in fp32", file: SMALL, dtype: "fp32" };

/// Lines with which the server says how it is reached.
const SAID: usize = 4;
const IMAGES: &str = "images";
const SHARDS: &str = "shards";

pub(super) struct Rig {
    folder: PathBuf,
    worker: PathBuf,
    python: PathBuf,
    pub(super) tile: PathBuf,
    libtorch: Vec<(&'static str, OsString)>,
    /// How a client reaches the server.
    s3: Vec<(String, String)>,
    server: Child,
}

impl Rig {
    pub(super) fn start() -> Result<Self> {
        let ready = setup::ensure(setup::Needs::Demo)?;
        let build = ["build", "--release", "--package=gpu-worker"];
        cargo::run(cargo::cargo(&ready.libtorch).args(build))?;
        let python = python::find(&ready.cache, &python::TORCH)?;
        let folder = ready.cache.join("bench-pipeline");
        let _ = fs::remove_dir_all(&folder);
        for bucket in [IMAGES, SHARDS] {
            fs::create_dir_all(folder.join("s3").join(bucket))?;
        }
        fs::copy(cargo::root().join("fixtures/pipeline").join(SMALL), folder.join(SMALL))?;
        let worker = cargo::program_folder(cargo::Profile::Release)?.join("gpu-worker");
        let libtorch = Vec::from(cargo::torch_environment(&ready.libtorch));
        let mut serve = Command::new(&worker);
        serve.arg("serve-s3").arg(folder.join("s3")).envs(libtorch.iter().cloned());
        // It ends when its standard input does, and so with this process.
        let mut server = serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = BufReader::new(server.stdout.take().context("the server has no standard output")?);
        let mut s3 = Vec::new();
        for line in said.lines().take(SAID) {
            let line = line?;
            let (name, value) = line.split_once('=').context("the server says NAME=VALUE")?;
            s3.push((name.to_owned(), value.to_owned()));
        }
        let region =
            s3.iter().find(|(name, _)| name == "AWS_REGION").context("the server names no region")?;
        // boto3 knows the region by another name.
        s3.push(("AWS_DEFAULT_REGION".into(), region.1.clone()));
        let tile = ready.cache.join("data/tiles/osbs-029/image.png");
        let rig = Self { folder, worker, python, tile, libtorch, s3, server };
        rig.python("resnet18.py", &[LARGE])?;
        Ok(rig)
    }

    /// The folder of the bucket with the images.
    pub(super) fn images(&self) -> PathBuf {
        self.folder.join("s3").join(IMAGES)
    }

    /// `BUCKET/PREFIX` of images, as the scripts take it.
    pub(super) fn images_at(prefix: &str) -> String {
        format!("{IMAGES}/{prefix}")
    }

    /// `BUCKET/PREFIX` for shards, with nothing there.
    pub(super) fn shards_at(&self, prefix: &str) -> String {
        let _ = fs::remove_dir_all(self.folder.join("s3").join(SHARDS).join(prefix));
        format!("{SHARDS}/{prefix}")
    }

    /// What the machine and the programs are.
    pub(super) fn versions(&self) -> Result<String> {
        let theirs = self.python("dataloader.py", &["versions"])?;
        let ray = self.python("ray_data.py", &["versions"])?;
        let said = |figures: &Map<String, Value>| figures["versions"].as_str().unwrap_or("?").to_owned();
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map(|(_, name)| name);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Ok(format!("{cores} cores of {}; {}; {}", cpu.unwrap_or("an unknown CPU"), said(&theirs), said(&ray)))
    }

    /// Runs gpu-worker on the images below `prefix`; gives the last value of each metric.
    pub(super) fn worker(&self, prefix: &str, model: Model, more: &Value) -> Result<Map<String, Value>> {
        let mut pipeline = json!({
            "model": { "torchscript": model.file },
            "images": { "from": format!("s3://{}/", Self::images_at(prefix)) },
            "to": format!("s3://{}/", self.shards_at("ours")),
            "output": "classify",
            "dtype": model.dtype,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            pipeline[key] = value.clone();
        }
        let case = json!({ "id": "bench::pipeline", "spec": { "name": "pipeline", "device": "cpu", "pipeline": pipeline } });
        fs::write(self.folder.join("case.json"), case.to_string())?;
        let mut command = Command::new(&self.worker);
        command.arg("case.json").envs(self.libtorch.iter().cloned());
        let lines = self.said(command)?;
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
        let figures: Map<String, Value> = lines.flatten().collect();
        if figure(&figures, "rows/errors")? > 0.0 || figure(&figures, "rows/missing")? > 0.0 {
            bail!("{prefix}: not every image has its row: {figures:?}");
        }
        Ok(figures)
    }

    /// Runs a script of bench/; gives the JSON of its last line.
    pub(super) fn python(&self, script: &str, arguments: &[&str]) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.python);
        command.arg(cargo::root().join("bench").join(script)).args(arguments);
        let said = self.said(command)?;
        Ok(said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default())
    }

    fn said(&self, mut command: Command) -> Result<String> {
        command.current_dir(&self.folder).envs(self.s3.iter().cloned());
        let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            bail!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn figure(figures: &Map<String, Value>, name: &str) -> Result<f64> {
    figures.get(name).and_then(Value::as_f64).with_context(|| format!("no figure {name} among {figures:?}"))
}
