//! One run of training: a model, its optimizer and the batch, advanced step by step.

use gpu_suites::spec::{Control, Task};
use tch::{Device, Kind, Tensor};

use super::census::{Before, Census};
use super::{Job, copy_of, score};
use crate::data::Batch;
use crate::error::Result;
use crate::model::Model;
use crate::optim::{Adam, cosine};
use crate::shim::{self, Autocast};

/// Arithmetic of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Full,
    /// Matrix work in bfloat16, the rest in single precision.
    Mixed,
}

pub(super) struct Trainer<'a> {
    job: &'a Job<'a>,
    pub(super) model: Model,
    pub(super) adam: Adam,
    pub(super) input: Tensor,
    precision: Precision,
    pub(super) done: u64,
}

pub(super) struct Step {
    pub(super) loss: f64,
    pub(super) grad_norm: f64,
    /// The logits before the update.
    pub(super) logits: Tensor,
    pub(super) target: Tensor,
    /// The weights were updated: not where the loss or a gradient was not finite.
    pub(super) updated: bool,
    pub(super) census: Option<Census>,
}

impl<'a> Trainer<'a> {
    /// A run whose model and random numbers come from this seed.
    pub(super) fn new(job: &'a Job<'a>, seed: u64, precision: Precision) -> Result<Self> {
        seed_all(seed);
        let device = job.place.device;
        let model = Model::new(&job.train.model, job.train.data.task, device)?;
        if job.train.control == Some(Control::FrozenHead) {
            model.freeze_head_and_body()?;
        }
        let trainable = model.trainable().into_iter().map(|(_, tensor)| tensor).collect();
        let adam = Adam::new(trainable, device)?;
        let input = model.laid_out(&job.batch.input)?;
        Ok(Self { job, model, adam, input, precision, done: 0 })
    }

    pub(super) fn steps(&self) -> u64 {
        u64::from(self.job.train.steps.get())
    }

    /// Forward, backward, update. Nothing is updated where the loss or a gradient is not finite.
    pub(super) fn step(&mut self) -> Result<Step> {
        let target = self.target()?;
        let logits = self.forward()?;
        if self.done == 0 {
            score::check_shapes(self.task(), &self.input, &logits, &target)?;
        }
        let loss = score::loss(self.task(), &logits, &target)?;
        loss.f_backward()?;
        let grad_norm = self.adam.grad_norm()?;
        let loss = loss.f_double_value(&[])?;
        let updated = loss.is_finite() && grad_norm.is_finite();
        let before = if self.done == 0 { Some(Before::look(&self.model.parameters)?) } else { None };
        self.done += 1;
        if updated {
            self.adam.step(cosine(self.job.train.learning_rate, self.done, self.steps()))?;
        }
        let census = before.map(Before::after_update).transpose()?;
        Ok(Step { loss, grad_norm, logits: logits.f_detach()?, target, updated, census })
    }

    fn target(&self) -> Result<Tensor> {
        let target = &self.job.batch.target;
        if self.job.train.control != Some(Control::ShuffledLabels) {
            return Ok(target.shallow_clone());
        }
        let count = i64::try_from(target.numel()).unwrap_or(i64::MAX);
        let order = Tensor::f_randperm(count, (Kind::Int64, Device::Cpu))?.f_to(target.device())?;
        Ok(target.f_reshape([count])?.f_index_select(0, &order)?.f_reshape(target.size())?)
    }

    fn forward(&self) -> Result<Tensor> {
        let _autocast = match self.precision {
            Precision::Full => None,
            Precision::Mixed => Some(Autocast::bf16(self.job.place.device)?),
        };
        self.model.forward(&self.input, true)
    }

    /// The logits for an input, without a trace in the model: its buffers stay as they were.
    pub(super) fn evaluate(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        if !train {
            return self.model.forward(input, false);
        }
        let kept =
            self.model.buffers.iter().map(|(_, tensor)| copy_of(tensor)).collect::<Result<Vec<_>>>()?;
        let logits = self.model.forward(input, true);
        for ((_, buffer), kept) in self.model.buffers.iter().zip(&kept) {
            buffer.shallow_clone().f_copy_(kept)?;
        }
        logits
    }

    pub(super) fn metric(&self, train: bool) -> Result<f64> {
        score::metric(self.task(), &self.evaluate(&self.input, train)?, &self.job.batch.target)
    }

    pub(super) fn task(&self) -> Task {
        self.job.train.data.task
    }

    /// Every tensor on which the next steps depend, by name.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let prefixed = |prefix: &'static str, list: &[(String, Tensor)]| {
            list.iter()
                .map(move |(name, tensor)| (format!("{prefix}.{name}"), tensor.shallow_clone()))
                .collect::<Vec<_>>()
        };
        let mut state = prefixed("parameter", &self.model.parameters);
        state.extend(prefixed("buffer", &self.model.buffers));
        state.extend(self.adam.state());
        state
    }

    /// The hash of what a step was fed.
    pub(super) fn batch_hash(&self, step: &Step) -> Result<String> {
        Batch::hash(&self.input, &step.target)
    }
}

/// Seeds the generators of every device.
fn seed_all(seed: u64) {
    // libtorch takes the same 64 bits as a signed number.
    tch::manual_seed(seed.cast_signed());
}

/// The states of the random generators that a device's training uses.
pub(super) fn random_state(device: Device) -> Result<Vec<(String, Tensor)>> {
    let mut states = vec![("random.cpu".to_owned(), shim::rng_state(Device::Cpu)?)];
    if device.is_cuda() {
        states.push(("random.cuda".to_owned(), shim::rng_state(device)?));
    }
    Ok(states)
}
