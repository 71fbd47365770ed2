//! Which images, in which shards, and what an earlier try has done of it.
//!
//! A plan is made once for a place and kept there: what is listed once is what is done, whatever comes to the bucket
//! meanwhile, and a run that was killed goes on with the same shards. Of several workers that begin at once one makes the
//! plan, and the others read it. A shard is done when its [mark](super::marks) and its object are there; else it is made
//! again, whole, under another name. The manifest comes last, and only where all that it names was read back and is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use gpu_stores::{Fault, Object, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audit::Audit;
use super::marks::{Mark, Marks};
use super::{Job, PipelineError};
use crate::data::here;
use crate::error::{Result, WorkerError};

const PLAN: &str = "_plan.json";
const INPUTS: &str = "_inputs-";
const MANIFEST: &str = "_manifest.json";
/// Of the objects above, and of the columns.
const FORMAT: u32 = 2;
const LEVEL: i32 = 3;

/// What is to be done, and what is done.
pub(super) struct Plan {
    /// Changes with everything that the shards depend on.
    pub(super) id: String,
    /// By shard, then by key.
    pub(super) inputs: Vec<Object>,
    /// Where each shard's inputs begin; one more than there are shards.
    starts: Vec<usize>,
    /// What lay there when the worker began: shards that an earlier try, or another worker, has finished.
    pub(super) marks: Marks,
    /// Part of the names of what this worker writes, and of nobody else's.
    attempt: String,
}

/// What is kept beside the shards.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPlan {
    format: u32,
    /// What is done to the images, as JSON.
    recipe: serde_json::Value,
    images: String,
    count: usize,
    shards: usize,
    /// SHA-256 of the list of inputs before compression.
    inputs: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    key: String,
    size: u64,
    etag: String,
}

impl Plan {
    /// The plan that lies beside the shards, or a new one.
    pub(super) fn make(job: &Job<'_>) -> Result<Self> {
        let recipe = recipe(job)?;
        let patience = |call: &mut dyn FnMut() -> gpu_stores::error::Result<Option<Vec<u8>>>| {
            job.patience().exercise(&|| false, call).map_err(PipelineError::Store)
        };
        let mut found = patience(&mut || there(job.shards.as_ref(), PLAN))?;
        let begun = match found {
            Some(_) => None,
            None => Self::begin(job, &recipe)?,
        };
        let (kept, inputs) = if let Some(begun) = begun {
            begun
        } else {
            if found.is_none() {
                found = patience(&mut || there(job.shards.as_ref(), PLAN))?;
            }
            let kept = read_kept(job, &found.unwrap_or_default())?;
            check_same(job, &kept, &recipe)?;
            let list = patience(&mut || there(job.shards.as_ref(), &inputs_key(&kept.inputs)))?;
            let inputs = read_list(job, &kept, list.as_deref().unwrap_or_default())?;
            (kept, inputs)
        };
        let starts = starts(&inputs, kept.shards);
        let id = hex::encode(&Sha256::digest(serde_json::to_vec(&kept).unwrap_or_default())[..8]);
        let marks = Marks::read(job, &id, kept.shards)?;
        let attempt = hex::encode(rand::random::<[u8; ATTEMPT / 2]>());
        Ok(Self { id, inputs, starts, marks, attempt })
    }

    /// Lists the images and writes the plan down before anything else is written. `None` where another worker was first:
    /// then its plan is everybody's.
    fn begin(job: &Job<'_>, recipe: &serde_json::Value) -> Result<Option<(SavedPlan, Vec<Object>)>> {
        let mut inputs = list(job)?;
        if inputs.is_empty() {
            return Err(PipelineError::NoImages { place: job.images.name() }.into());
        }
        let shards = inputs.len().div_ceil(job.wanted.rows_per_shard.get() as usize);
        inputs.sort_by_cached_key(|object| (shard_of(&object.key, shards), object.key.clone()));
        let text = lines(&inputs);
        let kept = SavedPlan {
            format: FORMAT,
            recipe: recipe.clone(),
            images: job.images.name(),
            count: inputs.len(),
            shards,
            inputs: hex::encode(Sha256::digest(&text)),
        };
        let packed = zstd::bulk::compress(text.as_bytes(), LEVEL)
            .map_err(|error| WorkerError::Libtorch(error.to_string()))?;
        let bytes = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        let patience = job.patience();
        // Named by its content: whoever lists the same writes the same.
        let list = inputs_key(&kept.inputs);
        let put = patience.exercise(&|| false, || job.shards.put(&list, &packed));
        put.map_err(PipelineError::Store)?;
        match patience.exercise(&|| false, || job.shards.create(PLAN, &bytes)) {
            Ok(()) => Ok(Some((kept, inputs))),
            // Another worker's, or ours, of a write whose answer was lost: either way it is the plan.
            Err(error) if error.fault == Fault::Exists => Ok(None),
            Err(error) => Err(PipelineError::Store(error).into()),
        }
    }

    pub(super) fn shards(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn inputs_of(&self, shard: usize) -> std::ops::Range<usize> {
        self.starts[shard]..self.starts[shard + 1]
    }

    pub(super) fn shard_of(&self, input: usize) -> usize {
        self.starts.partition_point(|start| *start <= input) - 1
    }

    pub(super) fn to_do(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.shards()).filter(|shard| !self.marks.of.contains_key(shard))
    }

    pub(super) fn is_done(&self) -> bool {
        self.marks.of.len() == self.shards()
    }

    /// Where this worker writes a shard.
    pub(super) fn key_of(&self, shard: usize) -> String {
        format!("part-{shard:05}-of-{:05}-{}.parquet", self.shards(), self.attempt)
    }

    /// Whether a worker with this plan wrote an object of this name.
    pub(super) fn wrote(&self, key: &str) -> bool {
        let parts = || {
            let (shard, rest) = key.strip_prefix("part-")?.strip_suffix(".parquet")?.split_once("-of-")?;
            let (shards, attempt) = rest.split_once('-')?;
            let shard = shard.parse::<usize>().ok()?;
            let is_attempt = attempt.len() == ATTEMPT && attempt.bytes().all(|byte| byte.is_ascii_hexdigit());
            Some(is_attempt && shards.parse() == Ok(self.shards()) && shard < self.shards())
        };
        parts().unwrap_or(false)
    }

    /// The marks as they are now.
    pub(super) fn marks_now(&self, job: &Job<'_>) -> Result<Marks> {
        Marks::read(job, &self.id, self.shards())
    }

    /// Writes down what there is, now that all of it is there and was read back.
    pub(super) fn write_manifest(&self, job: &Job<'_>, audit: &Audit) -> Result<()> {
        let shards = Vec::from_iter(audit.shards.values().map(|mark: &Mark| {
            serde_json::json!({
                "key": mark.key,
                "rows": mark.rows,
                "errors": mark.errors,
                "bytes": mark.bytes,
                "sha256": mark.sha256,
            })
        }));
        let manifest = serde_json::json!({
            "format": FORMAT,
            "plan": self.id,
            "rows": audit.rows,
            "errors": audit.errors,
            "shards": shards,
        });
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        let put = job.patience().exercise(&|| false, || job.shards.put(MANIFEST, &bytes));
        Ok(put.map_err(PipelineError::Store)?)
    }
}

/// Hex digits of an attempt's name.
const ATTEMPT: usize = 12;

fn inputs_key(sha256: &str) -> String {
    format!("{INPUTS}{}.ndjson.zst", sha256.get(..16).unwrap_or(sha256))
}

/// Everything that a row depends on but its image.
fn recipe(job: &Job<'_>) -> Result<serde_json::Value> {
    let wanted = job.wanted;
    let model = match &wanted.model.torchscript {
        Some(file) => {
            let path = here(file)?;
            let bytes = std::fs::read(&path)
                .map_err(|error| WorkerError::Case { path: path.clone(), cause: error.to_string() })?;
            format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
        }
        None => format!("{:?} of width {:?}, seed {}", wanted.model.builtin, wanted.model.width, job.seed),
    };
    Ok(serde_json::json!({
        "model": model,
        "output": wanted.output,
        "top": wanted.top,
        "size": wanted.size,
        "resize": wanted.resize,
        "dtype": wanted.dtype,
        "rows-per-shard": wanted.rows_per_shard,
        "largest-image": wanted.largest_image,
    }))
}

fn check_same(job: &Job<'_>, kept: &SavedPlan, recipe: &serde_json::Value) -> Result<()> {
    let mut difference = String::new();
    for (name, value) in recipe.as_object().into_iter().flatten() {
        let before = &kept.recipe[name];
        if before != value {
            let _ = write!(
                difference,
                "{}{name} was {before}, now it is {value}",
                if difference.is_empty() { "" } else { "; " }
            );
        }
    }
    if kept.images != job.images.name() {
        difference = format!("images came from {}, now they come from {}", kept.images, job.images.name());
    }
    if difference.is_empty() {
        return Ok(());
    }
    Err(PipelineError::AnotherPlan { place: job.shards.name(), difference }.into())
}

fn read_kept(job: &Job<'_>, bytes: &[u8]) -> Result<SavedPlan> {
    let foreign =
        |cause: String| PipelineError::Foreign { place: job.shards.name(), key: PLAN.into(), cause };
    let kept: SavedPlan = serde_json::from_slice(bytes).map_err(|error| foreign(error.to_string()))?;
    if kept.format != FORMAT {
        return Err(foreign(format!("it has format {}, this version writes {FORMAT}", kept.format)).into());
    }
    Ok(kept)
}

fn read_list(job: &Job<'_>, kept: &SavedPlan, packed: &[u8]) -> Result<Vec<Object>> {
    let foreign = |cause: String| PipelineError::Foreign {
        place: job.shards.name(),
        key: inputs_key(&kept.inputs),
        cause,
    };
    let text = zstd::decode_all(packed).map_err(|error| foreign(error.to_string()))?;
    if hex::encode(Sha256::digest(&text)) != kept.inputs {
        return Err(foreign("it is not the list that the plan was made with".into()).into());
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.map(|line| {
        let Line { key, size, etag } = serde_json::from_slice(line)?;
        Ok(Object { key, size, etag })
    });
    read.collect::<serde_json::Result<_>>().map_err(|error| foreign(error.to_string()).into())
}

fn lines(inputs: &[Object]) -> String {
    inputs.iter().fold(String::new(), |mut text, object| {
        let Object { key, size, etag } = object.clone();
        text.push_str(&serde_json::to_string(&Line { key, size, etag }).unwrap_or_default());
        text.push('\n');
        text
    })
}

/// An object that may not be there.
fn there(store: &dyn Store, key: &str) -> gpu_stores::error::Result<Option<Vec<u8>>> {
    match store.read(key) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.fault == Fault::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

fn list(job: &Job<'_>) -> Result<Vec<Object>> {
    let only = match &job.wanted.images.keys {
        None => None,
        Some(file) => Some(read_keys(&here(file)?)?),
    };
    // By key: a listing that is tried again names the first ones twice.
    let mut found = BTreeMap::new();
    let mut take = |object: Object| {
        if only.as_ref().is_none_or(|only| only.contains(&object.key)) {
            found.insert(object.key.clone(), object);
        }
        true
    };
    let listed = job.patience().exercise(&|| false, || job.images.list("", &mut take));
    listed.map_err(PipelineError::Store)?;
    let mut found = Vec::from_iter(found.into_values());
    // A key that is asked for and is not there is an input all the same: its row says so.
    let listed: BTreeSet<&str> = found.iter().map(|object| object.key.as_str()).collect();
    let missing = Vec::from_iter(only.iter().flatten().filter(|key| !listed.contains(key.as_str())).cloned());
    drop(listed);
    found.extend(missing.into_iter().map(|key| Object { key, size: 0, etag: String::new() }));
    Ok(found)
}

fn read_keys(path: &std::path::Path) -> Result<BTreeSet<String>> {
    let file = path.display().to_string();
    let wrong = |cause: String| PipelineError::List { file: file.clone(), what: "keys", cause };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut keys = BTreeMap::new();
    for (index, line) in lines {
        let number = index + 1;
        let key =
            serde_json::from_str::<String>(line).map_err(|error| wrong(format!("line {number}: {error}")))?;
        if let Some(first) = keys.insert(key, number) {
            // One row is less than two lines ask for: nothing is left out without a word.
            return Err(wrong(format!("line {number} has the key of line {first}")).into());
        }
    }
    Ok(keys.into_keys().collect())
}

/// A key stays in its shard whatever else there is.
fn shard_of(key: &str, shards: usize) -> usize {
    let digest = Sha256::digest(key);
    let (first, _) = digest.split_first_chunk::<8>().expect("a digest has 32 bytes");
    usize::try_from(u64::from_be_bytes(*first) % shards as u64).unwrap_or(0)
}

fn starts(inputs: &[Object], shards: usize) -> Vec<usize> {
    Vec::from_iter(
        (0..=shards).map(|shard| inputs.partition_point(|object| shard_of(&object.key, shards) < shard)),
    )
}
