//! One window: iterations against the clock, and whether they were measured under the rules.

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::Device;

use super::gpu::{Gpu, Telemetry};
use super::machine::{Load, Moment};
use super::subject::{Inputs, Subject, settle};
use crate::error::Result;

/// Latencies that are kept of one window.
const MAX_LATENCIES: usize = 1_000_000;

/// How windows are measured.
pub(super) struct Rules {
    pub(super) device: Device,
    pub(super) gpu: Option<Gpu>,
    /// CPU time that others may take.
    pub(super) others: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) iterations: u64,
    pub(super) items_per_second: f64,
    /// The rules that it broke: it is valid where there are none.
    pub(super) broken: Vec<String>,
    pub(super) machine: Option<Load>,
    pub(super) gpu: Option<Telemetry>,
    /// Seconds of each iteration; on a GPU, where iterations overlap, only of a window that waits for each.
    #[serde(skip)]
    pub(super) latencies: Vec<f64>,
}

/// Whether a window waits for each iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The device has always something to do: for the rate.
    Flow,
    /// One after another: for the latency.
    OneByOne,
}

impl Rules {
    /// Iterates for this long, and at least once.
    pub(super) fn window(
        &self,
        subject: &mut Subject,
        inputs: &mut Inputs,
        length: Duration,
        pace: Pace,
    ) -> Result<Window> {
        let timed = pace == Pace::OneByOne || !self.device.is_cuda();
        let mut latencies = Vec::new();
        settle(self.device);
        let watching = self.gpu.as_ref().and_then(Gpu::watch);
        let before = Moment::now();
        let start = Instant::now();
        let mut iterations = 0;
        loop {
            let begun = Instant::now();
            subject.iterate(inputs)?;
            iterations += 1;
            if timed {
                settle(self.device);
                if latencies.len() < MAX_LATENCIES {
                    latencies.push(begun.elapsed().as_secs_f64());
                }
            }
            if start.elapsed() >= length {
                break;
            }
        }
        settle(self.device);
        let seconds = start.elapsed().as_secs_f64();
        let machine = before.zip(Moment::now()).and_then(|(before, after)| before.until(&after));
        let gpu = self.gpu.as_ref().zip(watching).map(|(gpu, watching)| gpu.seen(watching));
        // On a GPU the CPU only feeds it: that others use its cores is recorded, and shows in the spread.
        let of_machine = machine
            .filter(|_| !self.device.is_cuda())
            .map(|load| load.broken(self.others))
            .unwrap_or_default();
        let of_gpu = gpu.as_ref().map(Telemetry::broken).unwrap_or_default();
        Ok(Window {
            seconds,
            iterations,
            items_per_second: iterations as f64 * f64::from(inputs.batch.get()) / seconds,
            broken: [of_machine, of_gpu].concat(),
            machine,
            gpu,
            latencies,
        })
    }
}
