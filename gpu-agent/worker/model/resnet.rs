//! ResNet-18 (He et al. 2015), layer for layer and name for name torchvision's.

use tch::{Device, Kind, Tensor};

use super::layers::{Conv, Linear, Norm, Weights};
use crate::error::Result;

/// Classes: a box, or background.
pub(crate) const CLASSES: i64 = 2;
/// Channels of the four stages.
const STAGES: [i64; 4] = [64, 128, 256, 512];
/// Scale of the last layer's weights: the first loss is near ln 2.
const HEAD: f64 = 0.01;

pub(crate) struct ResNet18 {
    conv: Conv,
    norm: Norm,
    blocks: Vec<Block>,
    head: Linear,
}

impl ResNet18 {
    pub(crate) fn new(device: Device) -> Result<(Self, Weights)> {
        let mut weights = Weights::new(device);
        let conv = weights.conv("conv1", 3, STAGES[0], 7, 2)?;
        let norm = weights.norm("bn1", STAGES[0])?;
        let mut blocks = Vec::new();
        let mut from = STAGES[0];
        for (stage, to) in STAGES.into_iter().enumerate() {
            for block in 0..2 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                blocks.push(Block::new(&mut weights, &name, from, to, stride)?);
                from = to;
            }
        }
        let head = weights.linear_head("fc", from, CLASSES, HEAD)?;
        Ok((Self { conv, norm, blocks, head }, weights))
    }

    pub(crate) fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let stem = self.norm.forward(&self.conv.forward(input)?, train)?.f_relu_()?;
        let mut value = stem.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            value = block.forward(&value, train)?;
        }
        // What torchvision's adaptive pooling to 1 × 1 computes, with a backward pass that is deterministic on CUDA.
        let pooled = value.f_mean_dim([2i64, 3].as_slice(), false, None::<Kind>)?;
        self.head.forward(&pooled)
    }
}

/// Two 3 × 3 convolutions and the way around them.
struct Block {
    first: (Conv, Norm),
    second: (Conv, Norm),
    around: Option<(Conv, Norm)>,
}

impl Block {
    fn new(weights: &mut Weights, name: &str, from: i64, to: i64, stride: i64) -> Result<Self> {
        let first = (
            weights.conv(&format!("{name}.conv1"), from, to, 3, stride)?,
            weights.norm(&format!("{name}.bn1"), to)?,
        );
        let second = (
            weights.conv(&format!("{name}.conv2"), to, to, 3, 1)?,
            weights.norm(&format!("{name}.bn2"), to)?,
        );
        let around = if stride == 1 && from == to {
            None
        } else {
            Some((
                weights.conv(&format!("{name}.downsample.0"), from, to, 1, stride)?,
                weights.norm(&format!("{name}.downsample.1"), to)?,
            ))
        };
        Ok(Self { first, second, around })
    }

    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let apply = |(conv, norm): &(Conv, Norm), value: &Tensor| norm.forward(&conv.forward(value)?, train);
        let value = apply(&self.first, input)?.f_relu_()?;
        let mut value = apply(&self.second, &value)?;
        let around = match &self.around {
            Some(layers) => apply(layers, input)?,
            None => input.shallow_clone(),
        };
        Ok(value.f_add_(&around)?.f_relu_()?)
    }
}
