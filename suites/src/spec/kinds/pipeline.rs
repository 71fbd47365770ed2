//! `pipeline`: images in, predictions out: the whole path from a store of images to Parquet shards, as a case.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::{Checks, Predictions, Shards};
use crate::spec::{Builtin, Case, Dtype, InputPath, Model};
use crate::unit::{ByteSize, Span};
use crate::violations::Violations;

use super::Kind;

/// Runs a model over every image of a store and writes what it says as Parquet shards. See docs/pipeline.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pipeline {
    /// What is run.
    pub model: Model,
    /// Which images.
    pub images: Images,
    /// Where the shards go: `s3://BUCKET/PREFIX/`, `file:///FOLDER/` or `memory://`; `{run}` stands for the run's id.
    /// Default: a place of the case's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The S3 that `s3://` means, where it is not AWS's.
    #[serde(default)]
    pub s3: S3,
    /// What becomes of the model's output.
    pub output: Output,
    /// Classes that are kept of each image for `output: classify`, the likeliest first.
    #[serde(default = "default_top")]
    pub top: NonZeroU32,
    /// Side in pixels of what the model sees.
    #[serde(default = "default_size")]
    pub size: NonZeroU32,
    /// How an image comes to that size.
    #[serde(default)]
    pub resize: Resize,
    /// The numbers' format in the model.
    #[serde(default = "default_dtype")]
    pub dtype: Dtype,
    /// The most images in a batch: a free replica takes what is there, and never waits for more.
    #[serde(default = "default_batch")]
    pub batch: NonZeroU32,
    /// Requests to the store of images at a time.
    #[serde(default = "default_clients")]
    pub clients: NonZeroU32,
    /// Threads that decode and resize. Default: one for each CPU core that the process may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoders: Option<NonZeroU32>,
    /// Replicas of the model on each device: every GPU that the case sees, or the CPU. Default: 2 on a GPU, one for
    /// each core on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<NonZeroU32>,
    /// What images in memory may take, encoded and decoded.
    #[serde(default = "default_memory")]
    pub memory: ByteSize,
    /// Rows of a shard, about: which shard a row is in follows from its key.
    #[serde(default = "default_rows")]
    pub rows_per_shard: NonZeroU32,
    /// The largest image, in pixels; a larger one is a row with an error, and is never unpacked.
    #[serde(default = "default_pixels")]
    pub largest_image: NonZeroU64,
    /// How long a store may be out of order before the case gives up.
    #[serde(default = "default_patience")]
    pub patience: Span,
    /// How long an image may take to come, besides the time that its bytes take at 16 KiB/s.
    #[serde(default = "default_stall")]
    pub stall: Span,
    /// How long each stage is measured on its own before the run, for its ceiling.
    #[serde(default = "default_calibrate")]
    pub calibrate: Span,
    /// Predictions that are known to be right: a JSON object with a list of numbers for each key. Of `classify` the
    /// probability of every class, of `embed` the embedding, of `segment` the share of the image that is foreground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<InputPath>,
}

fn default_top() -> NonZeroU32 {
    const { NonZeroU32::new(5).unwrap() }
}

fn default_size() -> NonZeroU32 {
    const { NonZeroU32::new(224).unwrap() }
}

fn default_dtype() -> Dtype {
    Dtype::Fp32
}

fn default_batch() -> NonZeroU32 {
    const { NonZeroU32::new(32).unwrap() }
}

fn default_clients() -> NonZeroU32 {
    const { NonZeroU32::new(32).unwrap() }
}

fn default_memory() -> ByteSize {
    ByteSize(4 << 30)
}

fn default_rows() -> NonZeroU32 {
    const { NonZeroU32::new(500).unwrap() }
}

fn default_pixels() -> NonZeroU64 {
    const { NonZeroU64::new(100_000_000).unwrap() }
}

fn default_patience() -> Span {
    Span(Duration::from_secs(120))
}

fn default_stall() -> Span {
    Span(Duration::from_secs(10))
}

fn default_calibrate() -> Span {
    Span(Duration::from_secs(3))
}

/// Which images: exactly one of `from` and `cut`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Images {
    /// Every object below `s3://BUCKET/PREFIX/` or `file:///FOLDER/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only these objects of `from`: a file with one key a line, as a JSON string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<InputPath>,
    /// Images that the case makes itself, cut from one image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// Images cut from one image, of sizes and formats as they come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cut {
    /// The image.
    pub image: InputPath,
    /// How many.
    pub count: NonZeroU32,
}

/// An S3 that is not AWS's. Keys come by the usual chain: environment, profile, the node's role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct S3 {
    /// Scheme and host, e.g. `http://127.0.0.1:9000`. Default: `AWS_ENDPOINT_URL_S3`, then AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The buckets' region. Default: `AWS_REGION`, the profile's, the instance's, then us-east-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What becomes of the model's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Logits `[N, K]`: the likeliest classes with their probabilities.
    Classify,
    /// Any `[N, …]`: the numbers as they are.
    Embed,
    /// Logits `[N, 1, H, W]`: where the probability is above one half, as lengths of runs.
    Segment,
}

impl Output {
    /// The name as it is written in suite files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Embed => "embed",
            Self::Segment => "segment",
        }
    }
}

/// How an image comes to the model's size; the filter is torchvision's antialiased bilinear one in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// To a square, whatever its shape: `Resize((S, S))`.
    #[default]
    Stretch,
    /// The shorter side to the size, then the middle: `Resize(S)`, `CenterCrop(S)`.
    Cover,
}

/// What a location may begin with; a node's own files are named by an absolute path.
const LOCATIONS: [&str; 3] = ["s3://", "file:///", "memory://"];

impl Kind for Pipeline {
    fn model(&self) -> Option<&Model> {
        Some(&self.model)
    }

    fn inputs(&self) -> Vec<(String, &InputPath)> {
        super::given([
            ("model.torchscript", self.model.torchscript.as_ref()),
            ("images.keys", self.images.keys.as_ref()),
            ("images.cut.image", self.images.cut.as_ref().map(|cut| &cut.image)),
            ("golden", self.golden.as_ref()),
        ])
    }

    fn checks(&self) -> Checks {
        let predictions = self.golden.as_ref().map(|_| Predictions::default());
        Checks { shards: Some(Shards::default()), predictions, ..Checks::default() }
    }

    fn rules(&self, _: &Case, violations: &mut Violations<'_>) {
        self.model.rules(&mut violations.below("model"));
        let images = &self.images;
        match (&images.from, &images.cut) {
            (Some(_), Some(_)) => violations.add("images.cut", "both `from` and `cut`", "keep one of them"),
            (None, None) => {
                let hint = "write `from: s3://BUCKET/PREFIX/` or `cut: { image: PATH, count: 2000 }`";
                violations.add("images", "the images say neither `from` nor `cut`", hint);
            }
            _ => {}
        }
        if images.keys.is_some() && images.from.is_none() {
            violations.add("images.keys", "`keys` without `from`", "say whose keys they are");
        }
        let from = images.from.as_ref().map(|from| ("images.from", from));
        for (key, location) in from.into_iter().chain(self.to.as_ref().map(|to| ("to", to))) {
            if !LOCATIONS.iter().any(|start| location.starts_with(start)) {
                let hint = "begin with s3://, file:/// or memory://: the case runs on the node";
                violations.add(key, format!("`{location}` names no place on the node"), hint);
            }
        }
        if self.model.builtin == Some(Builtin::Unet) && !self.size.get().is_multiple_of(8) {
            violations.add("size", "the U-Net halves its input three times", "use 128, 160 or 256");
        }
        let wrong = match (self.model.builtin, self.output) {
            (Some(Builtin::Unet), Output::Classify) => Some("`unet` does not classify"),
            (Some(Builtin::Resnet18 | Builtin::Resnet50), Output::Segment) => {
                Some("a ResNet does not segment")
            }
            _ => None,
        };
        if let Some(message) = wrong {
            violations.add("output", message, "use another `output`, or another model");
        }
    }
}
