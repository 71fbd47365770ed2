//! What was going on in a pipeline, second by second.

use std::time::{Duration, Instant};

use serde_json::json;

use super::meter::{Meters, STAGES};
use super::{figure, rate};
use crate::emit::{Emitter, count};
use crate::error::Result;

/// Time between two points.
const POINT: Duration = Duration::from_secs(1);
/// A day of them.
const MOST_POINTS: usize = 86_400;

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
    /// Since the beginning.
    pub(super) second: f64,
    /// That left the model.
    pub(super) images_per_second: f64,
    pub(super) queues: Queues,
    /// Of each of [`STAGES`], the share of its threads' time in which they worked.
    pub(super) utilisation: [f64; STAGES.len()],
}

/// The points so far, and what was counted at the last of them.
pub(super) struct Timeline {
    begun: Instant,
    last: Instant,
    items: u64,
    busy: [Duration; STAGES.len()],
    /// Threads of each stage.
    threads: [usize; STAGES.len()],
    pub(super) points: Vec<Point>,
}

impl Timeline {
    pub(super) fn new(threads: [usize; STAGES.len()]) -> Self {
        let begun = Instant::now();
        let busy = [Duration::ZERO; STAGES.len()];
        Self { begun, last: begun, items: 0, busy, threads, points: Vec::new() }
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
        };
        let second = u64::try_from(self.points.len()).unwrap_or(u64::MAX) + 1;
        emitter.metrics(
            Some(second),
            vec![
                figure("now/images_per_second", point.images_per_second),
                ("now/encoded_waiting".into(), count(queues.encoded)),
                ("now/decoded_waiting".into(), count(queues.decoded)),
            ],
        )?;
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

/// The points as `pipeline.json` has them.
pub(super) fn record(points: &[Point]) -> Vec<serde_json::Value> {
    let record = |point: &Point| {
        let mut record = json!({
            "second": point.second,
            "images_per_second": point.images_per_second,
            "encoded_waiting": point.queues.encoded,
            "decoded_waiting": point.queues.decoded,
        });
        for (name, share) in STAGES.into_iter().zip(point.utilisation) {
            record[format!("{name}_utilisation")] = share.into();
        }
        record
    };
    points.iter().map(record).collect()
}
