//! A small U-Net (Ronneberger et al. 2015) with BatchNorm: one logit per pixel.

use tch::{Device, Tensor};

use super::layers::{Conv, Norm, Up, Weights};
use crate::error::Result;

/// Channels of the first level where the case does not say; each level below has twice as many.
pub(crate) const WIDTH: u32 = 16;
/// Levels below the first.
const DEPTH: u32 = 3;
/// Scale of the last layer's weights: the first loss is ln 2 within a few percent, the first gradients reach the body.
const HEAD: f64 = 0.1;

pub(crate) struct UNet {
    down: Vec<Double>,
    up: Vec<(Up, Double)>,
    head: Conv,
}

impl UNet {
    /// Sides of the input must be divisible by this.
    pub(crate) const MULTIPLE: i64 = 1 << DEPTH;

    pub(crate) fn new(width: u32, device: Device) -> Result<(Self, Weights)> {
        let mut weights = Weights::new(device);
        let channels = |level: u32| i64::from(width) << level;
        let mut down = Vec::new();
        let mut from = 3;
        for level in 0..=DEPTH {
            down.push(Double::new(&mut weights, &format!("down{level}"), from, channels(level))?);
            from = channels(level);
        }
        let mut up = Vec::new();
        for level in (0..DEPTH).rev() {
            let wider = weights.up(&format!("up{level}.wider"), channels(level + 1), channels(level))?;
            let double =
                Double::new(&mut weights, &format!("up{level}"), 2 * channels(level), channels(level))?;
            up.push((wider, double));
        }
        let head = weights.conv_head("head", channels(0), 1, HEAD)?;
        Ok((Self { down, up, head }, weights))
    }

    pub(crate) fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut levels: Vec<Tensor> = Vec::with_capacity(self.down.len());
        for double in &self.down {
            let smaller = match levels.last() {
                Some(above) => above.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?,
                None => input.shallow_clone(),
            };
            levels.push(double.forward(&smaller, train)?);
        }
        let mut value = levels.pop().unwrap_or_else(|| input.shallow_clone());
        for (wider, double) in &self.up {
            let wide = wider.forward(&value)?;
            let beside = levels.pop().unwrap_or_else(|| wide.shallow_clone());
            value = double.forward(&Tensor::f_cat(&[&beside, &wide], 1)?, train)?;
        }
        self.head.forward(&value)
    }
}

/// Convolution, BatchNorm, ReLU, twice.
struct Double {
    first: (Conv, Norm),
    second: (Conv, Norm),
}

impl Double {
    fn new(weights: &mut Weights, name: &str, from: i64, to: i64) -> Result<Self> {
        Ok(Self {
            first: (
                weights.conv(&format!("{name}.conv1"), from, to, 3, 1)?,
                weights.norm(&format!("{name}.norm1"), to)?,
            ),
            second: (
                weights.conv(&format!("{name}.conv2"), to, to, 3, 1)?,
                weights.norm(&format!("{name}.norm2"), to)?,
            ),
        })
    }

    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let (conv, norm) = &self.first;
        let value = norm.forward(&conv.forward(input)?, train)?.f_relu_()?;
        let (conv, norm) = &self.second;
        Ok(norm.forward(&conv.forward(&value)?, train)?.f_relu_()?)
    }
}
