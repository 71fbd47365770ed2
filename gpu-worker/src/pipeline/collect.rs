//! Gathers the rows of each shard, and writes a shard once all of them are there.

use std::collections::HashMap;

use crossbeam_channel::{Receiver, Sender};
use gpu_shards::TableWriter;
use sha2::{Digest, Sha256};

use super::gate::Gate;
use super::halt::Halt;
use super::marks::{Made, Mark};
use super::meter::Meter;
use super::plan::Plan;
use super::rows::{Row, columns};
use super::{Job, PipelineError};
use crate::error::Result;

/// Values of a row group before compression: what readers take at a time.
const GROUP_BYTES: usize = 64 << 20;

pub(super) struct Full {
    shard: usize,
    rows: Vec<Row>,
}

/// Gathers rows until no more come.
pub(super) fn gather(plan: &Plan, rows: &Receiver<Row>, full: &Sender<Full>) {
    let mut open: HashMap<usize, Vec<Row>> = HashMap::new();
    for shard in plan.to_do().filter(|shard| plan.inputs_of(*shard).is_empty()) {
        if full.send(Full { shard, rows: Vec::new() }).is_err() {
            return;
        }
    }
    for row in rows {
        let shard = plan.shard_of(row.input);
        let rows = open.entry(shard).or_default();
        rows.push(row);
        if rows.len() == plan.inputs_of(shard).len() {
            let rows = open.remove(&shard).unwrap_or_default();
            if full.send(Full { shard, rows }).is_err() {
                return;
            }
        }
    }
}

/// What a thread that writes works with.
pub(super) struct Write<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) plan: &'a Plan,
    pub(super) gate: &'a Gate,
    pub(super) halt: &'a Halt,
    pub(super) meter: &'a Meter,
}

impl Write<'_> {
    /// One thread: writes until there is nothing left.
    pub(super) fn run(&self, full: &Receiver<Full>) {
        for full in full {
            let count = full.rows.len();
            let written = self.meter.busy(|| self.write(full.shard, full.rows));
            match written {
                Ok(bytes) => self.meter.count(count, bytes),
                Err(error) => {
                    self.halt.stop(error);
                    return;
                }
            }
            // One without rows went past the gate.
            if count > 0 {
                self.gate.close();
            }
        }
    }

    /// Writes a shard under a name of this worker's own, and then its mark: a shard without one is made again. Where another
    /// worker has marked the shard meanwhile, that one counts, and what was written here goes.
    pub(super) fn write(&self, shard: usize, mut rows: Vec<Row>) -> Result<usize> {
        rows.sort_unstable_by_key(|row| row.input);
        let output = self.job.wanted.output;
        let wrong = |cause| PipelineError::Shard { shard, cause };
        let mut table = TableWriter::new(columns(output), GROUP_BYTES);
        table.note("gpu-harness.plan", &self.plan.id);
        for row in &rows {
            table.push(&row.cells(&self.plan.inputs[row.input], output)).map_err(wrong)?;
        }
        let errors = rows.iter().filter(|row| row.is_error()).count();
        let file = table.finish().map_err(wrong)?;
        let sha256 = hex::encode(Sha256::digest(&file));
        let (plan, key) = (self.plan.id.clone(), self.plan.key_of(shard));
        let mark = Mark { plan, key, rows: rows.len(), errors, bytes: file.len() as u64, sha256 };
        let stop = || self.halt.is_set();
        let put = self.job.patience().exercise(&stop, || self.job.shards.put(&mark.key, &file));
        put.map_err(PipelineError::Store)?;
        if self.plan.marks.make(self.job, shard, &mark, &stop)? == Made::Theirs {
            // What cannot be removed now is an object that no mark names: whoever reads all back removes it.
            let _ = self.job.shards.remove(&mark.key);
        }
        Ok(file.len())
    }
}
