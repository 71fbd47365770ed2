//! ResNet-18 and ResNet-50 (He et al. 2015), layer for layer and name for name torchvision's.

use tch::{Device, Kind, Tensor};

use super::layers::{Conv, Linear, Norm, Weights};
use crate::error::Result;

/// Channels of the four stages, before a bottleneck widens them.
const STAGES: [i64; 4] = [64, 128, 256, 512];
/// Scale of the last layer's weights: with two classes the first loss is near ln 2.
const HEAD: f64 = 0.01;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Blocks of two 3 × 3 convolutions.
    Eighteen,
    /// Bottlenecks: 1 × 1, 3 × 3, 1 × 1.
    Fifty,
}

impl Depth {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::Eighteen => [2, 2, 2, 2],
            Self::Fifty => [3, 4, 6, 3],
        }
    }

    /// How much wider a block's output is than its stage.
    fn expansion(self) -> i64 {
        match self {
            Self::Eighteen => 1,
            Self::Fifty => 4,
        }
    }
}

pub(crate) struct ResNet {
    conv: Conv,
    norm: Norm,
    blocks: Vec<Block>,
    head: Linear,
}

impl ResNet {
    pub(crate) fn new(depth: Depth, classes: i64, device: Device) -> Result<(Self, Weights)> {
        let mut weights = Weights::new(device);
        let conv = weights.conv("conv1", 3, STAGES[0], 7, 2)?;
        let norm = weights.norm("bn1", STAGES[0])?;
        let mut blocks = Vec::new();
        let mut from = STAGES[0];
        for (stage, (width, count)) in STAGES.into_iter().zip(depth.blocks()).enumerate() {
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                blocks.push(Block::new(&mut weights, depth, &name, from, width, stride)?);
                from = width * depth.expansion();
            }
        }
        let head = weights.linear_head("fc", from, classes, HEAD)?;
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

/// Two or three convolutions, each with its norm, and the way around them.
struct Block {
    layers: Vec<(Conv, Norm)>,
    around: Option<(Conv, Norm)>,
}

impl Block {
    fn new(
        weights: &mut Weights,
        depth: Depth,
        name: &str,
        from: i64,
        width: i64,
        stride: i64,
    ) -> Result<Self> {
        let to = width * depth.expansion();
        let shapes: &[(i64, i64, i64, i64)] = match depth {
            Depth::Eighteen => &[(from, width, 3, stride), (width, width, 3, 1)],
            Depth::Fifty => &[(from, width, 1, 1), (width, width, 3, stride), (width, to, 1, 1)],
        };
        let mut layers = Vec::new();
        for (index, (from, to, kernel, stride)) in shapes.iter().enumerate() {
            let number = index + 1;
            layers.push((
                weights.conv(&format!("{name}.conv{number}"), *from, *to, *kernel, *stride)?,
                weights.norm(&format!("{name}.bn{number}"), *to)?,
            ));
        }
        let around = if stride == 1 && from == to {
            None
        } else {
            Some((
                weights.conv(&format!("{name}.downsample.0"), from, to, 1, stride)?,
                weights.norm(&format!("{name}.downsample.1"), to)?,
            ))
        };
        Ok(Self { layers, around })
    }

    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let apply = |(conv, norm): &(Conv, Norm), value: &Tensor| norm.forward(&conv.forward(value)?, train);
        let mut value = input.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            value = apply(layer, &value)?;
            if index + 1 < self.layers.len() {
                value = value.f_relu_()?;
            }
        }
        let around = match &self.around {
            Some(layers) => apply(layers, input)?,
            None => input.shallow_clone(),
        };
        Ok(value.f_add_(&around)?.f_relu_()?)
    }
}
