//! What a case may run: each kind of work is a file here, with its type, rules, inputs and the checks of its cases.
//!
//! A new one is a file and a line in the list below; CONTRIBUTING.md leads through it.

mod canary;
mod command;
mod pipeline;
mod throughput;
mod train;

use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

pub use pipeline::{Cut, Images, Output, Resize, S3};
pub use throughput::{BatchSizes, Layout, Mode};
pub use train::{Control, Data, Task};

use super::{Case, InputPath, Model};
use crate::checks::Checks;
use crate::violations::Violations;

/// A kind of work.
pub(crate) trait Kind {
    /// Whether gpu-worker does it, which needs libtorch on the node.
    fn needs_worker(&self) -> bool {
        true
    }

    /// The model that it runs.
    fn model(&self) -> Option<&Model> {
        None
    }

    /// Every file that it needs on the node, by the key that names it, e.g. `data.image`.
    fn inputs(&self) -> Vec<(String, &InputPath)> {
        Vec::new()
    }

    /// The checks that its cases run where their suite does not say otherwise, besides those that say so themselves.
    fn checks(&self) -> Checks {
        Checks::default()
    }

    /// Tells what no node could start. The node asks this too: its plan came over the wire.
    fn startable(&self, _violations: &mut Violations<'_>) {}

    /// Tells what cannot be meant in a suite file.
    fn rules(&self, case: &Case, violations: &mut Violations<'_>);
}

macro_rules! kinds {
    ($($key:literal => $module:ident :: $Kind:ident,)*) => {
        $(
            pub use $module::$Kind;

            impl From<$Kind> for Work {
                fn from(work: $Kind) -> Self {
                    Self::$Kind(work)
                }
            }
        )*

        /// What a case runs.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Work {
            $(
                #[doc = concat!("`", $key, "`")]
                #[serde(rename = $key)]
                $Kind($Kind),
            )*
        }

        impl Work {
            /// The keys of a case that say what it runs.
            pub const KINDS: [&'static str; [$($key),*].len()] = [$($key),*];

            $(
                #[doc = concat!("The work of a `", $key, "` case.")]
                pub fn $module(&self) -> Option<&$Kind> {
                    match self {
                        Self::$Kind(work) => Some(work),
                        _ => None,
                    }
                }
            )*

            /// The key that says it.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Self::$Kind(_) => $key,)*
                }
            }

            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$Kind(work) => work,)*
                }
            }

            /// Reads what stands behind one of [`Self::KINDS`].
            pub(crate) fn read<'de, D: Deserializer<'de>>(key: &str, from: D) -> Result<Self, D::Error> {
                match key {
                    $($key => $Kind::deserialize(from).map(Self::$Kind),)*
                    _ => Err(serde::de::Error::unknown_variant(key, &Self::KINDS)),
                }
            }

            /// What stands behind each of [`Self::KINDS`], as a schema.
            pub(crate) fn schemas(generator: &mut SchemaGenerator) -> [Schema; Self::KINDS.len()] {
                [$(generator.subschema_for::<$Kind>()),*]
            }
        }
    };
}

// In the order in which messages name them.
kinds! {
    "train" => train::Train,
    "throughput" => throughput::Throughput,
    "pipeline" => pipeline::Pipeline,
    "canary" => canary::Canary,
    "command" => command::Command,
}

impl Work {
    /// Whether gpu-worker does it, which needs libtorch on the node.
    pub fn needs_worker(&self) -> bool {
        self.kind().needs_worker()
    }

    /// The model that it runs.
    pub fn model(&self) -> Option<&Model> {
        self.kind().model()
    }

    /// Every file that it needs on the node, by the key of a case that names it, e.g. `train.data.image`.
    pub fn inputs(&self) -> Vec<(String, &InputPath)> {
        let whole = |(key, input)| (format!("{}.{key}", self.key()), input);
        self.kind().inputs().into_iter().map(whole).collect()
    }

    /// The first reason why no node could start it.
    pub fn startable(&self) -> Result<(), String> {
        let mut violations = Vec::new();
        self.kind().startable(&mut Violations::new(self.key().to_owned(), &mut violations));
        violations.into_iter().next().map_or(Ok(()), |violation| Err(violation.message))
    }

    pub(crate) fn checks(&self) -> Checks {
        self.kind().checks()
    }

    pub(crate) fn rules(&self, case: &Case, violations: &mut Violations<'_>) {
        self.kind().rules(case, &mut violations.below(self.key()));
    }
}

/// Those inputs that are given.
fn given<'a, const N: usize>(inputs: [(&str, Option<&'a InputPath>); N]) -> Vec<(String, &'a InputPath)> {
    inputs.into_iter().filter_map(|(key, input)| Some((key.to_owned(), input?))).collect()
}
