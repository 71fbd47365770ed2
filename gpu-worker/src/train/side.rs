//! The runs beside the main one, each of which answers one question about it.

use std::path::Path;

use gpu_suites::checks;
use tch::Tensor;

use super::checkpoint;
use super::trainer::{Precision, Trainer};
use super::{Job, score};
use crate::emit::{Emitter, number};
use crate::error::Result;
use crate::shim::Module;

/// Does the same seed give the same losses? The first steps again, from nothing.
pub(super) fn repeat(job: &Job<'_>, emitter: &mut Emitter) -> Result<()> {
    let mut trainer = Trainer::new(job, job.seed, Precision::Full)?;
    let steps = u64::from(job.train.repeat_steps.get()).min(trainer.steps());
    losses(&mut trainer, emitter, "repeat", "repeat/loss", steps)
}

/// Does a run that was saved go on as if nothing had been? A new model, of another seed, takes over the file.
pub(super) fn resume(job: &Job<'_>, emitter: &mut Emitter, saved: &Path) -> Result<()> {
    let mut trainer = Trainer::new(job, !job.seed, Precision::Full)?;
    checkpoint::load(&mut trainer, job.place.device, saved)?;
    let steps = u64::from(job.train.resume_steps.get()).min(trainer.steps() - trainer.done);
    losses(&mut trainer, emitter, "resume", "resumed/loss", steps)
}

/// Does it learn in mixed precision too? The whole run again.
pub(super) fn mixed(job: &Job<'_>, emitter: &mut Emitter) -> Result<()> {
    if let Some(reason) = job.place.without_bf16() {
        return emitter.skip(&checks::MixedPrecision::NAME, &reason);
    }
    let mut trainer = Trainer::new(job, job.seed, Precision::Mixed)?;
    let steps = trainer.steps();
    losses(&mut trainer, emitter, "mixed", "mixed/loss", steps)
}

fn losses(
    trainer: &mut Trainer<'_>,
    emitter: &mut Emitter,
    phase: &'static str,
    metric: &str,
    steps: u64,
) -> Result<()> {
    for index in 1..=steps {
        let step = trainer.step()?;
        emitter.metrics(Some(trainer.done), vec![(metric.to_owned(), number(step.loss))])?;
        emitter.progress(phase, index, steps)?;
        if !step.updated {
            break;
        }
    }
    Ok(())
}

/// Does the model answer the same after it was exported, written and loaded again?
pub(super) fn export(trainer: &Trainer<'_>, job: &Job<'_>, emitter: &mut Emitter) -> Result<()> {
    emitter.progress("export", 0, 1)?;
    let before = trainer.evaluate(&trainer.input, false)?;
    let path = Path::new("exported.pt");
    trainer.model.export(&trainer.input, path)?;
    let exported = Module::load(path, job.place.device)?;
    exported.set_train(false)?;
    let after = {
        let _no_grad = tch::no_grad_guard();
        exported.forward(&trainer.input)?
    };
    score::check_shapes(trainer.task(), &trainer.input, &after, &job.batch.target)?;
    emitter
        .metrics(None, vec![("export_max_abs_diff".into(), number(largest_difference(&before, &after)?))])?;
    emitter.progress("export", 1, 1)
}

fn largest_difference(one: &Tensor, other: &Tensor) -> Result<f64> {
    Ok(one.f_sub(other)?.f_abs()?.f_max()?.f_double_value(&[])?)
}
