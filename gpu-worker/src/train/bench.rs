//! Seconds per step of the main run, all measurements included.

use std::time::Instant;

use gpu_suites::plan::WorkerCase;
use gpu_suites::statistics::median;

use super::trainer::{Precision, Trainer};
use super::{Job, overfit};
use crate::emit::Emitter;
use crate::error::Result;

/// Steps before the clock starts.
const WARM_UP: u64 = 10;

/// Runs `steps` steps after the warm-up and gives the median, the mean and the fastest.
pub(crate) fn bench(case: &WorkerCase, steps: u32, emitter: &mut Emitter) -> Result<serde_json::Value> {
    let job = Job::prepare(case)?;
    let mut trainer = Trainer::new(&job, job.seed, Precision::Full)?;
    let mut seconds = Vec::new();
    for index in 0..WARM_UP + u64::from(steps) {
        let start = Instant::now();
        let step = trainer.step()?;
        emitter.metrics(Some(index + 1), overfit::measured(&job, &trainer, &step)?)?;
        if index >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(serde_json::json!({
        "steps": steps,
        "threads": job.place.threads,
        "device": if job.place.device.is_cuda() { "cuda" } else { "cpu" },
        "libtorch": crate::shim::libtorch_version(),
        "seconds_per_step": {
            "median": median(&seconds),
            "mean": seconds.iter().sum::<f64>() / seconds.len().max(1) as f64,
            "fastest": seconds.iter().copied().reduce(f64::min),
        },
    }))
}
