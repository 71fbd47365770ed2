//! A case: one thing to run in one process of its own, and what must hold of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, CheckName, Checks, InputPath, Pipeline, Throughput};
use crate::gpu::GpuNeed;
use crate::unit::{ByteSize, Span};

/// One case. Exactly one of `train`, `throughput`, `pipeline`, `canary` and `command` says what it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The case's name, `[A-Za-z0-9_.-]+`, unique in its suite.
    pub name: String,
    /// What the case shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Overfits a model on one fixed batch in the built-in worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// Measures how fast a model runs, in the built-in worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// Runs a model over a store of images and writes Parquet shards, in the built-in worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
    /// Measures what the device can do at best, in the built-in worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Runs any program, which writes its metrics to `$GPU_HARNESS_METRICS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// What must hold. A case of the built-in worker runs every check of its kind with its defaults; a `command` case
    /// those named here, besides `exit-status` and `finite`.
    #[serde(default)]
    pub checks: Checks,
    /// Checks that are not to run, each with the reason, which the report shows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skip_checks: BTreeMap<CheckName, String>,
    /// A negative control: the checks that must NOT hold. The case passes when each of them fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_fail: Vec<CheckName>,
    /// Which device to use.
    #[serde(default)]
    pub device: Device,
    /// The GPUs that the case needs: a node that is made for the run gets at least these, and on one that has not these the
    /// case errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuNeed>,
    /// Seed of every random generator of the case.
    #[serde(default)]
    pub seed: u64,
    /// The case is timed out after this long.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// What the case may use.
    #[serde(default)]
    pub limits: Limits,
    /// Leaves the case out, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
}

fn default_timeout() -> Span {
    Span(Duration::from_secs(600))
}

/// Where tensors live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// CUDA where it is usable, else the CPU; the report says which.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA; where it is not usable the case errors, whatever it runs.
    Cuda,
}

/// What a case may use of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Address space of the case's processes (`RLIMIT_AS`); no limit by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Log kept of the case; what goes beyond is counted and dropped. Default 256 MiB.
    pub log: ByteSize,
    /// CPU threads used by the built-in worker; default: the physical cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: None, log: ByteSize(256 << 20), threads: None }
    }
}

/// Overfits a model on one fixed batch: the cheapest proof that training still learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Train {
    /// What is trained.
    pub model: Model,
    /// On what.
    pub data: Data,
    /// Optimizer steps on the one batch.
    #[serde(default = "default_steps")]
    pub steps: NonZeroU32,
    /// Adam's learning rate; it decays to a hundredth of this along a cosine.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// Breaks the training on purpose, for a case with `must-fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// Steps of the second run from the same seed that `deterministic` compares bit by bit.
    #[serde(default = "default_side_steps")]
    pub repeat_steps: NonZeroU32,
    /// Steps after the reload that `resume-parity` compares bit by bit.
    #[serde(default = "default_side_steps")]
    pub resume_steps: NonZeroU32,
    /// A JSON file with the losses that this training is known to have, by device; `gpu-harness golden` fills it. The check
    /// `golden` then holds each step's loss to it, bit by bit where the suite does not allow more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<InputPath>,
}

fn default_steps() -> NonZeroU32 {
    const { NonZeroU32::new(200).unwrap() }
}

fn default_side_steps() -> NonZeroU32 {
    const { NonZeroU32::new(10).unwrap() }
}

fn default_learning_rate() -> f64 {
    1e-3
}

/// What is trained: exactly one of `builtin` and `torchscript`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Model {
    /// A model that the worker brings along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,
    /// A TorchScript file of the user's own. `segment`: `[N,3,H,W]` to `[N,1,H,W]` logits; `classify`:
    /// `[N,3,H,W]` to `[N,K]` logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torchscript: Option<InputPath>,
    /// Channels of the U-Net's first level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<NonZeroU32>,
}

/// The worker's own models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// A small U-Net with BatchNorm (Ronneberger et al. 2015), for `segment`.
    Unet,
    /// ResNet-18 with BatchNorm (He et al. 2015, torchvision's layout), for `classify`.
    Resnet18,
    /// ResNet-50 with BatchNorm (He et al. 2015, torchvision's layout: the stride is in the 3 × 3 convolution), for
    /// `classify`.
    Resnet50,
}

/// The one batch: an image and the boxes of what is on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Data {
    /// The image: PNG, JPEG, TIFF or WebP.
    pub image: InputPath,
    /// CSV with a header and the columns xmin, ymin, xmax, ymax in pixels of the image.
    pub boxes: InputPath,
    /// What is learned from them.
    pub task: Task,
    /// Side length in pixels of what the model sees: the whole image for `segment`, each crop for `classify`.
    pub size: NonZeroU32,
    /// Crops in the batch for `classify`, half of them crowns and half background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crops: Option<NonZeroU32>,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Which pixels belong to a box (an ellipse inscribed in each): metric `iou`.
    Segment,
    /// Whether a crop shows a box or background: metric `accuracy`.
    Classify,
}

/// A way to break training, so that the checks can be seen to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// No parameter is trained but the first layer's normalisation: the head stays as it was drawn.
    FrozenHead,
    /// The labels are permuted anew at each step.
    ShuffledLabels,
}

/// Any program: a Python training script, pytest, cargo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Command {
    /// The program and its arguments; no shell is involved.
    pub run: Vec<String>,
    /// Files that go along, under the same relative names in the working folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputPath>,
    /// Files and folders that it leaves in its working folder and that are brought back, as artifacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring: Vec<InputPath>,
    /// JUnit reports that it leaves there: they are brought back, and their tests become part of the run's report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub junit: Vec<InputPath>,
    /// Environment variables for the program. Never put a secret here: this file is not a place for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// What a case runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work<'a> {
    /// It overfits a model on one batch, in the worker.
    Train(&'a Train),
    /// It measures how fast a model runs, in the worker.
    Throughput(&'a Throughput),
    /// It runs a model over a store of images, in the worker.
    Pipeline(&'a Pipeline),
    /// It measures what the device can do at best, in the worker.
    Canary(&'a Canary),
    /// It runs a program.
    Command(&'a Command),
}

impl Command {
    /// Everything below its working folder that is brought back, without a path that leads out of it.
    pub fn brought(&self) -> impl Iterator<Item = PathBuf> {
        self.bring
            .iter()
            .chain(&self.junit)
            .filter(|path| path.in_cache().is_none())
            .filter_map(InputPath::on_node)
    }
}

impl Work<'_> {
    /// The keys of a case that say what it runs.
    pub const KINDS: [&'static str; 5] = ["train", "throughput", "pipeline", "canary", "command"];

    /// Whether gpu-worker does it, which needs libtorch on the node.
    pub fn needs_worker(self) -> bool {
        match self {
            Self::Train(_) | Self::Throughput(_) | Self::Pipeline(_) | Self::Canary(_) => true,
            Self::Command(_) => false,
        }
    }
}

impl Case {
    /// A case that runs a program, with every default.
    pub fn command(name: String, command: Command) -> Self {
        Self { command: Some(command), ..Self::named(name) }
    }

    /// A case that measures what the device can do at best, with every default.
    pub fn canary(name: String, canary: Canary) -> Self {
        Self { canary: Some(canary), ..Self::named(name) }
    }

    fn named(name: String) -> Self {
        Self {
            name,
            description: None,
            train: None,
            throughput: None,
            pipeline: None,
            canary: None,
            command: None,
            checks: Checks::default(),
            skip_checks: BTreeMap::new(),
            must_fail: Vec::new(),
            device: Device::default(),
            gpu: None,
            seed: 0,
            timeout: default_timeout(),
            limits: Limits::default(),
            skip: None,
        }
    }

    /// What the case runs, where it says exactly one thing.
    pub fn work(&self) -> Option<Work<'_>> {
        match (&self.train, &self.throughput, &self.pipeline, &self.canary, &self.command) {
            (Some(train), None, None, None, None) => Some(Work::Train(train)),
            (None, Some(throughput), None, None, None) => Some(Work::Throughput(throughput)),
            (None, None, Some(pipeline), None, None) => Some(Work::Pipeline(pipeline)),
            (None, None, None, Some(canary), None) => Some(Work::Canary(canary)),
            (None, None, None, None, Some(command)) => Some(Work::Command(command)),
            _ => None,
        }
    }

    /// Whether gpu-worker runs the case.
    pub fn needs_worker(&self) -> bool {
        self.work().is_some_and(Work::needs_worker)
    }

    /// Whether the case runs a model of the user's own.
    pub fn is_scripted(&self) -> bool {
        let train = self.train.as_ref().map(|train| &train.model);
        let throughput = self.throughput.as_ref().map(|throughput| &throughput.model);
        let pipeline = self.pipeline.as_ref().map(|pipeline| &pipeline.model);
        [train, throughput, pipeline].into_iter().flatten().any(|model| model.torchscript.is_some())
    }

    /// The device that the case is for: whoever says which GPU is needed does not mean the CPU.
    pub fn wanted_device(&self) -> Device {
        if self.gpu.is_some() && self.device == Device::Auto { Device::Cuda } else { self.device }
    }

    /// The GPUs without which the case must not run.
    pub fn needed_gpus(&self) -> Option<GpuNeed> {
        match (&self.gpu, self.device) {
            (Some(need), _) => Some(need.clone()),
            (None, Device::Cuda) => Some(GpuNeed::default()),
            (None, Device::Auto | Device::Cpu) => None,
        }
    }

    /// Every file that the case needs on the node.
    pub fn inputs(&self) -> Vec<&InputPath> {
        self.inputs_by_key().into_iter().map(|(_, input)| input).collect()
    }

    /// Every file that the case needs on the node, by the key that names it, e.g. `train.data.image`.
    pub fn inputs_by_key(&self) -> Vec<(String, &InputPath)> {
        let train = self.train.iter().flat_map(|train| {
            [
                ("train.data.image", Some(&train.data.image)),
                ("train.data.boxes", Some(&train.data.boxes)),
                ("train.model.torchscript", train.model.torchscript.as_ref()),
                ("train.golden", train.golden.as_ref()),
            ]
        });
        let throughput = self
            .throughput
            .iter()
            .map(|measured| ("throughput.model.torchscript", measured.model.torchscript.as_ref()));
        let pipeline = self.pipeline.iter().flat_map(|pipeline| {
            let Pipeline { model, images, golden, .. } = pipeline;
            [
                ("pipeline.model.torchscript", model.torchscript.as_ref()),
                ("pipeline.images.keys", images.keys.as_ref()),
                ("pipeline.images.cut.image", images.cut.as_ref().map(|cut| &cut.image)),
                ("pipeline.golden", golden.as_ref()),
            ]
        });
        let named = train.chain(throughput).chain(pipeline);
        let named = named.filter_map(|(key, input)| Some((key.to_owned(), input?)));
        let files = self.command.iter().flat_map(|command| command.files.iter().enumerate());
        named.chain(files.map(|(index, input)| (format!("command.files[{index}]"), input))).collect()
    }
}
