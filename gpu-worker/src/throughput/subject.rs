//! What is run again and again: a model, its inputs, and one iteration of it.

use std::num::NonZeroU32;

use gpu_suites::spec::{Dtype, Layout, Mode, Throughput};
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::model::Model;
use crate::model::layers::channels_last;
use crate::optim::Adam;
use crate::shim::Autocast;

/// Inputs that take turns, so that no iteration finds the last one's in a cache.
const INPUTS: usize = 4;
/// The optimizer's rate: small, so that the weights stay finite however often the step is repeated.
const RATE: f64 = 1e-6;

/// A model in one format of numbers, ready to run.
pub(super) struct Subject {
    model: Model,
    adam: Option<Adam>,
    dtype: Dtype,
    device: Device,
    layout: Layout,
    shape: Vec<i64>,
}

pub(super) struct Inputs {
    tensors: Vec<Tensor>,
    next: usize,
    pub(super) batch: NonZeroU32,
}

impl Subject {
    pub(super) fn new(wanted: &Throughput, dtype: Dtype, seed: u64, device: Device) -> Result<Self> {
        tch::manual_seed(seed.cast_signed());
        let model = Model::to_measure(&wanted.model, wanted.mode, device)?;
        let side_by_side = wanted.layout == Layout::ChannelsLast;
        // Training keeps its weights in single precision; autocast converts them as it goes.
        let kind = if wanted.mode == Mode::Inference { kind_of(dtype) } else { Kind::Float };
        model.convert(kind, side_by_side)?;
        let adam = match wanted.mode {
            Mode::Inference => None,
            Mode::TrainingStep => {
                Some(Adam::new(model.trainable().into_iter().map(|(_, tensor)| tensor).collect(), device)?)
            }
        };
        let shape = wanted.input.iter().map(|side| i64::from(side.get())).collect();
        Ok(Self { model, adam, dtype, device, layout: wanted.layout, shape })
    }

    /// Random inputs: zeros would flatter (they take less power, and clocks stay higher).
    pub(super) fn inputs(&self, batch: NonZeroU32) -> Result<Inputs> {
        let shape = Vec::from_iter(std::iter::once(i64::from(batch.get())).chain(self.shape.iter().copied()));
        let kind = if self.adam.is_none() { kind_of(self.dtype) } else { Kind::Float };
        let input = || -> Result<Tensor> {
            let values = Tensor::f_randn(&shape, (Kind::Float, Device::Cpu))?.f_to_kind(kind)?;
            let values = match (shape.len(), self.layout) {
                (4, Layout::ChannelsLast) => channels_last(&values)?,
                _ => values,
            };
            Ok(values.f_to(self.device)?)
        };
        let tensors = (0..INPUTS).map(|_| input()).collect::<Result<_>>()?;
        Ok(Inputs { tensors, next: 0, batch })
    }

    /// One iteration. On a GPU it is only begun: see [`settle`].
    pub(super) fn iterate(&mut self, inputs: &mut Inputs) -> Result<()> {
        let input = inputs.tensors[inputs.next].shallow_clone();
        inputs.next = (inputs.next + 1) % inputs.tensors.len();
        let Some(adam) = &mut self.adam else {
            let _no_grad = tch::no_grad_guard();
            let _ = self.model.forward(&input, false)?;
            return Ok(());
        };
        let output = {
            let _autocast = match self.dtype {
                Dtype::Bf16 => Some(Autocast::bf16(self.device)?),
                Dtype::Fp32 | Dtype::Fp16 => None,
            };
            self.model.forward(&input, true)?
        };
        output.f_to_kind(Kind::Float)?.f_square()?.f_mean(None::<Kind>)?.f_backward()?;
        adam.step(RATE)
    }
}

/// Waits until the device has done all that was asked of it.
pub(super) fn settle(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(i64::try_from(index).unwrap_or(0));
    }
}

pub(crate) fn kind_of(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::Fp32 => Kind::Float,
        Dtype::Fp16 => Kind::Half,
        Dtype::Bf16 => Kind::BFloat16,
    }
}
