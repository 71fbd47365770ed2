//! The few layers that the built-in models are made of, over named weights.
//!
//! tch has layers too, but they end the process where libtorch throws, and keep their running statistics among the
//! parameters.

use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// Share of the new batch in BatchNorm's running statistics.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// Every tensor of a model by name, in the order in which the model was built.
pub(crate) struct Weights {
    device: Device,
    pub(crate) parameters: Vec<(String, Tensor)>,
    /// What is not, but belongs to the model: running statistics.
    pub(crate) buffers: Vec<(String, Tensor)>,
}

impl Weights {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, parameters: Vec::new(), buffers: Vec::new() }
    }

    /// A parameter with these values. They are drawn on the CPU: the same seed gives the same model everywhere.
    fn parameter(&mut self, name: String, values: &Tensor) -> Result<Tensor> {
        let values = if values.dim() == 4 && self.device == Device::Cpu {
            channels_last(values)?
        } else {
            values.shallow_clone()
        };
        let tensor = values.f_to(self.device)?.f_detach()?.f_set_requires_grad(true)?;
        self.parameters.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }

    fn constant(&mut self, name: String, channels: i64, value: f64) -> Result<Tensor> {
        let values = Tensor::f_full([channels], value, (Kind::Float, Device::Cpu))?;
        self.parameter(name, &values)
    }

    fn buffer(&mut self, name: String, channels: i64, value: f64) -> Result<Tensor> {
        let tensor = Tensor::f_full([channels], value, (Kind::Float, self.device))?;
        self.buffers.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }

    /// A convolution without a bias, for a BatchNorm after it: He's initialisation over the outputs.
    pub(crate) fn conv(&mut self, name: &str, from: i64, to: i64, kernel: i64, stride: i64) -> Result<Conv> {
        let values = he_normal([to, from, kernel, kernel], to * kernel * kernel)?;
        let weight = self.parameter(format!("{name}.weight"), &values)?;
        Ok(Conv { weight, bias: None, stride, padding: kernel / 2 })
    }

    /// The last 1 × 1 convolution: weights so small that the first outputs say "I do not know".
    pub(crate) fn conv_head(&mut self, name: &str, from: i64, to: i64, deviation: f64) -> Result<Conv> {
        let values = normal([to, from, 1, 1], deviation)?;
        let weight = self.parameter(format!("{name}.weight"), &values)?;
        let bias = self.constant(format!("{name}.bias"), to, 0.0)?;
        Ok(Conv { weight, bias: Some(bias), stride: 1, padding: 0 })
    }

    /// Doubles width and height.
    pub(crate) fn up(&mut self, name: &str, from: i64, to: i64) -> Result<Up> {
        let values = he_normal([from, to, 2, 2], to * 2 * 2)?;
        let weight = self.parameter(format!("{name}.weight"), &values)?;
        let bias = self.constant(format!("{name}.bias"), to, 0.0)?;
        Ok(Up { weight, bias })
    }

    pub(crate) fn norm(&mut self, name: &str, channels: i64) -> Result<Norm> {
        Ok(Norm {
            weight: self.constant(format!("{name}.weight"), channels, 1.0)?,
            bias: self.constant(format!("{name}.bias"), channels, 0.0)?,
            mean: self.buffer(format!("{name}.running_mean"), channels, 0.0)?,
            variance: self.buffer(format!("{name}.running_var"), channels, 1.0)?,
        })
    }

    /// The last layer of a classifier, small for the reason that [`Self::conv_head`] gives.
    pub(crate) fn linear_head(&mut self, name: &str, from: i64, to: i64, deviation: f64) -> Result<Linear> {
        let values = normal([to, from], deviation)?;
        let weight = self.parameter(format!("{name}.weight"), &values)?;
        let bias = self.constant(format!("{name}.bias"), to, 0.0)?;
        Ok(Linear { weight, bias })
    }
}

fn normal<const N: usize>(shape: [i64; N], deviation: f64) -> Result<Tensor> {
    Ok(Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?.f_mul_scalar(deviation)?)
}

/// Kaiming He's initialisation for ReLU, as torchvision's models have it.
fn he_normal<const N: usize>(shape: [i64; N], fan_out: i64) -> Result<Tensor> {
    normal(shape, (2.0 / fan_out as f64).sqrt())
}

/// The same values with the channels side by side in memory, which oneDNN's convolutions are fastest with.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        Ok(input.f_conv2d(&self.weight, self.bias.as_ref(), stride, padding, [1, 1], 1)?)
    }
}

pub(crate) struct Up {
    weight: Tensor,
    bias: Tensor,
}

impl Up {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_conv_transpose2d(&self.weight, Some(&self.bias), [2, 2], [0, 0], [0, 0], 1, [1, 1])?)
    }
}

pub(crate) struct Norm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl Norm {
    pub(crate) fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        Ok(input.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            train,
            MOMENTUM,
            EPSILON,
            true,
        )?)
    }
}

pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_linear(&self.weight, Some(&self.bias))?)
    }
}
