//! What was going on in a pipeline, second by second.

use std::time::{Duration, Instant};

use gpu_suites::statistics::median;
use serde_json::json;

use super::meter::{Meters, STAGES};
use super::{figure, rate};
use crate::device;
use crate::emit::{Emitter, count};
use crate::error::Result;

/// Time between two points.
const POINT: Duration = Duration::from_secs(1);
/// A day of them.
const MOST_POINTS: usize = 86_400;
/// Fewer points say nothing of whether memory grows.
const LEAST_TO_GROW: usize = 9;

/// How many images wait in the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queues {
    /// Fetched, not decoded yet.
    pub(super) encoded: usize,
    /// Decoded, not with a replica yet.
    pub(super) decoded: usize,
}

/// What was going on since the point before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) second: f64,
    /// That left the model.
    pub(super) images_per_second: f64,
    pub(super) queues: Queues,
    /// Of each of [`STAGES`], the share of its threads' time in which they worked.
    pub(super) utilisation: [f64; STAGES.len()],
    /// Of the whole process: the middle of the looks since the point before.
    pub(super) memory_bytes: Option<f64>,
}

/// The points so far, and what was counted at the last of them.
pub(super) struct Timeline {
    begun: Instant,
    last: Instant,
    items: u64,
    busy: [Duration; STAGES.len()],
    threads: [usize; STAGES.len()],
    /// Bytes that the process had at each look since the last point.
    memory: Vec<f64>,
    pub(super) points: Vec<Point>,
}

impl Timeline {
    pub(super) fn new(threads: [usize; STAGES.len()]) -> Self {
        let begun = Instant::now();
        let busy = [Duration::ZERO; STAGES.len()];
        Self { begun, last: begun, items: 0, busy, threads, memory: Vec::new(), points: Vec::new() }
    }

    /// Looks at what the process has: batches come and go between two points.
    pub(super) fn look(&mut self) {
        self.memory.extend(device::resident_bytes().map(|bytes| bytes as f64));
    }

    /// Whether it is time for the next point; the `last` one ends a shorter span.
    pub(super) fn due(&self, last: bool) -> bool {
        (last || self.last.elapsed() >= POINT) && self.points.len() < MOST_POINTS
    }

    /// Adds a point, and says it.
    pub(super) fn point(&mut self, meters: &Meters, queues: Queues, emitter: &mut Emitter) -> Result<()> {
        let now = Instant::now();
        let time = now.duration_since(self.last);
        let items = meters.model.items();
        let busy = meters.stages().map(super::meter::Meter::busy_time);
        let share = |stage: usize| {
            let had = time.as_secs_f64() * self.threads[stage] as f64;
            let worked = busy[stage].saturating_sub(self.busy[stage]).as_secs_f64();
            if had > 0.0 { worked / had } else { 0.0 }
        };
        let point = Point {
            second: now.duration_since(self.begun).as_secs_f64(),
            images_per_second: rate((items - self.items) as f64, time),
            queues,
            utilisation: std::array::from_fn(share),
            memory_bytes: median(&std::mem::take(&mut self.memory)),
        };
        let second = u64::try_from(self.points.len()).unwrap_or(u64::MAX) + 1;
        let mut figures = vec![
            figure("now/images_per_second", point.images_per_second),
            ("now/encoded_waiting".into(), count(queues.encoded)),
            ("now/decoded_waiting".into(), count(queues.decoded)),
        ];
        figures.extend(point.memory_bytes.map(|bytes| figure("now/memory_bytes", bytes)));
        emitter.metrics(Some(second), figures)?;
        self.points.push(point);
        (self.last, self.items, self.busy) = (now, items, busy);
        Ok(())
    }
}

/// Images that waited in each queue, on average over the points.
pub(super) fn mean_queues(points: &[Point]) -> Option<[f64; 2]> {
    let mean = |of: fn(&Queues) -> usize| {
        points.iter().map(|point| of(&point.queues)).sum::<usize>() as f64 / points.len() as f64
    };
    (!points.is_empty()).then(|| [mean(|queues| queues.encoded), mean(|queues| queues.decoded)])
}

/// What the process had: the middle of all points, and the last third's middle as a multiple of the first third's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Memory {
    pub(super) median_bytes: f64,
    /// `None` in a run that is too short to say.
    pub(super) growth: Option<f64>,
}

/// The memory over the points; `None` where the system does not tell.
pub(super) fn memory(points: &[Point]) -> Option<Memory> {
    let bytes = Vec::from_iter(points.iter().filter_map(|point| point.memory_bytes));
    let third = bytes.len() / 3;
    let growth = (bytes.len() >= LEAST_TO_GROW)
        .then(|| Some(median(&bytes[bytes.len() - third..])? / median(&bytes[..third])?))
        .flatten();
    Some(Memory { median_bytes: median(&bytes)?, growth })
}

pub(super) fn record(points: &[Point]) -> Vec<serde_json::Value> {
    let record = |point: &Point| {
        let mut record = json!({
            "second": point.second,
            "images_per_second": point.images_per_second,
            "encoded_waiting": point.queues.encoded,
            "decoded_waiting": point.queues.decoded,
            "memory_bytes": point.memory_bytes,
        });
        for (name, share) in STAGES.into_iter().zip(point.utilisation) {
            record[format!("{name}_utilisation")] = share.into();
        }
        record
    };
    points.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(memory: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let point = |bytes| Point {
            second: 1.0,
            images_per_second: 1.0,
            queues: Queues { encoded: 0, decoded: 0 },
            utilisation: [0.0; STAGES.len()],
            memory_bytes: Some(bytes),
        };
        memory.into_iter().map(point).collect()
    }

    #[test]
    fn memory_that_grows_is_told_from_memory_that_moves() {
        let leak = memory(&points((0..30).map(|second| 100.0 + f64::from(second)))).unwrap();
        assert!((leak.growth.unwrap() - 124.5 / 104.5).abs() < 1e-9, "{leak:?}");
        let moving = memory(&points((0..30).map(|second| 100.0 + f64::from(second % 3)))).unwrap();
        assert_eq!(moving, Memory { median_bytes: 101.0, growth: Some(1.0) });
    }

    #[test]
    fn a_short_run_says_nothing_of_growth() {
        assert_eq!(memory(&points([100.0; 8])), Some(Memory { median_bytes: 100.0, growth: None }));
        assert_eq!(memory(&points([])), None);
    }

    #[test]
    fn what_the_process_has_is_looked_at() {
        let mut timeline = Timeline::new([1; STAGES.len()]);
        timeline.look();
        timeline
            .point(
                &Meters::new(super::super::occupancy::Occupancy::of(&[])),
                Queues { encoded: 0, decoded: 0 },
                &mut Emitter::to_nowhere(),
            )
            .unwrap();
        assert!(timeline.points[0].memory_bytes.unwrap() > 1e6);
    }
}
