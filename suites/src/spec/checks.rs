//! What must hold of a case. Each check is described in docs/checks.md; how it is judged is in [`crate::checks`].

use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dtype;
use crate::unit::{ByteSize, Share, Span};

/// The checks by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The first loss is near its analytic value.
    InitialLoss,
    /// Every step saw the same batch.
    SameBatch,
    /// Every trainable tensor has a gradient and moves; frozen ones do not.
    Gradients,
    /// No metric is NaN or infinite.
    Finite,
    /// The loss fell far enough, without a plateau above the floor.
    LossDrop,
    /// A metric reaches its figure.
    Metric,
    /// The gradient norm fell.
    GradNormDrop,
    /// A zeroed image scores clearly worse.
    ZeroedImage,
    /// The same seed gives the same losses, bit by bit.
    Deterministic,
    /// Mixed precision ends near full precision.
    MixedPrecision,
    /// Saved, reloaded and continued gives the same losses, bit by bit.
    ResumeParity,
    /// Memory does not grow.
    MemoryFlat,
    /// The exported model gives the same output.
    ExportParity,
    /// No step was left out, and each one moved the weights.
    Steps,
    /// Each input row came out once.
    Rows,
    /// Values are near their golden ones.
    Golden,
    /// Values are not all the same.
    Varied,
    /// Enough windows of the measurement were valid.
    ValidWindows,
    /// A rate, and what belongs to it, reaches its figures.
    Rate,
    /// Each input is in exactly one row.
    Shards,
    /// Predictions are those that are known to be right.
    Predictions,
    /// The case ended within its time budget.
    TimeBudget,
    /// The program ended with the wanted exit status.
    ExitStatus,
}

impl CheckName {
    /// All of them, in the order in which they are judged and reported.
    pub const ALL: [Self; 23] = [
        Self::ExitStatus,
        Self::Finite,
        Self::InitialLoss,
        Self::SameBatch,
        Self::Gradients,
        Self::LossDrop,
        Self::Metric,
        Self::GradNormDrop,
        Self::ZeroedImage,
        Self::Deterministic,
        Self::MixedPrecision,
        Self::ResumeParity,
        Self::MemoryFlat,
        Self::ExportParity,
        Self::Steps,
        Self::Rows,
        Self::Golden,
        Self::Varied,
        Self::ValidWindows,
        Self::Rate,
        Self::Shards,
        Self::Predictions,
        Self::TimeBudget,
    ];

    /// The name as it is written in suite files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InitialLoss => "initial-loss",
            Self::SameBatch => "same-batch",
            Self::Gradients => "gradients",
            Self::Finite => "finite",
            Self::LossDrop => "loss-drop",
            Self::Metric => "metric",
            Self::GradNormDrop => "grad-norm-drop",
            Self::ZeroedImage => "zeroed-image",
            Self::Deterministic => "deterministic",
            Self::MixedPrecision => "mixed-precision",
            Self::ResumeParity => "resume-parity",
            Self::MemoryFlat => "memory-flat",
            Self::ExportParity => "export-parity",
            Self::Steps => "steps",
            Self::Rows => "rows",
            Self::Golden => "golden",
            Self::Varied => "varied",
            Self::ValidWindows => "valid-windows",
            Self::Rate => "rate",
            Self::Shards => "shards",
            Self::Predictions => "predictions",
            Self::TimeBudget => "time-budget",
            Self::ExitStatus => "exit-status",
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The checks of a case with their parameters. A check that is absent has its defaults in a case of its kind,
/// and is not run in a `command` case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Checks {
    /// The program ended with the wanted exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<ExitStatus>,
    /// No metric is NaN or infinite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finite: Option<Nothing>,
    /// The first loss is near its analytic value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_loss: Option<InitialLoss>,
    /// Every step saw the same batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_batch: Option<Nothing>,
    /// Every trainable tensor has a gradient and moves; frozen ones do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradients: Option<Gradients>,
    /// The loss fell far enough, without a plateau above the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_drop: Option<LossDrop>,
    /// A metric reaches its figure. Default of a `train` case: train and eval metric at least 0.99 (`iou`) or
    /// 1.0 (`accuracy`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Vec<MetricCheck>>,
    /// The gradient norm fell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grad_norm_drop: Option<GradNormDrop>,
    /// A zeroed image scores clearly worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zeroed_image: Option<ZeroedImage>,
    /// The same seed gives the same losses, bit by bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deterministic: Option<Nothing>,
    /// Mixed precision ends near full precision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_precision: Option<MixedPrecision>,
    /// Saved, reloaded and continued gives the same losses, bit by bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_parity: Option<Nothing>,
    /// Memory does not grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_flat: Option<MemoryFlat>,
    /// The exported model gives the same output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_parity: Option<ExportParity>,
    /// No step was left out, and each one moved the weights. Only where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// Each input row came out once. Only where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Values are near their golden ones. Only where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<Vec<GoldenCheck>>,
    /// Values are not all the same. Only where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub varied: Option<Vec<VariedCheck>>,
    /// Enough windows of the measurement were valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_windows: Option<Nothing>,
    /// Rates against their figures. Default of a `throughput` case: a spread of at most 2 % for each dtype.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Vec<RateCheck>>,
    /// Each input is in exactly one row, and few rows are errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<Shards>,
    /// Predictions are those that are known to be right. Run in a `pipeline` case that has `golden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Predictions>,
    /// The case ended within its time budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_budget: Option<TimeBudget>,
}

/// A check without parameters: write `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The exit status that the program must end with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExitStatus {
    /// The wanted code.
    pub code: u8,
}

/// Metric `loss` at the first step against its analytic value (ln K for K balanced classes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InitialLoss {
    /// The analytic value; default: what the case reports as `expected_initial_loss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<f64>,
    /// How far below it may be, 100 % at most.
    pub within: Share,
    /// How far above it may be; default: twice `within`. A last layer of usual width starts there, and nothing that
    /// knows nothing starts far below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Share>,
}

impl Default for InitialLoss {
    fn default() -> Self {
        Self { near: None, within: Share(0.25), above: None }
    }
}

/// The census after the first step. How many parameters may be frozen is the one thing that it cannot know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gradients {
    /// How many parameters are meant to be frozen (`params_frozen`); by default it is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<u64>,
}

/// Final `loss` ≤ max(floor, to × the first); of a first loss below 0, ≤ first − (1 − to) × its size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossDrop {
    /// Share of the first loss, 100 % at most.
    pub to: Share,
    /// Always low enough; of a first loss of 0 or less only where it lies below that.
    pub floor: f64,
}

impl Default for LossDrop {
    fn default() -> Self {
        Self { to: Share(0.05), floor: 1e-3 }
    }
}

/// A metric against a figure. At least one of `at-least` and `at-most` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetricCheck {
    /// The metric's name, e.g. `eval/iou`.
    pub name: String,
    /// The figure that it must reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The figure that it must not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Which of its values counts.
    #[serde(default)]
    pub when: When,
}

/// Which value of a metric counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The last one.
    #[default]
    Final,
    /// Each one.
    Every,
    /// The one that comes closest to holding.
    Best,
    /// The arithmetic mean of all.
    Mean,
}

/// Last `grad_norm` ≤ to × the largest of the first steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradNormDrop {
    /// Share of the initial norm, 100 % at most.
    pub to: Share,
}

impl Default for GradNormDrop {
    fn default() -> Self {
        Self { to: Share(0.05) }
    }
}

/// `zeroed/<metric>` ≤ `eval/<metric>` − margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZeroedImage {
    /// How much worse the zeroed image must score, in units of the metric.
    pub margin: f64,
}

impl Default for ZeroedImage {
    fn default() -> Self {
        Self { margin: 0.2 }
    }
}

/// Last `mixed/loss` against `loss` at the same step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixedPrecision {
    /// How far off the mixed-precision loss may be, as a share of the *initial* loss's size, 100 % at most.
    pub within: Share,
}

impl Default for MixedPrecision {
    fn default() -> Self {
        Self { within: Share(0.05) }
    }
}

/// `memory_bytes` from a step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MemoryFlat {
    /// The step from which memory must not grow; what comes before is warm-up.
    pub from_step: u64,
    /// Growth that is still flat.
    pub slack: ByteSize,
}

impl Default for MemoryFlat {
    fn default() -> Self {
        Self { from_step: 50, slack: ByteSize(16 << 20) }
    }
}

/// `export_max_abs_diff`: the largest difference between the model's output and the exported model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportParity {
    /// Largest absolute difference allowed.
    pub within: f64,
}

impl Default for ExportParity {
    fn default() -> Self {
        Self { within: 1e-4 }
    }
}

/// The steps of `loss` follow one another without a gap, and each `update_norm` is above 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steps {
    /// How many steps there have to be; default: as many as come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Each `input_row` has one `row`, and no other row is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rows {
    /// How many rows there have to be; default: as many as inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Rows come in the order of their inputs.
    pub ordered: bool,
}

/// Each `golden/<name>` against `<name>` at the same step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoldenCheck {
    /// The metric's name, e.g. `score`.
    pub name: String,
    /// Largest absolute difference allowed.
    #[serde(default = "default_golden")]
    pub within: f64,
}

fn default_golden() -> f64 {
    1e-4
}

/// The share of the commonest value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VariedCheck {
    /// The metric's name, e.g. `predicted`; a number, a text, or true and false.
    pub name: String,
    /// The largest share that one value may have, below 100 %.
    #[serde(default = "default_varied")]
    pub at_most: Share,
}

fn default_varied() -> Share {
    Share(0.9)
}

/// What a `throughput` case must reach. At least one figure is given; each has a verdict of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RateCheck {
    /// For this dtype only; default: each that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// For this batch size only; default: the fastest one of each dtype.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<NonZeroU32>,
    /// Items a second, the median over the windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The rate as a share of what the device's own matmul and copy rates allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_ceiling: Option<Share>,
    /// The rate as a share of another version's, which the case measured in turn with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_base: Option<Share>,
    /// The largest distance of a window's rate from the median, as a share of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Share>,
    /// Memory at its peak: of tensors on a GPU, of the process on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// The time of a batch that 99 % do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p99: Option<Span>,
}

impl RateCheck {
    /// Whether it asks for nothing at all.
    pub fn is_empty(&self) -> bool {
        Self { dtype: None, batch: None, ..*self } == Self::default()
    }
}

/// `rows/missing`, `rows/doubled`, `rows/foreign` = 0, `rows/errors` ≤ errors × `rows/inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Share of the rows that may be errors: images that cannot be read or decoded.
    pub errors: Share,
}

impl Default for Shards {
    fn default() -> Self {
        Self { errors: Share(0.0) }
    }
}

/// `predictions/max_abs_diff` ≤ within, with no prediction missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Predictions {
    /// Largest absolute difference allowed.
    pub within: f64,
}

impl Default for Predictions {
    fn default() -> Self {
        Self { within: 1e-3 }
    }
}

/// The case's own time budget; unlike `timeout`, going over it is a failed check and does not stop the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeBudget {
    /// The longest that the case may take.
    pub at_most: Span,
}
