//! One line of the history: a metric of a case in a run, or a case without one.

use gpu_suites::id::{CaseId, RunId};
use gpu_suites::metrics::Value;
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a case measured of one metric; or only how it ended, where it measured nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub run: RunId,
    pub at: Timestamp,
    pub suite: String,
    pub case: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its value: the median of `measured`, which may be NaN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Each measurement, where the case was run again to make sure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Value>,
    /// What has to be the same for two values to be compared.
    pub key: Key,
    /// The commit of the tree that holds the suites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub outcome: Outcome,
    /// Whether it passed only at a later try.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
    /// Whether the value may enter a baseline.
    pub healthy: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<String>,
}

/// What a value was measured on. Values with different keys are different series.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The GPU's name; the CPU's, where the case ran on that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Threads, where the case ran on a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libtorch: Option<String>,
    /// The cloud's name for the kind of machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// `ec2` for one that was made for the run, else the node's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl Line {
    pub fn id(&self) -> CaseId {
        CaseId::new(&self.suite, &self.case)
    }

    /// The value as a number, where it is one; NaN counts as one.
    pub fn number(&self) -> Option<f64> {
        self.value.as_ref().and_then(Value::number)
    }

    /// Each measurement as a number: the value alone where there was one.
    pub fn numbers(&self) -> Vec<f64> {
        let many = Vec::from_iter(self.measured.iter().filter_map(Value::number));
        if many.is_empty() { self.number().into_iter().collect() } else { many }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("model ", &self.model),
            ("", &self.dtype),
            ("batch ", &self.batch),
            ("", &self.device),
            ("threads ", &self.threads),
            ("driver ", &self.driver),
            ("libtorch ", &self.libtorch),
            ("", &self.instance_type),
            ("node ", &self.node),
        ];
        let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("{name}{}", part.as_ref()?)));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}
