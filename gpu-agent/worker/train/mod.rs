//! A case from its first step to its last line: the main run, then the runs beside it.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`trainer`] | one step of training |
//! | [`overfit`] | the main run and its metrics |
//! | [`census`] | which tensors take part |
//! | [`score`] | loss and metric |
//! | [`checkpoint`] | a run in a file |
//! | [`side`] | repeat, resume, mixed precision, export |
//! | [`bench`] | seconds per step |

mod bench;
mod census;
mod checkpoint;
mod overfit;
mod score;
mod side;
mod trainer;

use std::path::Path;

use gpu_suites::plan::WorkerCase;
use gpu_suites::spec::{Case, CheckName, Task, Train};
use tch::Tensor;

pub(crate) use self::bench::bench;
use crate::data::Batch;
use crate::device::Place;
use crate::emit::Emitter;
use crate::error::{Result, WorkerError};
use crate::overlay;

/// The latest step after which the run is saved: early enough for the following steps to be run again cheaply.
const SAVE_BY: u64 = 40;

/// Everything that the runs of a case share.
pub(crate) struct Job<'a> {
    case: &'a Case,
    train: &'a Train,
    place: Place,
    batch: Batch,
    seed: u64,
}

impl<'a> Job<'a> {
    /// Chooses the device and reads the inputs.
    pub(crate) fn prepare(case: &'a WorkerCase) -> Result<Self> {
        let nothing = || WorkerError::NothingToTrain { id: case.id.to_string() };
        let train = case.spec.train.as_ref().ok_or_else(nothing)?;
        let seed = case.spec.seed;
        let place = Place::prepare(case.spec.device, case.spec.limits.threads)?;
        let batch = Batch::load(&train.data, seed, place.device)?;
        Ok(Self { case: &case.spec, train, place, batch, seed })
    }

    /// Whether anything is to be measured for this check alone; where not, why not.
    fn without(&self, check: CheckName) -> Option<String> {
        let control = !self.case.must_fail.is_empty() && !self.case.must_fail.contains(&check);
        if let Some(reason) = self.case.skip_checks.get(&check) {
            Some(reason.clone())
        } else {
            control.then(|| "a control is judged by the checks that must fail".to_owned())
        }
    }
}

/// Runs the case and writes all that it shows. Whether it is good is for the checks to say.
pub(crate) fn run(case: &WorkerCase, emitter: &mut Emitter) -> Result<()> {
    let job = Job::prepare(case)?;
    emitter.device(&job.place.facts(job.seed))?;
    let saved = Path::new("checkpoint.safetensors");
    let save_at = (u64::from(job.train.steps.get()) / 2).min(SAVE_BY);
    let save = (save_at > 0 && job.without(CheckName::ResumeParity).is_none()).then_some((save_at, saved));
    let main = overfit::run(&job, emitter, save)?;
    if !main.complete {
        // The loss was not finite: what follows would only say so again.
        return Ok(());
    }
    overfit::conclude(&job, &main.trainer, emitter)?;
    picture(&job, &main, emitter)?;
    let mut side =
        |check: CheckName, run: &mut dyn FnMut(&mut Emitter) -> Result<()>| match job.without(check) {
            Some(reason) => emitter.skip(check, &reason),
            None => run(emitter),
        };
    side(CheckName::ExportParity, &mut |emitter| side::export(&main.trainer, &job, emitter))?;
    side(CheckName::Deterministic, &mut |emitter| side::repeat(&job, emitter))?;
    side(CheckName::ResumeParity, &mut |emitter| match save {
        Some((_, saved)) => side::resume(&job, emitter, saved),
        None => emitter.skip(CheckName::ResumeParity, "one step alone leaves nothing to resume"),
    })?;
    side(CheckName::MixedPrecision, &mut |emitter| side::mixed(&job, emitter))
}

/// For the report: the image with what was predicted on it.
fn picture(job: &Job<'_>, main: &overfit::Overfitted<'_>, emitter: &mut Emitter) -> Result<()> {
    const NAME: &str = "overlay.png";
    if job.train.data.task != Task::Segment {
        return Ok(());
    }
    let logits = main.trainer.evaluate(&main.trainer.input, false)?;
    overlay::write(&emitter.artifact_path(NAME), &job.batch.images[0], &logits, &job.batch.target)?;
    emitter.artifact(NAME)
}

/// The same values in memory of their own. (tch's own copy ends the process where libtorch throws.)
fn copy_of(tensor: &Tensor) -> Result<Tensor> {
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}
