//! The stages and their queues: threads that end when what comes before them has ended.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use gpu_suites::metrics::Value;
use serde_json::json;

use super::budget::Budget;
use super::ceiling::{self, Rate};
use super::collect::{Full, Write, gather};
use super::decode::{Decode, Decoded};
use super::fetch::Fetch;
use super::gate::Gate;
use super::halt::Halt;
use super::meter::Meter;
use super::picture::Form;
use super::plan::Plan;
use super::replica::{Replica, Sizes};
use super::rows::Row;
use super::{Job, PipelineError, feed, figure, rate};
use crate::device;
use crate::emit::{Emitter, count};
use crate::error::{Result, WorkerError};

/// Shards that are begun and not written yet.
const OPEN_SHARDS: usize = 8;
/// Threads that write shards: one compresses while another's bytes are on their way.
const WRITERS: usize = 2;
/// Batches that wait for each replica.
const BATCHES_AHEAD: usize = 2;
/// Of the memory that images may take, the part that is for encoded ones.
const ENCODED: u64 = 4;
/// Rows that wait for the collector: they are small.
const ROWS_AHEAD: usize = 4096;
/// Time between two looks at the queues, and between two points of the timeline.
const LOOK: Duration = Duration::from_millis(100);
const POINT: Duration = Duration::from_secs(1);
/// A day of them.
const MOST_POINTS: usize = 86_400;

/// What the stages count.
#[derive(Default)]
struct Meters {
    fetch: Meter,
    decode: Meter,
    model: Meter,
    write: Meter,
    sizes: Sizes,
}

/// What each stage can do on its own, in images a second.
#[derive(Debug, Clone, Copy, Default)]
struct Ceilings {
    fetch: Rate,
    decode: Rate,
    model: f64,
}

/// The queues, as the one who watches sees them.
struct Queues {
    fetched: usize,
    decoded: usize,
}

/// Runs what is left of the plan; gives the record of it.
pub(super) fn run(job: &Job<'_>, plan: &Plan, emitter: &mut Emitter) -> Result<serde_json::Value> {
    let form = Form {
        size: i64::from(job.wanted.size.get()),
        resize: job.wanted.resize,
        largest: job.wanted.largest_image.get(),
    };
    let (halt, meters) = (Halt::default(), Meters::default());
    let encoded = Budget::new(job.wanted.memory.0 / ENCODED);
    let unpacked = Budget::new(job.wanted.memory.0 - job.wanted.memory.0 / ENCODED);
    let gate = Gate::new(OPEN_SHARDS);
    let fetch = Fetch { job, plan, budget: &encoded, halt: &halt, meter: &meters.fetch };
    let decode = Decode { form, budget: &unpacked, halt: &halt, meter: &meters.decode };
    let write = Write { job, plan, gate: &gate, halt: &halt, meter: &meters.write };

    let mut ceilings = Ceilings::default();
    let time = job.wanted.calibrate.0;
    if !time.is_zero() {
        emitter.progress("ceilings", 0, 3)?;
        let first = Vec::from_iter(plan.to_do().flat_map(|shard| plan.inputs_of(shard)).take(1000));
        let (rate, images) = ceiling::of_fetch(&fetch, &first, time);
        ceilings.fetch = rate;
        emitter.progress("ceilings", 1, 3)?;
        ceilings.decode = ceiling::of_decode(form, &images, job.decoders, time, &unpacked, &halt)?;
        emitter.progress("ceilings", 2, 3)?;
    }
    let to_do = plan.to_do().map(|shard| plan.inputs_of(shard).len()).sum::<usize>();
    let (wall, timeline) = std::thread::scope(|scope| -> Result<_> {
        let (decoded_in, decoded) = bounded(BATCHES_AHEAD * job.wanted.batch.get() as usize * job.replicas);
        let (rows_in, rows) = bounded(ROWS_AHEAD);
        ceilings.model = replicas(scope, job, &decoded, &rows_in, &halt, &meters)?;
        if !time.is_zero() {
            emitter.progress("ceilings", 3, 3)?;
        }
        device::reset_resident_peak();
        let begun = Instant::now();
        let (inputs_in, inputs) = bounded(job.wanted.clients.get() as usize);
        let (fetched_in, fetched) = bounded(2 * job.decoders);
        let (full_in, full): (Sender<Full>, Receiver<Full>) = bounded(1);
        let (gate, halt) = (&gate, &halt);
        spawn(scope, halt, move || feed::run(plan, gate, halt, &inputs_in));
        // From here on each thread owns its ends of the queues: a stage ends when all before it have.
        for _ in 0..job.wanted.clients.get() {
            let (inputs, fetched_in, rows_in) = (inputs.clone(), fetched_in.clone(), rows_in.clone());
            let fetch = &fetch;
            spawn(scope, halt, move || fetch.run(&inputs, &fetched_in, &rows_in));
        }
        for _ in 0..job.decoders {
            let (fetched, decoded_in, rows_in) = (fetched.clone(), decoded_in.clone(), rows_in.clone());
            let decode = &decode;
            spawn(scope, halt, move || decode.run(&fetched, &decoded_in, &rows_in));
        }
        spawn(scope, halt, move || gather(plan, &rows, &full_in));
        let writers = Vec::from_iter((0..WRITERS).map(|_| {
            let full = full.clone();
            let write = &write;
            spawn(scope, halt, move || write.run(&full))
        }));
        let look = || Queues { fetched: fetched.len(), decoded: decoded.len() };
        drop((inputs, fetched_in, decoded_in, rows_in, full));
        let timeline = watch(&meters, job, to_do, look, &writers, halt, emitter)?;
        Ok((begun.elapsed(), timeline))
    })?;
    halt.into_result()?;
    emitter.metrics(None, figures(job, &meters, &ceilings, wall))?;
    Ok(record(job, &meters, &ceilings, wall, &timeline))
}

/// Starts the replicas; gives what they can do together, once all of them are ready.
fn replicas<'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: &'scope Job<'_>,
    decoded: &Receiver<Decoded>,
    rows: &Sender<Row>,
    halt: &'scope Halt,
    meters: &'scope Meters,
) -> Result<f64> {
    let barrier = Arc::new(Barrier::new(job.replicas));
    let (ready_in, ready) = unbounded();
    for _ in 0..job.replicas {
        let (decoded, rows, ready, barrier) =
            (decoded.clone(), rows.clone(), ready_in.clone(), Arc::clone(&barrier));
        let time = job.wanted.calibrate.0;
        let work = move || {
            // Whatever becomes of it, the others wait for this one at the barrier.
            let built = catch_unwind(AssertUnwindSafe(|| Replica::build(job)))
                .unwrap_or_else(|_| Err(PipelineError::Thread.into()));
            // Measured beside each other, as they will run.
            barrier.wait();
            let measured = built.and_then(|replica| {
                let rate = if time.is_zero() { 0.0 } else { replica.ceiling(time)? };
                Ok((replica, rate))
            });
            match measured {
                Ok((replica, rate)) => {
                    if ready.send(Ok(rate)).is_ok() {
                        drop(ready);
                        replica.run(&decoded, &rows, halt, &meters.model, &meters.sizes);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        spawn(scope, halt, work);
    }
    drop(ready_in);
    let mut together = 0.0;
    for _ in 0..job.replicas {
        match ready.recv() {
            Ok(Ok(rate)) => together += rate,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(PipelineError::Thread.into()),
        }
    }
    Ok(together)
}

/// A thread whose panic ends the pipeline, and not the process.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    halt: &'scope Halt,
    work: impl FnOnce() + Send + 'scope,
) -> ScopedJoinHandle<'scope, ()> {
    scope.spawn(|| {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            halt.stop(PipelineError::Thread.into());
        }
    })
}

/// Says how far it is until all is written, or something ends it.
fn watch(
    meters: &Meters,
    job: &Job<'_>,
    to_do: usize,
    look: impl Fn() -> Queues,
    writers: &[ScopedJoinHandle<'_, ()>],
    halt: &Halt,
    emitter: &mut Emitter,
) -> Result<Vec<serde_json::Value>> {
    let begun = Instant::now();
    let mut timeline = Timeline::new(begun);
    loop {
        let ended = writers.iter().all(ScopedJoinHandle::is_finished);
        let done = meters.write.items().min(to_do as u64);
        let said = emitter.progress("images", done, to_do as u64);
        let said = said.and_then(|()| {
            if timeline.due(ended) { timeline.point(meters, job, &look(), emitter) } else { Ok(()) }
        });
        if let Err(error) = said {
            // Nobody listens any more: there is nobody to go on for.
            halt.stop(WorkerError::Metrics(std::io::ErrorKind::BrokenPipe.into()));
            return Err(error);
        }
        if ended || halt.is_set() {
            return Ok(timeline.points);
        }
        std::thread::sleep(LOOK);
    }
}

/// What was going on, second by second.
struct Timeline {
    begun: Instant,
    last: Instant,
    /// Items of the model, and busy time of each stage, at the last point.
    items: u64,
    busy: [Duration; 4],
    points: Vec<serde_json::Value>,
}

impl Timeline {
    fn new(begun: Instant) -> Self {
        Self { begun, last: begun, items: 0, busy: [Duration::ZERO; 4], points: Vec::new() }
    }

    fn due(&self, ended: bool) -> bool {
        (ended || self.last.elapsed() >= POINT) && self.points.len() < MOST_POINTS
    }

    fn point(
        &mut self,
        meters: &Meters,
        job: &Job<'_>,
        queues: &Queues,
        emitter: &mut Emitter,
    ) -> Result<()> {
        let (time, now) = (self.last.elapsed(), Instant::now());
        let items = meters.model.items();
        let speed = rate((items - self.items) as f64, time);
        let busy = meters.stages().map(|(_, meter)| meter.busy_time());
        let mut point = json!({
            "second": now.duration_since(self.begun).as_secs_f64(),
            "images_per_second": speed,
            "encoded_waiting": queues.fetched,
            "decoded_waiting": queues.decoded,
        });
        for (((name, _), threads), (busy, before)) in
            meters.stages().into_iter().zip(threads(job)).zip(busy.into_iter().zip(self.busy))
        {
            let had = time.as_secs_f64() * threads as f64;
            let share = if had > 0.0 { (busy.saturating_sub(before)).as_secs_f64() / had } else { 0.0 };
            point[format!("{name}_utilisation")] = share.into();
        }
        let second = u64::try_from(self.points.len()).unwrap_or(u64::MAX) + 1;
        emitter.metrics(
            Some(second),
            vec![
                figure("now/images_per_second", speed),
                ("now/encoded_waiting".into(), count(queues.fetched)),
                ("now/decoded_waiting".into(), count(queues.decoded)),
            ],
        )?;
        self.points.push(point);
        (self.last, self.items, self.busy) = (now, items, busy);
        Ok(())
    }
}

impl Meters {
    fn stages(&self) -> [(&'static str, &Meter); 4] {
        [("fetch", &self.fetch), ("decode", &self.decode), ("model", &self.model), ("write", &self.write)]
    }
}

fn threads(job: &Job<'_>) -> [usize; 4] {
    [job.wanted.clients.get() as usize, job.decoders, job.replicas, WRITERS]
}

/// What each stage could do alone; writing is measured by what it did.
fn ceilings_of(meters: &Meters, ceilings: &Ceilings) -> [(&'static str, f64); 4] {
    let write = rate(meters.write.items() as f64, meters.write.busy_time()) * WRITERS as f64;
    [
        ("fetch", ceilings.fetch.items),
        ("decode", ceilings.decode.items),
        ("model", ceilings.model),
        ("write", write),
    ]
}

/// The stage with the lowest ceiling, of those that were measured.
fn binding(stages: &[(&'static str, f64)]) -> Option<(&'static str, f64)> {
    stages
        .iter()
        .filter(|(_, ceiling)| *ceiling > 0.0)
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .copied()
}

/// What checks and reports read.
fn figures(job: &Job<'_>, meters: &Meters, ceilings: &Ceilings, wall: Duration) -> Vec<(String, Value)> {
    let images = meters.write.items() as f64;
    let speed = rate(images, wall);
    let mut figures = vec![
        figure("images_per_second", speed),
        figure("seconds", wall.as_secs_f64()),
        figure("bytes_read", meters.fetch.bytes() as f64),
        figure("read_mbit_per_second", rate(meters.fetch.bytes() as f64 * 8e-6, wall)),
    ];
    for ((name, meter), threads) in meters.stages().into_iter().zip(threads(job)) {
        figures.push(figure(&format!("{name}/utilisation"), meter.utilisation(threads, wall)));
    }
    let stages = ceilings_of(meters, ceilings);
    if !job.wanted.calibrate.0.is_zero() {
        let known = stages.iter().filter(|(_, ceiling)| *ceiling > 0.0);
        figures.extend(known.map(|(name, ceiling)| figure(&format!("{name}/ceiling_per_second"), *ceiling)));
        if let Some((name, ceiling)) = binding(&stages) {
            figures.push(figure("share_of_ceiling", speed / ceiling));
            figures.push(("binding".into(), Value::Text(name.into())));
        }
    }
    let sizes = meters.sizes.lock().unwrap_or_else(PoisonError::into_inner);
    let batches = sizes.values().sum::<u64>();
    if batches > 0 {
        figures.push(figure("batch_mean", meters.model.items() as f64 / batches as f64));
    }
    if let Some(peak) = device::resident_peak() {
        figures.push(figure("memory_peak_bytes", peak as f64));
    }
    figures
}

/// Everything, for whoever wants to look closer.
fn record(
    job: &Job<'_>,
    meters: &Meters,
    ceilings: &Ceilings,
    wall: Duration,
    timeline: &[serde_json::Value],
) -> serde_json::Value {
    let stages = meters.stages().into_iter().zip(threads(job)).zip(ceilings_of(meters, ceilings));
    let stages = stages.map(|(((name, meter), threads), (_, ceiling))| {
        let about = json!({
            "threads": threads,
            "items": meter.items(),
            "bytes": meter.bytes(),
            "busy_seconds": meter.busy_time().as_secs_f64(),
            "utilisation": meter.utilisation(threads, wall),
            "ceiling_per_second": ceiling,
        });
        (name.to_owned(), about)
    });
    let sizes: BTreeMap<usize, u64> = meters.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    json!({
        "seconds": wall.as_secs_f64(),
        "images_per_second": rate(meters.write.items() as f64, wall),
        "stages": serde_json::Map::from_iter(stages),
        "fetch_ceiling_bytes_per_second": ceilings.fetch.bytes,
        "decode_ceiling_bytes_per_second": ceilings.decode.bytes,
        "batch_sizes": sizes,
        "timeline": timeline,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_stage_is_the_one_with_the_lowest_ceiling() {
        let stages = [("fetch", 100.0), ("decode", 0.0), ("model", 40.0), ("write", 900.0)];
        assert_eq!(binding(&stages), Some(("model", 40.0)));
        assert_eq!(binding(&[("fetch", 0.0)]), None);
    }
}
