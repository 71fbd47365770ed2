//! Fetches images from their store.

use crossbeam_channel::{Receiver, Sender};
use gpu_stores::Fault;

use super::budget::{Budget, Held};
use super::halt::Halt;
use super::meter::Meter;
use super::plan::Plan;
use super::rows::Row;
use super::{Job, PipelineError};

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
                    fetched.send(Fetched { input, bytes, _held: held }).is_ok()
                }
                Err(error) if is_about_all(&error.fault) => {
                    self.halt.stop(PipelineError::Store(error).into());
                    return;
                }
                Err(error) => {
                    self.meter.count(1, 0);
                    rows.send(Row::failed(input, None, &format!("not read: {}", error.fault))).is_ok()
                }
            };
            if !sent || self.halt.is_set() {
                return;
            }
        }
    }
}

/// Whether every other image would fail as well: then the run ends, and what is done is kept, instead of every image
/// becoming a row with an error.
fn is_about_all(fault: &Fault) -> bool {
    fault.is_the_stores() || matches!(fault, Fault::Denied(_))
}
