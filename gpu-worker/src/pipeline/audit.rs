//! What the shards hold, read back: each input once, errors, and predictions against those that are known to be right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gpu_shards::{Cell, Table};
use gpu_stores::Object;
use gpu_suites::metrics::Value;
use sha2::{Digest as _, Sha256};

use super::digest::{Digest, Predicted};
use super::marks::{Mark, Marks};
use super::plan::Plan;
use super::{Job, PipelineError, figure};
use crate::data::here;
use crate::emit::{Emitter, count, number};
use crate::error::Result;

#[derive(Default)]
pub(super) struct Audit {
    /// The mark of each shard that was read back, and is what its mark says.
    pub(super) shards: BTreeMap<usize, Mark>,
    pub(super) rows: usize,
    pub(super) errors: usize,
    missing: usize,
    doubled: usize,
    foreign: usize,
    /// What was written and never marked, and was removed.
    pub(super) removed: Vec<String>,
    golden: Option<Golden>,
    digest: Digest,
}

/// Predictions against those that are known.
#[derive(Default)]
struct Golden {
    known: BTreeMap<String, Vec<f64>>,
    compared: usize,
    difference: f64,
}

impl Audit {
    /// What the checks read.
    pub(super) fn figures(&self) -> Vec<(String, Value)> {
        let mut figures = vec![
            ("rows/written".to_owned(), count(self.rows)),
            ("rows/errors".into(), count(self.errors)),
            ("rows/missing".into(), count(self.missing)),
            ("rows/doubled".into(), count(self.doubled)),
            ("rows/foreign".into(), count(self.foreign)),
            ("shards_bytes".into(), number(self.shards.values().map(|mark| mark.bytes as f64).sum::<f64>())),
            ("shards_removed".into(), count(self.removed.len())),
        ];
        if let Some(golden) = &self.golden {
            figures.push(("predictions/compared".into(), count(golden.compared)));
            figures.push(("predictions/missing".into(), count(golden.known.len())));
            figures.push(figure("predictions/max_abs_diff", golden.difference));
        }
        figures.extend(self.digest.figures());
        figures
    }
}

/// Reads back every shard, those of earlier tries and of other workers included, by its mark.
pub(super) fn read_back(job: &Job<'_>, plan: &Plan, emitter: &mut Emitter) -> Result<Audit> {
    let mut audit = Audit { golden: known(job)?, ..Audit::default() };
    // In a folder the tag says when a file was written, not what is in it.
    let has_tags = job.images.name().starts_with("s3://");
    for input in &plan.inputs {
        audit.digest.input(&input.key, input.size, if has_tags { &input.etag } else { "" });
    }
    // A row's place in the plan, found by its key; rows of a shard lie in the order of the plan.
    let mut seen = vec![0u16; plan.inputs.len()];
    let marks = plan.marks_now(job)?;
    let total = marks.of.len() as u64;
    for (index, (shard, mark)) in marks.of.iter().enumerate() {
        emitter.progress("read back", index as u64, total)?;
        let read = job.patience().exercise(&|| false, || job.shards.read(&mark.key));
        let bytes = read.map_err(PipelineError::Store)?;
        // A bit that was lost on a disk may still be a number.
        if hex::encode(Sha256::digest(&bytes)) != mark.sha256 {
            return Err(PipelineError::Changed { place: job.shards.name(), key: mark.key.clone() }.into());
        }
        let table = gpu_shards::read(&bytes).map_err(|cause| PipelineError::ReadBack {
            place: job.shards.name(),
            key: mark.key.clone(),
            cause,
        })?;
        let errors = audit.shard(plan, *shard, &table, &mut seen);
        audit.shards.insert(*shard, Mark { rows: table.rows.len(), errors, ..mark.clone() });
    }
    emitter.progress("read back", total, total)?;
    audit.missing = seen.iter().filter(|times| **times == 0).count();
    audit.doubled = seen.iter().filter(|times| **times > 1).count();
    audit.others(job, plan, &marks)?;
    Ok(audit)
}

impl Audit {
    /// Whether each input is in exactly one row, and nothing else is there.
    pub(super) fn is_clean(&self) -> bool {
        (self.missing, self.doubled, self.foreign) == (0, 0, 0)
    }

    /// Looks at whatever else lies there. What a worker with this plan wrote and no mark names was left by one that was killed,
    /// or that came second: once every shard has its mark none of it can be named any more, and it goes. Anything else is
    /// counted, and left.
    fn others(&mut self, job: &Job<'_>, plan: &Plan, marks: &Marks) -> Result<()> {
        let named = marks.named();
        // A list that is asked for again names the first ones twice.
        let mut others = BTreeSet::new();
        let mut take = |object: Object| {
            if object.key.ends_with(".parquet") && !named.contains(object.key.as_str()) {
                others.insert(object.key);
            }
            true
        };
        let patience = job.patience();
        patience.exercise(&|| false, || job.shards.list("", &mut take)).map_err(PipelineError::Store)?;
        for key in others {
            if !plan.wrote(&key) {
                self.foreign += 1;
            } else if marks.of.len() == plan.shards() {
                let removed = patience.exercise(&|| false, || job.shards.remove(&key));
                removed.map_err(PipelineError::Store)?;
                crate::tell(&format!(
                    "gpu-worker: removed {}{key}, which no mark names: a worker was killed",
                    job.shards.name()
                ));
                self.removed.push(key);
            }
        }
        Ok(())
    }

    /// Counts the rows of one shard; gives how many are errors.
    fn shard(&mut self, plan: &Plan, shard: usize, table: &Table, seen: &mut [u16]) -> usize {
        let range = plan.inputs_of(shard);
        let places: HashMap<&str, usize> =
            range.map(|input| (plan.inputs[input].key.as_str(), input)).collect();
        let (key_at, error_at) = (table.column("key"), table.column("error"));
        let mut errors = 0;
        for row in &table.rows {
            self.rows += 1;
            let Some(Cell::Text(key)) = key_at.map(|at| &row[at]) else {
                self.foreign += 1;
                continue;
            };
            self.digest.row(key, said(table, row));
            match places.get(key.as_str()) {
                Some(place) => seen[*place] = seen[*place].saturating_add(1),
                None => self.foreign += 1,
            }
            if error_at.is_some_and(|at| row[at] != Cell::Null) {
                errors += 1;
            } else if let Some(golden) = &mut self.golden
                && let Some(known) = golden.known.remove(key)
            {
                golden.compared += 1;
                golden.difference = worse(golden.difference, difference(table, row, &known));
            }
        }
        self.errors += errors;
        errors
    }
}

fn known(job: &Job<'_>) -> Result<Option<Golden>> {
    let Some(file) = &job.wanted.golden else { return Ok(None) };
    let path = here(file)?;
    let wrong = |cause: String| PipelineError::List {
        file: path.display().to_string(),
        what: "known predictions",
        cause,
    };
    let text = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    let known = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(Golden { known, ..Golden::default() }))
}

/// What a row says, for the digest.
fn said<'r>(table: &Table, row: &'r [Cell]) -> Predicted<'r> {
    let cell = |name: &str| table.column(name).map(|at| &row[at]);
    match (cell("classes"), cell("scores"), cell("embedding"), cell("mask_counts")) {
        (Some(Cell::Int32s(classes)), Some(Cell::Floats(scores)), ..) => Predicted::Classes(classes, scores),
        (_, _, Some(Cell::Floats(values)), _) => Predicted::Embedding(values),
        (.., Some(Cell::Int32s(counts))) => Predicted::Mask(counts),
        _ => Predicted::Error,
    }
}

/// The larger difference. One that is no number is worse than any: `f64::max` would pass it over.
fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.max(other) }
}

/// The largest difference between a row and what is known; infinite where the two cannot be compared.
fn difference(table: &Table, row: &[Cell], known: &[f64]) -> f64 {
    let cell = |name: &str| table.column(name).map(|at| &row[at]);
    let largest = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        pairs.map(|(one, other)| (one - other).abs()).fold(0.0, worse)
    };
    match (cell("classes"), cell("scores"), cell("embedding"), cell("mask_counts")) {
        (Some(Cell::Int32s(classes)), Some(Cell::Floats(scores)), ..) => {
            let of_class =
                |class: &i32| usize::try_from(*class).ok().and_then(|class| known.get(class)).copied();
            let mut ranked = known.to_vec();
            ranked.sort_by(|one, other| other.total_cmp(one));
            // The classes that were kept have their probabilities, and no likelier one was left out.
            let named = classes.iter().map(|class| of_class(class).unwrap_or(f64::INFINITY));
            let scores = || scores.iter().map(|score| f64::from(*score));
            worse(largest(&mut named.zip(scores())), largest(&mut ranked.into_iter().zip(scores())))
        }
        (_, _, Some(Cell::Floats(values)), _) if values.len() == known.len() => {
            largest(&mut values.iter().map(|value| f64::from(*value)).zip(known.iter().copied()))
        }
        (.., Some(Cell::Int32s(counts))) if known.len() == 1 => {
            let inside: i64 = counts.iter().skip(1).step_by(2).map(|count| i64::from(*count)).sum();
            let all: i64 = counts.iter().map(|count| i64::from(*count)).sum();
            (inside as f64 / all.max(1) as f64 - known[0]).abs()
        }
        _ => f64::INFINITY,
    }
}
