//! A case from its first step to its last line: the main run, then the runs beside it.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`trainer`] | one step of training |
//! | [`overfit`] | the main run and its metrics |
//! | [`census`] | which tensors take part |
//! | [`score`] | loss and metric |
//! | [`checkpoint`] | a run in a file |
//! | [`golden`] | the losses that are known beforehand |
//! | [`side`] | repeat, resume, mixed precision, export |
//! | [`bench`] | seconds per step |

mod bench;
mod census;
mod checkpoint;
mod golden;
mod overfit;
mod score;
mod side;
mod trainer;

use std::path::Path;

use gpu_suites::checks;
use gpu_suites::id::CheckName;
use gpu_suites::plan::WorkerCase;
use gpu_suites::spec::{Case, Task, Train};
use tch::Tensor;

pub(crate) use self::bench::bench;
use crate::data::Batch;
use crate::device::Placement;
use crate::emit::Emitter;
use crate::error::{Result, WorkerError};
use crate::overlay;

/// The latest step after which the run is saved: early enough for the following steps to be run again cheaply.
const SAVE_BY: u64 = 40;

/// Everything that the runs of a case share.
pub(crate) struct Job<'a> {
    case: &'a Case,
    train: &'a Train,
    place: Placement,
    batch: Batch,
    seed: u64,
}

impl<'a> Job<'a> {
    pub(crate) fn prepare(case: &'a WorkerCase) -> Result<Self> {
        let nothing = || WorkerError::NothingToDo { id: case.id.to_string() };
        let train = case.spec.work.train().ok_or_else(nothing)?;
        let seed = case.spec.seed;
        let place = Placement::prepare(case.spec.wanted_device(), case.spec.limits.threads, true)?;
        let batch = Batch::load(&train.data, seed, place.device)?;
        Ok(Self { case: &case.spec, train, place, batch, seed })
    }

    /// Whether anything is to be measured for this check alone; where not, why not.
    fn without(&self, check: &CheckName) -> Option<String> {
        let control = !self.case.must_fail.is_empty() && !self.case.must_fail.contains(check);
        if let Some(reason) = self.case.skip_checks.get(check) {
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
    let save =
        (save_at > 0 && job.without(&checks::ResumeParity::NAME).is_none()).then_some((save_at, saved));
    let known = golden::losses(&job, emitter)?;
    let main = overfit::run(&job, emitter, save, &known)?;
    if !main.complete {
        // The loss was not finite: what follows would only say so again.
        return Ok(());
    }
    overfit::conclude(&job, &main.trainer, emitter)?;
    picture(&job, &main, emitter)?;
    let mut side =
        |check: CheckName, run: &mut dyn FnMut(&mut Emitter) -> Result<()>| match job.without(&check) {
            Some(reason) => emitter.skip(&check, &reason),
            None => run(emitter),
        };
    side(checks::ExportParity::NAME, &mut |emitter| side::export(&main.trainer, &job, emitter))?;
    side(checks::Deterministic::NAME, &mut |emitter| side::repeat(&job, emitter))?;
    side(checks::ResumeParity::NAME, &mut |emitter| match save {
        Some((_, saved)) => side::resume(&job, emitter, saved),
        None => emitter.skip(&checks::ResumeParity::NAME, "one step alone leaves nothing to resume"),
    })?;
    side(checks::MixedPrecision::NAME, &mut |emitter| side::mixed(&job, emitter))
}

/// For the report: the image, its target, and what was predicted, side by side.
fn picture(job: &Job<'_>, main: &overfit::Overfitted<'_>, emitter: &mut Emitter) -> Result<()> {
    if job.train.data.task != Task::Segment {
        return Ok(());
    }
    let logits = main.trainer.evaluate(&main.trainer.input, false)?;
    for (name, picture) in overlay::pictures(&job.batch.images[0], &logits, &job.batch.target)? {
        overlay::write(&emitter.artifact_path(name), &picture)?;
        emitter.artifact(name)?;
    }
    Ok(())
}

/// The same values in memory of their own. (tch's own copy ends the process where libtorch throws.)
fn copy_of(tensor: &Tensor) -> Result<Tensor> {
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use gpu_suites::spec::{Control, Device};

    use super::trainer::{Precision, Trainer};
    use super::*;
    use crate::data::Batch;

    const STEPS: u32 = 6;

    fn case(control: Option<Control>, learning_rate: f64) -> Case {
        let control = control.map_or(String::new(), |control| {
            format!(r#","control":{}"#, serde_json::to_string(&control).unwrap())
        });
        let text = format!(
            r#"{{"name":"x","train":{{"model":{{"builtin":"unet","width":4}},"data":{{"image":"i.png","boxes":"b.csv",
               "task":"segment","size":16}},"steps":{STEPS},"learning-rate":{learning_rate}{control}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn with_job<T>(case: &Case, test: impl FnOnce(&Job<'_>) -> T) -> T {
        let _alone = crate::tests::random_generator();
        let place = Placement::prepare(Device::Cpu, NonZeroU32::new(1), true).unwrap();
        let input = Tensor::f_arange(3 * 256, tch::kind::FLOAT_CPU).unwrap().sin().view([1, 3, 16, 16]);
        let target = input.narrow(1, 0, 1).f_gt(0.0).unwrap().to_kind(tch::Kind::Float);
        let batch = Batch { input, target, images: Vec::new() };
        test(&Job { case, train: case.work.train().unwrap(), place, batch, seed: 3 })
    }

    fn losses(trainer: &mut Trainer<'_>, steps: u32) -> Vec<u64> {
        (0..steps).map(|_| trainer.step().unwrap().loss.to_bits()).collect()
    }

    #[test]
    fn a_run_repeats_and_resumes_bit_by_bit_even_with_random_numbers() {
        let path = std::env::temp_dir().join(format!("checkpoint-{}.safetensors", std::process::id()));
        for control in [None, Some(Control::ShuffledLabels)] {
            with_job(&case(control, 0.01), |job| {
                let first = losses(&mut Trainer::new(job, 3, Precision::Full).unwrap(), STEPS);
                let mut again = Trainer::new(job, 3, Precision::Full).unwrap();
                assert_eq!(losses(&mut again, 3), first[..3], "{control:?}");
                checkpoint::save(&again, tch::Device::Cpu, &path).unwrap();
                let mut resumed = Trainer::new(job, 4, Precision::Full).unwrap();
                checkpoint::load(&mut resumed, tch::Device::Cpu, &path).unwrap();
                assert_eq!(resumed.done, 3);
                assert_eq!(losses(&mut resumed, 3), first[3..], "{control:?}");
                let other = losses(&mut Trainer::new(job, 4, Precision::Full).unwrap(), STEPS);
                assert_ne!(other, first, "the seed has to count");
            });
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn nothing_is_updated_from_a_loss_that_is_not_finite() {
        with_job(&case(None, 1e30), |job| {
            let mut trainer = Trainer::new(job, 3, Precision::Full).unwrap();
            assert!(trainer.step().unwrap().updated);
            let weight = copy_of(&trainer.model.parameters[0].1.detach()).unwrap();
            let step = trainer.step().unwrap();
            assert!(!step.updated && !step.loss.is_finite(), "{}", step.loss);
            assert_eq!(weight, trainer.model.parameters[0].1.detach());
        });
    }

    #[test]
    fn taking_the_training_metric_leaves_the_running_statistics_alone() {
        with_job(&case(None, 0.01), |job| {
            let mut trainer = Trainer::new(job, 3, Precision::Full).unwrap();
            trainer.step().unwrap();
            let before = copy_of(&trainer.model.buffers[0].1).unwrap();
            trainer.metric(true).unwrap();
            assert_eq!(before, trainer.model.buffers[0].1);
            trainer.step().unwrap();
            assert_ne!(before, trainer.model.buffers[0].1);
        });
    }

    #[test]
    fn mixed_precision_computes_otherwise_and_nearly_the_same() {
        with_job(&case(None, 0.01), |job| {
            let full = Trainer::new(job, 3, Precision::Full).unwrap().step().unwrap().loss;
            let mixed = Trainer::new(job, 3, Precision::Mixed).unwrap().step().unwrap().loss;
            let after = Trainer::new(job, 3, Precision::Full).unwrap().step().unwrap().loss;
            assert!(full.to_bits() != mixed.to_bits() && (full - mixed).abs() < 0.02, "{full} {mixed}");
            assert!(full.to_bits() == after.to_bits(), "mixed precision is off again: {full} {after}");
        });
    }
}
