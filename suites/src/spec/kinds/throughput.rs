//! `throughput`: how fast does a model run? What is measured, and under which rules.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checks::{Checks, Rate, RateCheck, ValidWindows};
use crate::dtype::Dtype;
use crate::spec::{Builtin, Case, InputPath, Model};
use crate::unit::{Share, Span};
use crate::violations::Violations;

use super::Kind;

/// Measures the rate of a model on random inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Throughput {
    /// What is run.
    pub model: Model,
    /// What one iteration does.
    #[serde(default)]
    pub mode: Mode,
    /// The numbers' formats, measured one after another; one that the device does not have is left out, and said.
    #[serde(default = "default_dtypes")]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub dtypes: Vec<Dtype>,
    /// Items in a batch: a number, a list of them, or `auto`, which looks for the knee of the curve.
    #[serde(default)]
    pub batch: BatchSizes,
    /// The shape of one item, channels first.
    #[serde(default = "default_input")]
    pub input: Vec<NonZeroU32>,
    /// Measured time of each dtype and batch size, over all its windows.
    #[serde(default = "default_measure")]
    pub measure: Span,
    /// Windows that this time is cut into; the spread is taken over them.
    #[serde(default = "default_windows")]
    pub windows: NonZeroU32,
    /// Iterations before the clock starts.
    #[serde(default = "default_warm_up")]
    pub warm_up: NonZeroU32,
    /// How the channels lie in memory.
    #[serde(default)]
    pub layout: Layout,
    /// CPU time that other processes, the hypervisor's other guests included, may take in a window; a window in which
    /// they take more is not valid.
    #[serde(default = "default_others")]
    #[schemars(extend("maximum" = 1))]
    pub others: Share,
}

fn default_dtypes() -> Vec<Dtype> {
    vec![Dtype::Fp32]
}

fn default_input() -> Vec<NonZeroU32> {
    [3, 224, 224].into_iter().filter_map(NonZeroU32::new).collect()
}

fn default_measure() -> Span {
    Span(Duration::from_secs(60))
}

fn default_windows() -> NonZeroU32 {
    const { NonZeroU32::new(5).unwrap() }
}

fn default_warm_up() -> NonZeroU32 {
    const { NonZeroU32::new(10).unwrap() }
}

fn default_others() -> Share {
    Share(0.1)
}

impl Kind for Throughput {
    fn model(&self) -> Option<&Model> {
        Some(&self.model)
    }

    fn inputs(&self) -> Vec<(String, &InputPath)> {
        super::given([("model.torchscript", self.model.torchscript.as_ref())])
    }

    /// Windows that agree.
    fn checks(&self) -> Checks {
        let agree = RateCheck { spread: Some(Share(0.02)), ..RateCheck::default() };
        Checks { valid_windows: Some(ValidWindows {}), rate: Some(Rate(vec![agree])), ..Checks::default() }
    }

    fn rules(&self, _: &Case, violations: &mut Violations<'_>) {
        self.model.rules(&mut violations.below("model"));
        if self.dtypes.is_empty() {
            violations.add("dtypes", "no dtype is listed", "write e.g. `dtypes: [fp32, bf16]`");
        }
        violations.below("dtypes").once(&self.dtypes, |dtype| format!("`{dtype}`"));
        let fp16 = self.dtypes.iter().position(|dtype| *dtype == Dtype::Fp16);
        if let Some(index) = fp16.filter(|_| self.mode == Mode::TrainingStep) {
            let hint = "use bf16: half precision needs loss scaling, which this training step does not do";
            violations.add(format!("dtypes[{index}]"), "`fp16` is for `mode: inference` only", hint);
        }
        if let BatchSizes::These(sizes) = &self.batch {
            if sizes.is_empty() {
                violations.add("batch", "no batch size is listed", "write `auto`, a number or a list");
            }
            violations.below("batch").once(sizes, ToString::to_string);
        }
        if self.input.is_empty() {
            violations.add("input", "an item without a shape", "write e.g. `input: [3, 224, 224]`");
        }
        if self.model.builtin.is_some() {
            let sides = match self.input.as_slice() {
                [channels, height, width] if channels.get() == 3 => Some([height.get(), width.get()]),
                _ => None,
            };
            match (sides, self.model.builtin) {
                (None, _) => {
                    let hint = "write e.g. `input: [3, 224, 224]`";
                    violations.add("input", "the built-in models take images of 3 channels", hint);
                }
                (Some(sides), Some(Builtin::Unet)) if sides.iter().any(|side| side % 8 != 0) => {
                    let hint = "use sides like 128, 160 or 256";
                    violations.add("input", "the U-Net halves its input three times", hint);
                }
                _ => {}
            }
        }
        violations.share("others", Some(self.others));
        if self.measure.0.is_zero() {
            violations.add("measure", "a measurement of no time at all", "write e.g. 60s");
        }
    }
}

/// What one iteration does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Forward, without gradients, in evaluation mode.
    #[default]
    Inference,
    /// Forward, backward and an Adam update, in training mode; the loss is the output's mean square.
    TrainingStep,
}

/// How the channels of images and filters lie in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Side by side for each pixel, which convolutions are fastest with on CPUs and tensor cores.
    #[default]
    ChannelsLast,
    /// One plane after another.
    Contiguous,
}

/// The batch sizes to measure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BatchSizes {
    /// The knee of the curve: the smallest power of two that is within 5 % of the best rate.
    #[default]
    Auto,
    /// These, each measured in full.
    These(Vec<NonZeroU32>),
}

impl BatchSizes {
    /// The sizes that are given.
    pub(crate) fn sizes(&self) -> Option<&[NonZeroU32]> {
        match self {
            Self::Auto => None,
            Self::These(sizes) => Some(sizes),
        }
    }
}

const WANTED: &str = "`auto`, a number above 0, or a list of such numbers";

impl Serialize for BatchSizes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::These(sizes) => sizes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BatchSizesVisitor)
    }
}

struct BatchSizesVisitor;

impl<'de> Visitor<'de> for BatchSizesVisitor {
    type Value = BatchSizes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WANTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BatchSizes, E> {
        match text {
            "auto" => Ok(BatchSizes::Auto),
            _ => Err(E::custom(format!("`{text}` is no batch size: write {WANTED}"))),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<BatchSizes, E> {
        let size = u32::try_from(number).ok().and_then(NonZeroU32::new);
        let size = size.ok_or_else(|| E::custom(format!("{number} is no batch size: write {WANTED}")))?;
        Ok(BatchSizes::These(vec![size]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<BatchSizes, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format!("{number} is no batch size: write {WANTED}"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BatchSizes, A::Error> {
        let mut sizes = Vec::new();
        while let Some(size) = list.next_element()? {
            sizes.push(size);
        }
        Ok(BatchSizes::These(sizes))
    }
}

impl JsonSchema for BatchSizes {
    fn schema_name() -> Cow<'static, str> {
        "BatchSizes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let size = json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
        json_schema!({
            "description": "Items in a batch: `auto` looks for the knee of the curve.",
            "anyOf": [
                { "const": "auto" },
                size,
                { "type": "array", "items": size, "minItems": 1 },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_sizes_are_a_word_a_number_or_a_list() {
        let read = |text: &str| serde_json::from_str::<BatchSizes>(text);
        let size = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(read(r#""auto""#).unwrap(), BatchSizes::Auto);
        assert_eq!(read("8").unwrap(), BatchSizes::These(vec![size(8)]));
        assert_eq!(read("[1, 8]").unwrap(), BatchSizes::These(vec![size(1), size(8)]));
        for wrong in [r#""large""#, "0", "-1", "[0]", "1.5", "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for kept in [BatchSizes::Auto, BatchSizes::These(vec![size(1), size(64)])] {
            assert_eq!(read(&serde_json::to_string(&kept).unwrap()).unwrap(), kept);
        }
    }
}
