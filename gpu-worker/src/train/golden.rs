//! The losses that this training is known to have on this device.

use gpu_suites::checks;
use gpu_suites::golden;

use super::Job;
use crate::data::here;
use crate::emit::Emitter;
use crate::error::{Result, WorkerError};

/// Those of the case's file; none where it has no file, or none of this device, which is said.
pub(super) fn losses(job: &Job<'_>, emitter: &mut Emitter) -> Result<Vec<f32>> {
    let Some(input) = &job.train.golden else { return Ok(Vec::new()) };
    let path = here(input)?;
    let wrong = |cause: String| WorkerError::Golden { path: path.clone(), cause };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let mut known = golden::read(&text).map_err(|error| wrong(error.to_string()))?;
    let facts = job.place.facts(job.seed);
    let fact = |name: &str| {
        let fact = facts.get(name)?;
        Some(fact.as_str().map_or_else(|| fact.to_string(), str::to_owned))
    };
    let key = golden::key(fact).unwrap_or_default();
    if let Some(losses) = known.remove(&key) {
        return Ok(losses);
    }
    let reason = format!("{input} has no losses of {key}; `gpu-harness golden` adds those of this run");
    emitter.skip(&checks::Golden::NAME, &reason)?;
    Ok(Vec::new())
}
