//! What has to be on a node before the first case that needs it, and is put there where it is not.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Span;

/// What a node is made ready with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Environment {
    /// Whether the libtorch that gpu-worker links is fetched where the node has none.
    pub libtorch: Libtorch,
    /// The index of Python packages that is asked, `https://[user:password@]host/simple`; default: the one that pip is set up
    /// for on the node, else PyPI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// How long making the node ready may take.
    pub timeout: Span,
}

/// What becomes of a node without libtorch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Libtorch {
    /// It is fetched, before the first case that needs it.
    #[default]
    Auto,
    /// Nothing is fetched: cases that need it end as errored.
    Off,
}

impl Environment {
    /// As long as 2.3 GB take at 16 Mbit/s.
    const TIMEOUT: Span = Span(Duration::from_secs(20 * 60));
}

impl Default for Environment {
    fn default() -> Self {
        Self { libtorch: Libtorch::Auto, index: None, timeout: Self::TIMEOUT }
    }
}
