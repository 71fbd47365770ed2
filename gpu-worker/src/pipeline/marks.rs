//! Which shards are done: an object for each, written once, that names the shard's object by its content.
//!
//! A worker writes a shard under a name of its own, and then creates the shard's mark unless there is one: whoever comes
//! second has lost, and removes what it wrote. So workers that do the same at the same time are harmless, and one that is
//! killed in between leaves an object that no mark names.
//!
//! A mark is never replaced. One whose object is lost, or that belongs to another plan, counts no more once there is a later
//! one: `_done/00007.json`, then `_done/00007-1.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gpu_stores::{Fault, Object};
use serde::{Deserialize, Serialize};

use super::{Job, PipelineError};
use crate::error::{Result, WorkerError};

const DONE: &str = "_done/";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) plan: String,
    pub(super) key: String,
    pub(super) rows: usize,
    pub(super) errors: usize,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// The marks of a place.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By shard: the mark that counts.
    pub(super) of: BTreeMap<usize, Mark>,
    /// By shard: how many marks there are, the lost ones too.
    generations: BTreeMap<usize, u32>,
}

/// What became of a mark that was to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// The shard is this worker's.
    Ours,
    /// Another worker was first.
    Theirs,
}

impl Marks {
    /// Every mark of this plan whose object is there.
    pub(super) fn read(job: &Job<'_>, plan: &str, shards: usize) -> Result<Self> {
        let patience = job.patience();
        let mut newest: BTreeMap<usize, u32> = BTreeMap::new();
        let mut take = |object: Object| {
            if let Some((shard, generation)) = parse(&object.key).filter(|(shard, _)| *shard < shards) {
                let known = newest.entry(shard).or_default();
                *known = generation.max(*known);
            }
            true
        };
        patience.exercise(&|| false, || job.shards.list(DONE, &mut take)).map_err(PipelineError::Store)?;
        if newest.is_empty() {
            return Ok(Self::default());
        }
        let mut there: BTreeMap<String, u64> = BTreeMap::new();
        let mut take = |object: Object| {
            there.insert(object.key, object.size);
            true
        };
        patience.exercise(&|| false, || job.shards.list("part-", &mut take)).map_err(PipelineError::Store)?;
        let all = Vec::from_iter(newest);
        let read = read_all(job, &all)?;
        let mut of = BTreeMap::new();
        for ((shard, _), mark) in all.iter().zip(read) {
            let Some(mark) = mark.filter(|mark| mark.plan == plan) else { continue };
            let is_there = match there.get(&mark.key) {
                Some(bytes) => *bytes == mark.bytes,
                // A list is of no one moment while others write: before an object counts as lost, it is asked for by itself.
                None => patience
                    .exercise(&|| false, || job.shards.has(&mark.key))
                    .map_err(PipelineError::Store)?,
            };
            if is_there {
                of.insert(*shard, mark);
            }
        }
        Ok(Self { of, generations: all.iter().map(|(shard, generation)| (*shard, generation + 1)).collect() })
    }

    /// Marks a shard as done by the object that `mark` names, unless it is done.
    pub(super) fn make(
        &self,
        job: &Job<'_>,
        shard: usize,
        mark: &Mark,
        stop: &dyn Fn() -> bool,
    ) -> Result<Made> {
        let key = key(shard, self.generations.get(&shard).copied().unwrap_or(0));
        let bytes = serde_json::to_vec(mark).unwrap_or_default();
        match job.patience().exercise(stop, || job.shards.create(&key, &bytes)) {
            Ok(()) => Ok(Made::Ours),
            // It may be ours: of a write whose answer was lost.
            Err(error) if error.fault == Fault::Exists => {
                let found = read_one(job, &key)?;
                Ok(if found.as_ref() == Some(mark) { Made::Ours } else { Made::Theirs })
            }
            Err(error) => Err(PipelineError::Store(error).into()),
        }
    }

    /// The objects that the marks name.
    pub(super) fn named(&self) -> BTreeSet<&str> {
        self.of.values().map(|mark| mark.key.as_str()).collect()
    }
}

fn key(shard: usize, generation: u32) -> String {
    match generation {
        0 => format!("{DONE}{shard:05}.json"),
        later => format!("{DONE}{shard:05}-{later}.json"),
    }
}

fn parse(key: &str) -> Option<(usize, u32)> {
    let name = key.strip_prefix(DONE)?.strip_suffix(".json")?;
    let (shard, generation) = name.split_once('-').unwrap_or((name, "0"));
    Some((shard.parse().ok()?, generation.parse().ok()?))
}

/// A mark that cannot be read as one is none of this plan's.
fn read_one(job: &Job<'_>, key: &str) -> Result<Option<Mark>> {
    match job.patience().exercise(&|| false, || job.shards.read(key)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.fault == Fault::Missing => Ok(None),
        Err(error) => Err(PipelineError::Store(error).into()),
    }
}

/// Of very many shards one after another would take minutes.
fn read_all(job: &Job<'_>, marks: &[(usize, u32)]) -> Result<Vec<Option<Mark>>> {
    let next = AtomicUsize::new(0);
    let read = Mutex::new(vec![None; marks.len()]);
    let failed: Mutex<Option<WorkerError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..(job.wanted.clients.get() as usize).min(marks.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((shard, generation)) = marks.get(place) else { return };
                    match read_one(job, &key(*shard, *generation)) {
                        Ok(mark) => read.lock().unwrap_or_else(PoisonError::into_inner)[place] = mark,
                        Err(error) => {
                            // The others have nothing left to do.
                            next.store(marks.len(), Ordering::Relaxed);
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(read.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_known_by_its_shard_and_by_how_many_were_lost_before() {
        for (shard, generation) in [(0, 0), (7, 0), (7, 3), (123_456, 12)] {
            assert_eq!(parse(&key(shard, generation)), Some((shard, generation)));
        }
        assert_eq!(key(7, 0), "_done/00007.json");
        for other in ["_done/x.json", "_done/00007", "done/00007.json", "_done/1-2-3.json", "_done/-1.json"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
