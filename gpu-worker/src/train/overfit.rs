//! The main run: every step on the one batch, measured.

use std::path::Path;

use gpu_suites::metrics::Value;

use super::trainer::{Precision, Step, Trainer};
use super::{Job, checkpoint, score};
use crate::data::zeroed;
use crate::emit::{Emitter, number};
use crate::error::Result;

/// Times that the metric is taken on the way.
const GLIMPSES: u64 = 10;

/// The run, and whether it came to its last step.
pub(super) struct Overfitted<'a> {
    pub(super) trainer: Trainer<'a>,
    pub(super) complete: bool,
}

/// Trains, writes what each step shows beside the loss that is `known` of it, and leaves a checkpoint after step `save_at`.
pub(super) fn run<'a>(
    job: &'a Job<'a>,
    emitter: &mut Emitter,
    save: Option<(u64, &Path)>,
    known: &[f32],
) -> Result<Overfitted<'a>> {
    let mut trainer = Trainer::new(job, job.seed, Precision::Full)?;
    let steps = trainer.steps();
    let glimpse_every = (steps / GLIMPSES).max(1);
    emitter.progress("train", 0, steps)?;
    let mut known = known.iter();
    for number_of_step in 1..=steps {
        let step = trainer.step()?;
        let mut metrics = measured(job, &trainer, &step)?;
        metrics.extend(known.next().map(|loss| ("golden/loss".to_owned(), number(f64::from(*loss)))));
        if number_of_step == 1 {
            let expected = score::expected_initial_loss(trainer.task(), &step.logits);
            metrics.push(("expected_initial_loss".into(), number(expected)));
            metrics.extend(step.census.iter().flat_map(super::census::Census::metrics));
        }
        if number_of_step % glimpse_every == 0 && number_of_step < steps && step.updated {
            // The training metric comes from the step's own logits, before its update; the other costs a forward.
            let name = score::metric_name(trainer.task());
            let train = score::metric(trainer.task(), &step.logits, &step.target)?;
            metrics.push((format!("train/{name}"), number(train)));
            metrics.push((format!("eval/{name}"), number(trainer.metric(false)?)));
        }
        emitter.metrics(Some(number_of_step), metrics)?;
        emitter.progress("train", number_of_step, steps)?;
        if !step.updated {
            return Ok(Overfitted { trainer, complete: false });
        }
        if let Some((at, path)) = save
            && at == number_of_step
        {
            checkpoint::save(&trainer, job.place.device, path)?;
        }
    }
    Ok(Overfitted { trainer, complete: true })
}

/// What is written of each step.
pub(super) fn measured(job: &Job<'_>, trainer: &Trainer<'_>, step: &Step) -> Result<Vec<(String, Value)>> {
    let mut metrics = vec![
        ("loss".to_owned(), number(step.loss)),
        ("grad_norm".to_owned(), number(step.grad_norm)),
        ("batch_hash".to_owned(), Value::Text(trainer.batch_hash(step)?)),
    ];
    if let Some(bytes) = job.place.memory()? {
        metrics.push(("memory_bytes".to_owned(), number(bytes)));
    }
    Ok(metrics)
}

/// The metric at the end, in both modes and without an image.
pub(super) fn conclude(job: &Job<'_>, trainer: &Trainer<'_>, emitter: &mut Emitter) -> Result<()> {
    let name = score::metric_name(trainer.task());
    let nothing = trainer.evaluate(&zeroed(&trainer.input)?, false)?;
    let metrics = vec![
        (format!("train/{name}"), number(trainer.metric(true)?)),
        (format!("eval/{name}"), number(trainer.metric(false)?)),
        (format!("zeroed/{name}"), number(score::metric(trainer.task(), &nothing, &job.batch.target)?)),
    ];
    emitter.metrics(Some(trainer.done), metrics)
}
