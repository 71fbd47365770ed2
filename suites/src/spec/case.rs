//! A case: one thing to run in one process of its own, and what must hold of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InputPath, Work};
use crate::checks::{CaseFacts, Checks, Fold, Sweep, known, known_with_reasons};
use crate::gpu::GpuNeed;
use crate::id::{CheckName, NAME_PATTERN};
use crate::unit::{ByteSize, Span};

/// One case: what it runs, and what must hold of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The case's name, `[A-Za-z0-9_.-]+`, unique in its suite.
    #[schemars(extend("pattern" = NAME_PATTERN))]
    pub name: String,
    /// What the case shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it runs: in the file, exactly one of the keys of [`Work::KINDS`].
    #[serde(flatten)]
    #[schemars(skip)]
    pub work: Work,
    /// What must hold. A case of the built-in worker runs every check of its kind with its defaults; a `command` case
    /// those named here, besides `exit-status` and `finite`.
    #[serde(default)]
    pub checks: Checks,
    /// Checks that are not to run, each with the reason, which the report shows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "known_with_reasons")]
    pub skip_checks: BTreeMap<CheckName, String>,
    /// A negative control: the checks that must NOT hold. The case passes when each of them fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "known")]
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
    #[schemars(extend("default" = "10m"))]
    pub timeout: Span,
    /// What the case may use.
    #[serde(default)]
    #[schemars(extend("default" = { "log": "256 MiB" }))]
    pub limits: Limits,
    /// Leaves the case out, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"\S"))]
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
    #[schemars(extend("default" = "256 MiB"))]
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

impl Case {
    /// A case with every default.
    pub fn new(name: String, work: impl Into<Work>) -> Self {
        Self {
            name,
            description: None,
            work: work.into(),
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

    /// What its checks may know of it.
    pub(crate) fn facts(&self) -> CaseFacts<'_> {
        CaseFacts {
            timeout: self.timeout,
            task_metric: self.work.train().map(|train| train.data.task.metric()),
            sweep: self
                .work
                .throughput()
                .map(|throughput| Sweep { dtypes: &throughput.dtypes, batches: throughput.batch.sizes() }),
        }
    }

    fn all_checks(&self) -> Checks {
        self.checks.clone().with_defaults(self.work.checks(), self.facts())
    }

    /// Its checks in the order in which they are judged, those left out by `skip-checks` included.
    pub fn selected_checks(&self) -> Vec<CheckName> {
        self.all_checks().names().cloned().collect()
    }

    /// The checks that it runs, at work.
    pub(crate) fn started_checks(&self) -> Vec<(CheckName, Box<dyn Fold>)> {
        self.all_checks().started(self.facts(), |check| self.skip_checks.contains_key(check))
    }

    /// Whether gpu-worker runs the case.
    pub fn needs_worker(&self) -> bool {
        self.work.needs_worker()
    }

    /// Whether the case runs a model of the user's own.
    pub fn is_scripted(&self) -> bool {
        self.work.model().is_some_and(|model| model.torchscript.is_some())
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
        self.work.inputs().into_iter().map(|(_, input)| input).collect()
    }
}
