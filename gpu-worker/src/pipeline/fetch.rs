//! Fetches images from their store.

use super::budget::{Budget, Held};
use super::halt::Halt;
use super::meter::Meter;
use super::plan::Plan;
use super::refused::{Refused, Verdict};
use super::rows::Row;
use super::{Job, PipelineError};
use crossbeam_channel::{Receiver, Sender};

/// An image's bytes, and the memory that they take.
pub(super) struct Fetched<'a> {
    pub(super) input: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) _held: Held<'a>,
}

/// What a thread of this stage works with.
pub(super) struct Fetch<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) plan: &'a Plan,
    pub(super) budget: &'a Budget,
    pub(super) refused: &'a Refused,
    pub(super) halt: &'a Halt,
    pub(super) meter: &'a Meter,
}

impl<'a> Fetch<'a> {
    /// One thread: fetches until there is nothing left.
    pub(super) fn run(&self, inputs: &Receiver<usize>, fetched: &Sender<Fetched<'a>>, rows: &Sender<Row>) {
        for input in inputs {
            let object = &self.plan.inputs[input];
            if object.size > self.budget.whole() {
                let why = format!(
                    "not read: its {} bytes are more than the {} that `memory` has for encoded images",
                    object.size,
                    self.budget.whole()
                );
                self.meter.count(1, 0);
                if rows.send(Row::failed(input, None, &why)).is_err() {
                    return;
                }
                continue;
            }
            let Some(held) = self.budget.take(object.size, self.halt) else { return };
            let patience = self.job.patience();
            let got =
                self.meter.busy(|| patience.exercise(&|| self.halt.is_set(), || self.job.images.get(object)));
            let sent = match got {
                Ok(bytes) => {
                    self.meter.count(1, bytes.len());
                    self.settle(Verdict::Rows(self.refused.read()), rows)
                        && fetched.send(Fetched { input, bytes, _held: held }).is_ok()
                }
                Err(error) if error.fault.is_the_stores() => {
                    self.halt.stop(PipelineError::Store(error).into());
                    return;
                }
                Err(error) => {
                    self.meter.count(1, 0);
                    let row = Row::failed(input, None, &format!("not read: {}", error.fault));
                    let verdict = if error.fault.may_be_all() {
                        self.refused.refuse(row, error)
                    } else {
                        Verdict::Rows(vec![row])
                    };
                    self.settle(verdict, rows)
                }
            };
            if !sent || self.halt.is_set() {
                return;
            }
        }
        self.settle(self.refused.leave(), rows);
    }

    /// Hands on the rows, or ends the run; whether it goes on.
    fn settle(&self, verdict: Verdict, rows: &Sender<Row>) -> bool {
        match verdict {
            Verdict::Rows(failed) => failed.into_iter().all(|row| rows.send(row).is_ok()),
            Verdict::All(error) => {
                self.halt.stop(PipelineError::Store(error).into());
                false
            }
        }
    }
}
