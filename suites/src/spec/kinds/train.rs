//! `train`: a model learns one batch by heart, the cheapest proof that training still learns.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::{
    Checks, Deterministic, ExportParity, Golden, GoldenCheck, GradNormDrop, Gradients, InitialLoss, LossDrop,
    MemoryFlat, Metric, MetricCheck, MixedPrecision, ResumeParity, SameBatch, When, ZeroedImage,
};
use crate::spec::{Builtin, Case, InputPath, Model};
use crate::violations::Violations;

use super::Kind;

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
    #[schemars(extend("exclusiveMinimum" = 0))]
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

impl Task {
    /// The metric that says how well it is done, and the figure that one batch by heart has to reach.
    fn by_heart(self) -> (&'static str, f64) {
        match self {
            Self::Segment => ("iou", 0.99),
            Self::Classify => ("accuracy", 1.0),
        }
    }

    /// The metric that says how well it is done.
    pub(crate) fn metric(self) -> &'static str {
        self.by_heart().0
    }
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

impl Kind for Train {
    fn model(&self) -> Option<&Model> {
        Some(&self.model)
    }

    fn inputs(&self) -> Vec<(String, &InputPath)> {
        let named = [
            ("data.image", Some(&self.data.image)),
            ("data.boxes", Some(&self.data.boxes)),
            ("model.torchscript", self.model.torchscript.as_ref()),
            ("golden", self.golden.as_ref()),
        ];
        super::given(named)
    }

    fn checks(&self) -> Checks {
        let (metric, figure) = self.data.task.by_heart();
        let by_heart = |mode: &str| MetricCheck {
            name: format!("{mode}/{metric}"),
            at_least: Some(figure),
            at_most: None,
            when: When::Final,
        };
        let golden = |_: &InputPath| Golden(vec![GoldenCheck { name: "loss".to_owned(), within: 0.0 }]);
        Checks {
            initial_loss: Some(InitialLoss::default()),
            same_batch: Some(SameBatch {}),
            gradients: Some(Gradients::default()),
            loss_drop: Some(LossDrop::default()),
            metric: Some(Metric(vec![by_heart("train"), by_heart("eval")])),
            grad_norm_drop: Some(GradNormDrop::default()),
            zeroed_image: Some(ZeroedImage::default()),
            deterministic: Some(Deterministic {}),
            mixed_precision: Some(MixedPrecision::default()),
            resume_parity: Some(ResumeParity {}),
            memory_flat: Some(MemoryFlat::default()),
            export_parity: Some(ExportParity::default()),
            golden: self.golden.as_ref().map(golden),
            ..Checks::default()
        }
    }

    fn rules(&self, case: &Case, violations: &mut Violations<'_>) {
        self.model.rules(&mut violations.below("model"));
        match (self.model.builtin, &self.model.torchscript) {
            (Some(Builtin::Unet), None) if self.data.task == Task::Classify => {
                let hint = "use `task: segment`, or `builtin: resnet18`";
                violations.add("data.task", "`unet` does not classify", hint);
            }
            (Some(Builtin::Resnet18 | Builtin::Resnet50), None) if self.data.task == Task::Segment => {
                let hint = "use `task: classify`, or `builtin: unet`";
                violations.add("data.task", "a ResNet does not segment", hint);
            }
            _ => {}
        }
        if self.data.crops.is_some() && self.data.task != Task::Classify {
            violations.add("data.crops", "`crops` is for `task: classify` only", "remove it");
        }
        if self.data.crops.is_some_and(|crops| crops.get() < 2) {
            violations.add("data.crops", "one crop cannot show both classes", "use 2 or more");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            violations.add("learning-rate", "a learning rate that is not above 0", "write e.g. 1e-3");
        }
        if self.control.is_some() && case.must_fail.is_empty() {
            let hint = "list the checks that have to notice it: `must-fail: [loss-drop, metric]`";
            violations.add("control", "a control that no check has to notice", hint);
        }
    }
}
