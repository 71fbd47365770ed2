//! Which model a case runs.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InputPath;
use crate::violations::Violations;

/// What is trained: exactly one of `builtin` and `torchscript`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = [{ "required": ["builtin"] }, { "required": ["torchscript"] }]))]
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

impl Model {
    pub(crate) fn rules(&self, violations: &mut Violations<'_>) {
        match (self.builtin, &self.torchscript) {
            (Some(_), Some(_)) => {
                violations.add("torchscript", "both `builtin` and `torchscript`", "keep one of them");
            }
            (None, None) => {
                let hint = "write `builtin: unet`, `builtin: resnet18` or `torchscript: PATH`";
                violations.add("", "the model says neither `builtin` nor `torchscript`", hint);
            }
            _ => {}
        }
        if self.width.is_some() && self.builtin != Some(Builtin::Unet) {
            violations.add("width", "`width` is for `builtin: unet` only", "remove it");
        }
    }
}
