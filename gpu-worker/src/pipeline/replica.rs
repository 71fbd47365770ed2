//! A replica of the model: takes what is there, up to a batch, and never waits for more (Triton's opportunistic rule).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use gpu_suites::spec::{Mode, Output};
use tch::{Device, Kind, TchError, Tensor};

use super::decode::Decoded;
use super::halt::Halt;
use super::host_transfer::HostTransfer;
use super::meter::Meters;
use super::rows::{Prediction, Row, runs};
use super::{Job, PipelineError};
use crate::data::image::{DEVIATION, MEAN};
use crate::error::Result;
use crate::model::Model;
use crate::model::layers::channels_last;
use crate::throughput::kind_of;

/// Batches before the clock starts: TorchScript optimizes itself with the first ones.
const WARM_UP: u32 = 3;

/// Of the time for the model's ceiling, the part that copying is measured for.
const COPY_SHARE: u32 = 4;

/// libtorch has one random generator for the process: models that draw their weights take turns.
static BUILDING: Mutex<()> = Mutex::new(());

/// A model on a device, in a thread of its own from its making on.
pub(super) struct Replica<'a> {
    job: &'a Job<'a>,
    model: Model,
    device: Device,
    transfer: HostTransfer,
    kind: Kind,
    mean: Tensor,
    deviation: Tensor,
}

/// What a replica can do alone, in images a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Speed {
    /// Bringing batches to the device.
    pub(super) copy: f64,
    /// Predicting batches that are there.
    pub(super) model: f64,
}

impl<'a> Replica<'a> {
    pub(super) fn build(job: &'a Job<'a>, device: Device) -> Result<Self> {
        let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        // Before anything else: what is made from here on is queued on this thread's own stream.
        let (batch, side) = (i64::from(job.wanted.batch.get()), i64::from(job.wanted.size.get()));
        let transfer = HostTransfer::open(device, batch, side)?;
        let kind = kind_of(job.wanted.dtype);
        tch::manual_seed(job.seed.cast_signed());
        let mut model = Model::to_measure(&job.wanted.model, Mode::Inference, device)?;
        model.convert(kind, true)?;
        // One that cannot be rewritten runs as it is.
        let example = Tensor::f_zeros([1, 3, side, side], (kind, device))?;
        let _ = tch::no_grad(|| model.optimize(&example));
        // As large as an image: numbers that repeat every three would keep the processor from taking many at a time.
        let channels = |values: [f32; 3]| -> Result<Tensor> {
            let scaled = Vec::from_iter(values.map(|value| value * 255.0));
            let image =
                Tensor::f_from_slice(&scaled)?.f_view([1, 3, 1, 1])?.f_expand([1, 3, side, side], false)?;
            Ok(channels_last(&image)?.f_to(device)?)
        };
        Ok(Self {
            job,
            model,
            device,
            transfer,
            kind,
            mean: channels(MEAN)?,
            deviation: channels(DEVIATION)?,
        })
    }

    /// Images a second on random pixels, in full batches, with nothing to wait for.
    pub(super) fn ceiling(&self, time: Duration) -> Result<Speed> {
        let batch = i64::from(self.job.wanted.batch.get());
        let side = i64::from(self.job.wanted.size.get());
        let images = (0..batch).map(|_| -> Result<Tensor> {
            let pixels = Tensor::f_randint(256, [1, side, side, 3], (Kind::Uint8, Device::Cpu))?;
            Ok(pixels.f_permute([0, 3, 1, 2])?)
        });
        let images = images.collect::<Result<Vec<_>>>()?;
        let images = Vec::from_iter(&images);
        // To read one number of a batch waits until it is there.
        let copy = self.repeated(time / COPY_SHARE, || {
            let carried = self.transfer.carry(&images)?;
            carried.f_int64_value(&[0, 0, 0, 0])?;
            Ok(())
        })?;
        let pixels = self.transfer.carry(&images)?;
        let model = self.repeated(time, || self.predict(&pixels).map(drop))?;
        Ok(Speed { copy, model })
    }

    /// Images a second of `work` on a full batch.
    fn repeated(&self, time: Duration, work: impl Fn() -> Result<()>) -> Result<f64> {
        for _ in 0..WARM_UP {
            work()?;
        }
        let (begun, mut images) = (Instant::now(), 0);
        while begun.elapsed() < time || images == 0 {
            work()?;
            images += self.job.wanted.batch.get();
        }
        Ok(super::rate(f64::from(images), begun.elapsed()))
    }

    /// One thread: predicts until there is nothing left.
    pub(super) fn run(&self, decoded: &Receiver<Decoded>, rows: &Sender<Row>, halt: &Halt, meters: &Meters) {
        let most = self.job.wanted.batch.get() as usize;
        while let Ok(first) = decoded.recv() {
            let mut batch = vec![first];
            while batch.len() < most
                && let Ok(next) = decoded.try_recv()
            {
                batch.push(next);
            }
            meters.batch(batch.len());
            let predicted =
                meters.occupancy.during(self.device, batch.len(), || self.of_batch(&batch, meters));
            match predicted {
                Ok(predictions) => {
                    for (image, prediction) in batch.into_iter().zip(predictions) {
                        let row = match prediction {
                            Ok(prediction) => Row::predicted(image.input, image.about, prediction),
                            Err(why) => Row::failed(image.input, Some(image.about), &why),
                        };
                        if rows.send(row).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    halt.stop(error);
                    return;
                }
            }
            if halt.is_set() {
                return;
            }
        }
    }

    fn of_batch(&self, batch: &[Decoded], meters: &Meters) -> Result<Vec<Answer>> {
        let images = Vec::from_iter(batch.iter().map(|image| &image.pixels));
        let pixels = meters.copy.busy(|| self.transfer.carry(&images))?;
        meters.copy.count(batch.len(), pixels.numel());
        let predicted = meters.model.busy(|| self.predict(&pixels));
        meters.model.count(batch.len(), 0);
        predicted
    }

    /// `[N, 3, S, S]` of bytes on the device to N predictions. Numbers that are none are no answer.
    fn predict(&self, pixels: &Tensor) -> Result<Vec<Answer>> {
        let _no_grad = tch::no_grad_guard();
        let count = pixels.size()[0];
        let mut input = pixels.f_to_kind(Kind::Float)?;
        let input = input.f_sub_(&self.mean)?.f_div_(&self.deviation)?.f_to_kind(self.kind)?;
        let output = self.model.forward(&input, false)?.f_to_kind(Kind::Float)?;
        let shape = output.size();
        let fits = shape.first() == Some(&count)
            && match self.job.wanted.output {
                Output::Classify => shape.len() == 2 && shape[1] > 0,
                Output::Segment => shape.len() == 4 && shape[1] == 1,
                Output::Embed => shape.len() > 1,
            };
        if !fits {
            return Err(PipelineError::Output { shape, output: self.job.wanted.output.as_str() }.into());
        }
        match self.job.wanted.output {
            Output::Classify => {
                let top = i64::from(self.job.wanted.top.get()).min(shape[1]);
                let (scores, classes) = output.f_softmax(1, Kind::Float)?.f_topk(top, 1, true, true)?;
                let scores = numbers::<f32>(&scores, Kind::Float)?;
                let classes = numbers::<i32>(&classes, Kind::Int)?;
                let top = usize::try_from(top).unwrap_or(1);
                let pairs = classes.chunks(top).zip(scores.chunks(top));
                let of = |(classes, scores): (&[i32], &[f32])| {
                    let answer = Prediction::Classes { classes: classes.to_vec(), scores: scores.to_vec() };
                    finite(scores).map(|()| answer)
                };
                Ok(pairs.map(of).collect())
            }
            Output::Embed => {
                let values = numbers::<f32>(&output, Kind::Float)?;
                let length = usize::try_from(shape[1..].iter().product::<i64>()).unwrap_or(1).max(1);
                let of = |values: &[f32]| finite(values).map(|()| Prediction::Embedding(values.to_vec()));
                Ok(values.chunks(length).map(of).collect())
            }
            Output::Segment => {
                // A NaN is not above 0, and would be background.
                let odd = output.f_isnan()?.f_flatten(1, -1)?.f_sum_dim_intlist(1_i64, false, Kind::Int64)?;
                let odd = numbers::<i64>(&odd, Kind::Int64)?;
                let mask = numbers::<u8>(&output.f_gt(0.0)?, Kind::Uint8)?;
                let (height, width) = (as_usize(shape[2]), as_usize(shape[3]));
                let of = |(mask, odd): (&[u8], &i64)| match odd {
                    0 => Ok(Prediction::Mask {
                        width: i32::try_from(width).unwrap_or(i32::MAX),
                        height: i32::try_from(height).unwrap_or(i32::MAX),
                        counts: runs(mask, width, height),
                    }),
                    some => {
                        Err(format!("the model's answer is no number: {some} of {} are NaN", width * height))
                    }
                };
                Ok(mask.chunks((width * height).max(1)).zip(&odd).map(of).collect())
            }
        }
    }
}

/// What the model says of one image, or why that is no answer.
type Answer = std::result::Result<Prediction, String>;

/// Whether all of an answer's numbers are numbers.
fn finite(values: &[f32]) -> std::result::Result<(), String> {
    let odd = values.iter().filter(|value| !value.is_finite()).count();
    match odd {
        0 => Ok(()),
        some => {
            Err(format!("the model's answer is no number: {some} of {} are NaN or infinite", values.len()))
        }
    }
}

fn as_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn numbers<T>(tensor: &Tensor, kind: Kind) -> Result<Vec<T>>
where
    Vec<T>: for<'a> TryFrom<&'a Tensor, Error = TchError>,
{
    let flat = tensor.f_to(Device::Cpu)?.f_to_kind(kind)?.f_contiguous()?.f_view([-1])?;
    Ok(Vec::try_from(&flat)?)
}
