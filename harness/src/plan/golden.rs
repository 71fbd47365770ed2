//! The losses of a run, for the files of golden losses that its suites name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gpu_suites::checks;
use gpu_suites::event::Event;
use gpu_suites::exit::Exit;
use gpu_suites::golden::{self, Losses};
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;

use crate::here::Env;
use crate::plan::Selection;
use crate::report::case::CaseState;
use crate::report::{self, ReportError, RunState, events, write_atomic};
use crate::text::Explain;

#[derive(Debug, PartialEq, Eq)]
pub struct Added {
    pub case: CaseId,
    pub path: PathBuf,
    pub key: String,
    pub steps: usize,
}

#[derive(Debug, Default)]
pub struct Outcomes {
    pub added: Vec<Added>,
    pub left_out: Vec<(CaseId, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("failed to {verb} {}", path.display())]
    File { verb: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is no file of golden losses", path.display())]
    Foreign { path: PathBuf, source: serde_json::Error },
}

impl Explain for GoldenError {
    fn exit(&self) -> Exit {
        match self {
            Self::Report(error) => error.exit(),
            Self::File { verb: "write", .. } => Exit::Infrastructure,
            Self::File { .. } | Self::Foreign { .. } => Exit::Usage,
        }
    }
}

/// Adds the losses of a run's cases to the files that the suites name for them, in place of those of the same device.
pub fn add(run_dir: &Path, selection: &Selection, env: &Env) -> Result<Outcomes, GoldenError> {
    let state = report::read(run_dir)?;
    let wanted: BTreeSet<CaseId> = selection.goldens(env).map(|(case, _)| case).collect();
    let losses = losses(run_dir, &wanted)?;
    let mut outcomes = Outcomes::default();
    for (case, path) in selection.goldens(env) {
        let measured = losses.get(&case).map(Vec::as_slice).unwrap_or_default();
        match fit(&state, &case, measured) {
            Ok(key) => {
                let mut file = read(&path)?;
                file.insert(key.clone(), measured.to_vec());
                let failed = |source| GoldenError::File { verb: "write", path: path.clone(), source };
                write_atomic(&path, golden::write(&file).as_bytes()).map_err(failed)?;
                outcomes.added.push(Added { case, path, key, steps: measured.len() });
            }
            Err(why) => outcomes.left_out.push((case, why)),
        }
    }
    Ok(outcomes)
}

/// The key of the device whose losses these are; else why they cannot be golden.
fn fit(state: &RunState, case: &CaseId, losses: &[f32]) -> Result<String, String> {
    let Some(case) = state.case(case) else { return Err("it is not in this run".into()) };
    let outcome = state.ending(case).outcome;
    // Other losses than before are what is to become golden.
    let others = |case: &CaseState| case.broken().any(|finding| finding.check != checks::Golden::NAME);
    if !matches!(outcome, Outcome::Passed | Outcome::Failed) || (outcome == Outcome::Failed && others(case)) {
        return Err(format!("it {outcome}"));
    }
    if losses.is_empty() {
        return Err("the run has no losses of it".into());
    }
    if let Some(step) = losses.iter().position(|loss| !loss.is_finite()) {
        return Err(format!("its loss at step {} is {}, which is no golden one", step + 1, losses[step]));
    }
    golden::key(|name| case.device.get(name).cloned())
        .ok_or_else(|| "it does not say what it ran on".to_owned())
}

/// The losses of the cases' last attempts, step by step.
fn losses(run_dir: &Path, wanted: &BTreeSet<CaseId>) -> Result<BTreeMap<CaseId, Vec<f32>>, ReportError> {
    let mut all: BTreeMap<CaseId, Vec<f32>> = BTreeMap::new();
    events::read(&run_dir.join("events.ndjson"), |record| {
        match record.event {
            Event::CaseStarted(event) if wanted.contains(&event.case) => {
                all.insert(event.case, Vec::new());
            }
            Event::Metrics(event) if wanted.contains(&event.case) => {
                let loss = event.values.get("loss").and_then(gpu_suites::metrics::Value::number);
                // Other steps than the next one are of a run beside the main one.
                let losses = all.entry(event.case).or_default();
                if let (Some(loss), Some(step)) = (loss, event.step)
                    && step == losses.len() as u64 + 1
                {
                    #[expect(clippy::cast_possible_truncation, reason = "it was an f32 on the device")]
                    losses.push(loss as f32);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(all)
}

fn read(path: &Path) -> Result<Losses, GoldenError> {
    match std::fs::read_to_string(path) {
        Ok(text) => golden::read(&text).map_err(|source| GoldenError::Foreign { path: path.into(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Losses::new()),
        Err(source) => Err(GoldenError::File { verb: "read", path: path.into(), source }),
    }
}
