//! A point: one dtype and one batch size, measured in several windows.

use std::num::NonZeroU32;
use std::time::Duration;

use gpu_suites::metrics::Value;
use gpu_suites::spec::Dtype;
use gpu_suites::statistics::median;
use serde::Serialize;
use tch::Device;

use super::canary::Ceiling;
use super::percentile::{Percentile, percentile};
use super::roofline::Roofline;
use super::subject::{Inputs, Subject, settle};
use super::window::{Pace, Rules, Window};
use super::{Job, PHASE};
use crate::device;
use crate::emit::{Emitter, number};
use crate::error::Result;
use crate::shim;

/// Windows that are measured at most, for each one that is wanted: what breaks a rule is measured again.
const TRIES: usize = 2;
/// A measurement that is shorter is said to be short (MLPerf Inference asks for 60 s, and for 600 s in the end).
const SHORT_BELOW: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
pub(super) struct Point {
    dtype: Dtype,
    pub(super) batch: NonZeroU32,
    warm_up: u32,
    wanted: usize,
    windows: Vec<Window>,
    /// On a GPU: the window that waits for each iteration.
    latency: Option<Window>,
    memory_peak_bytes: Option<f64>,
    flops_per_item: f64,
    bytes_per_item: f64,
    #[serde(skip)]
    roofline: Roofline,
    short: bool,
}

/// Measures a point, a line of metrics for each window as it ends.
pub(super) fn measure(
    job: &Job<'_>,
    rules: &Rules,
    dtype: Dtype,
    subject: &mut Subject,
    mut inputs: Inputs,
    ceiling: Ceiling,
    emitter: &mut Emitter,
) -> Result<Point> {
    let wanted = job.measured.windows.get() as usize;
    let length = job.measured.measure.0 / job.measured.windows.get();
    let batch = inputs.batch;
    let prefix = format!("{dtype}/batch-{batch}/");
    for _ in 0..job.measured.warm_up.get() {
        subject.iterate(&mut inputs)?;
    }
    let costs = shim::counted(|| subject.iterate(&mut inputs))?;
    settle(rules.device);
    reset_peak(rules.device)?;
    let mut windows: Vec<Window> = Vec::new();
    let valid = |windows: &[Window]| windows.iter().filter(|window| window.broken.is_empty()).count();
    while valid(&windows) < wanted && windows.len() < TRIES * wanted {
        let window = rules.window(subject, &mut inputs, length, Pace::Flow)?;
        let step = windows.len() as u64 + 1;
        let name =
            if window.broken.is_empty() { "window_items_per_second" } else { "invalid_items_per_second" };
        emitter.metrics(Some(step), vec![(format!("{prefix}{name}"), number(window.items_per_second))])?;
        windows.push(window);
        emitter.progress(PHASE, valid(&windows) as u64, wanted as u64)?;
    }
    let memory_peak_bytes = peak(rules.device)?;
    let latency = if rules.device.is_cuda() {
        Some(rules.window(subject, &mut inputs, length, Pace::OneByOne)?)
    } else {
        None
    };
    let roofline = Roofline::of(&costs, ceiling);
    let items = f64::from(batch.get());
    Ok(Point {
        dtype,
        batch,
        warm_up: job.measured.warm_up.get(),
        wanted,
        windows,
        latency,
        memory_peak_bytes,
        flops_per_item: roofline.flops / items,
        bytes_per_item: roofline.bytes / items,
        roofline,
        short: job.measured.measure.0 < SHORT_BELOW,
    })
}

impl Point {
    fn valid(&self) -> Vec<&Window> {
        Vec::from_iter(self.windows.iter().filter(|window| window.broken.is_empty()))
    }

    /// The median rate of the valid windows, where there are enough of them.
    pub(super) fn rate(&self) -> Option<f64> {
        let rates = Vec::from_iter(self.valid().iter().map(|window| window.items_per_second));
        median(&rates).filter(|_| rates.len() >= self.wanted)
    }

    /// Every figure of the point, under the names of docs/metrics.md.
    pub(super) fn figures(&self) -> Vec<(&'static str, Value)> {
        let valid = self.valid();
        let mut figures = vec![
            ("windows_valid", number(valid.len() as f64)),
            ("windows_wanted", number(self.wanted as f64)),
        ];
        let Some(rate) = self.rate() else {
            figures.push(("why_invalid", Value::Text(self.why_invalid())));
            return figures;
        };
        let spread =
            valid.iter().map(|window| (window.items_per_second - rate).abs() / rate).fold(0.0, f64::max);
        let measured = valid.iter().map(|window| window.seconds).sum::<f64>();
        let share = rate * self.roofline.seconds() / f64::from(self.batch.get());
        figures.push(("items_per_second", number(rate)));
        figures.push(("spread", number(spread)));
        figures.push(("measured_seconds", number(measured)));
        if self.short {
            figures.push(("short", Value::Flag(true)));
        }
        figures.extend(self.latencies());
        if self.roofline.seconds() > 0.0 {
            figures.push(("share_of_ceiling", number(share)));
            figures.push(("binding", Value::Text(self.roofline.binding(share).into())));
            figures.push(("gflop_per_item", number(self.flops_per_item / 1e9)));
            figures.push(("mib_per_item", number(self.bytes_per_item / f64::from(1 << 20))));
        }
        figures.extend(self.memory_peak_bytes.map(|bytes| ("memory_peak_bytes", number(bytes))));
        let energy = valid.iter().map(|window| window.gpu.as_ref()?.energy).sum::<Option<f64>>();
        let items =
            valid.iter().map(|window| window.iterations as f64).sum::<f64>() * f64::from(self.batch.get());
        figures.extend(energy.map(|joules| ("joules_per_item", number(joules / items))));
        figures
    }

    fn latencies(&self) -> Vec<(&'static str, Value)> {
        let windows = match &self.latency {
            Some(window) => vec![window],
            None => self.valid(),
        };
        let mut seconds = Vec::from_iter(windows.iter().flat_map(|window| window.latencies.iter().copied()));
        seconds.sort_by(f64::total_cmp);
        [("latency_p50_ms", 0.5), ("latency_p90_ms", 0.9), ("latency_p99_ms", 0.99)]
            .into_iter()
            .map(|(name, p)| match percentile(&seconds, p) {
                Percentile::Is(seconds) => (name, number(seconds * 1e3)),
                Percentile::Takes(fewest) => {
                    let came = seconds.len();
                    (name, Value::Text(format!("takes {fewest} batches, {came} were measured")))
                }
            })
            .collect()
    }

    /// Each rule that was broken, and in how many windows.
    fn why_invalid(&self) -> String {
        let mut broken =
            Vec::from_iter(self.windows.iter().flat_map(|window| window.broken.iter().map(String::as_str)));
        broken.sort_unstable();
        broken.dedup();
        broken.join("; ")
    }
}

fn reset_peak(device: Device) -> Result<()> {
    if device.is_cuda() {
        return shim::cuda_reset_peak(device);
    }
    device::reset_resident_peak();
    Ok(())
}

fn peak(device: Device) -> Result<Option<f64>> {
    if device.is_cuda() {
        return Ok(Some(shim::cuda_peak(device)? as f64));
    }
    Ok(device::resident_peak().map(|bytes| bytes as f64))
}
