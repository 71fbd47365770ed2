//! The stages and their queues: threads that end when what comes before them has ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
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
use super::meter::{Meters, STAGES};
use super::occupancy::Occupancy;
use super::picture::Form;
use super::plan::Plan;
use super::refused::Refused;
use super::replica::{Replica, Speed};
use super::resize::Resizing;
use super::rows::Row;
use super::timeline::{self, Point, Queues, Timeline};
use super::{Job, PipelineError, chart, feed, figure, rate};
use crate::device;
use crate::emit::Emitter;
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
/// Time between two looks at the queues.
const LOOK: Duration = Duration::from_millis(100);
/// The picture of the timeline.
const PICTURE: &str = "timeline.svg";

/// What each stage can do on its own, in images a second.
#[derive(Debug, Clone, Copy, Default)]
struct Ceilings {
    fetch: Rate,
    decode: Rate,
    replicas: Speed,
}

/// A run that is over.
struct Past<'a> {
    job: &'a Job<'a>,
    meters: &'a Meters,
    ceilings: Ceilings,
    wall: Duration,
    points: Vec<Point>,
}

/// Runs what is left of the plan; gives the record of it.
pub(super) fn run(job: &Job<'_>, plan: &Plan, emitter: &mut Emitter) -> Result<serde_json::Value> {
    let form = Form {
        resizing: Resizing { size: i64::from(job.wanted.size.get()), how: job.wanted.resize },
        largest: job.wanted.largest_image.get(),
    };
    let (halt, meters) = (Halt::default(), Meters::new(Occupancy::of(&job.place.devices())));
    let encoded = Budget::new(job.wanted.memory.0 / ENCODED);
    let unpacked = Budget::new(job.wanted.memory.0 - job.wanted.memory.0 / ENCODED);
    let gate = Gate::new(OPEN_SHARDS);
    let refused = Refused::new(job.wanted.clients.get() as usize);
    let fetch = Fetch { job, plan, budget: &encoded, refused: &refused, halt: &halt, meter: &meters.fetch };
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
    let (wall, points) = std::thread::scope(|scope| -> Result<_> {
        let (decoded_in, decoded) =
            bounded(BATCHES_AHEAD * job.wanted.batch.get() as usize * job.replicas.len());
        let (rows_in, rows) = bounded(ROWS_AHEAD);
        ceilings.replicas = replicas(scope, job, &decoded, &rows_in, &halt, &meters)?;
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
        let look = || Queues { encoded: fetched.len(), decoded: decoded.len() };
        drop((inputs, fetched_in, decoded_in, rows_in, full));
        let points = watch(&meters, job, to_do, look, &writers, halt, emitter)?;
        Ok((begun.elapsed(), points))
    })?;
    halt.into_result()?;
    let past = Past { job, meters: &meters, ceilings, wall, points };
    emitter.metrics(None, past.figures())?;
    past.draw(emitter)?;
    Ok(past.record())
}

/// Starts the replicas; gives what they can do together, once all of them are ready.
fn replicas<'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: &'scope Job<'_>,
    decoded: &Receiver<Decoded>,
    rows: &Sender<Row>,
    halt: &'scope Halt,
    meters: &'scope Meters,
) -> Result<Speed> {
    let barrier = Arc::new(Barrier::new(job.replicas.len()));
    let (ready_in, ready) = unbounded();
    for device in &job.replicas {
        let (decoded, rows, ready, barrier) =
            (decoded.clone(), rows.clone(), ready_in.clone(), Arc::clone(&barrier));
        let time = job.wanted.calibrate.0;
        let work = move || {
            // Whatever becomes of it, the others wait for this one at the barrier.
            let built = catch_unwind(AssertUnwindSafe(|| Replica::build(job, *device)))
                .unwrap_or_else(|_| Err(PipelineError::Thread.into()));
            // Measured beside each other, as they will run.
            barrier.wait();
            let measured = built.and_then(|replica| {
                let speed = if time.is_zero() { Speed::default() } else { replica.ceiling(time)? };
                Ok((replica, speed))
            });
            match measured {
                Ok((replica, speed)) => {
                    if ready.send(Ok(speed)).is_ok() {
                        drop(ready);
                        replica.run(&decoded, &rows, halt, meters);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        spawn(scope, halt, work);
    }
    drop(ready_in);
    let mut together = Speed::default();
    for _ in &job.replicas {
        match ready.recv() {
            Ok(Ok(speed)) => {
                together.copy += speed.copy;
                together.model += speed.model;
            }
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
) -> Result<Vec<Point>> {
    let mut timeline = Timeline::new(threads(job));
    loop {
        let ended = writers.iter().all(ScopedJoinHandle::is_finished);
        let done = meters.write.items().min(to_do as u64);
        timeline.look();
        let said = emitter.progress("images", done, to_do as u64);
        let said =
            said.and_then(
                |()| {
                    if timeline.due(ended) { timeline.point(meters, look(), emitter) } else { Ok(()) }
                },
            );
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

fn threads(job: &Job<'_>) -> [usize; STAGES.len()] {
    let replicas = job.replicas.len();
    [job.wanted.clients.get() as usize, job.decoders, replicas, replicas, WRITERS]
}

/// The stage with the lowest ceiling, of those that were measured.
fn binding(stages: &[(&'static str, f64)]) -> Option<(&'static str, f64)> {
    stages
        .iter()
        .filter(|(_, ceiling)| *ceiling > 0.0)
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .copied()
}

/// What stages can do that take turns on the same cores; `None` where one of them was not measured.
fn in_turns(ceilings: &[f64]) -> Option<f64> {
    let time = ceilings.iter().map(|ceiling| 1.0 / ceiling).sum::<f64>();
    (time > 0.0 && time.is_finite()).then(|| 1.0 / time)
}

impl Past<'_> {
    fn rate(&self) -> f64 {
        rate(self.meters.write.items() as f64, self.wall)
    }

    /// What each stage could do alone; writing is measured by what it did.
    fn ceilings(&self) -> [(&'static str, f64); STAGES.len()] {
        let write = &self.meters.write;
        let write = rate(write.items() as f64, write.busy_time()) * WRITERS as f64;
        let Ceilings { fetch, decode, replicas } = self.ceilings;
        let ceilings = [fetch.items, decode.items, replicas.copy, replicas.model, write];
        std::array::from_fn(|stage| (STAGES[stage], ceilings[stage]))
    }

    fn is_calibrated(&self) -> bool {
        !self.job.wanted.calibrate.0.is_zero()
    }

    fn binding(&self) -> Option<(&'static str, f64)> {
        if self.is_calibrated() { binding(&self.ceilings()) } else { None }
    }

    /// Where the model computes on the cores that decode: what both can do together.
    fn cores(&self) -> Option<f64> {
        let shared = !self.job.place.device.is_cuda() && self.is_calibrated();
        let Ceilings { decode, replicas, .. } = self.ceilings;
        if shared { in_turns(&[decode.items, replicas.copy, replicas.model]) } else { None }
    }

    /// What checks and reports read.
    fn figures(&self) -> Vec<(String, Value)> {
        let (meters, wall) = (self.meters, self.wall);
        let mut figures = vec![
            figure("images_per_second", self.rate()),
            figure("seconds", wall.as_secs_f64()),
            figure("bytes_read", meters.fetch.bytes() as f64),
            figure("read_mbit_per_second", rate(meters.fetch.bytes() as f64 * 8e-6, wall)),
        ];
        for ((name, meter), threads) in STAGES.iter().zip(meters.stages()).zip(threads(self.job)) {
            figures.push(figure(&format!("{name}/utilisation"), meter.utilisation(threads, wall)));
        }
        if self.is_calibrated() {
            let stages = self.ceilings();
            let known = stages.iter().filter(|(_, ceiling)| *ceiling > 0.0);
            figures
                .extend(known.map(|(name, ceiling)| figure(&format!("{name}/ceiling_per_second"), *ceiling)));
        }
        if let Some((name, ceiling)) = self.binding() {
            figures.push(figure("share_of_ceiling", self.rate() / ceiling));
            figures.push(("binding".into(), Value::Text(name.into())));
        }
        if let Some(ceiling) = self.cores() {
            figures.push(figure("cores/ceiling_per_second", ceiling));
            figures.push(figure("share_of_cores", self.rate() / ceiling));
        }
        for load in meters.occupancy.loads() {
            let busy = load.busy.as_secs_f64() / wall.as_secs_f64().max(f64::MIN_POSITIVE);
            figures.push(figure(&format!("device/{}/images", load.device), load.images as f64));
            figures.push(figure(&format!("device/{}/idle_share", load.device), (1.0 - busy).max(0.0)));
        }
        let batches = meters.batch_sizes().values().sum::<u64>();
        if batches > 0 {
            figures.push(figure("batch_mean", meters.model.items() as f64 / batches as f64));
        }
        if let Some([encoded, decoded]) = timeline::mean_queues(&self.points) {
            figures.push(figure("encoded_waiting_mean", encoded));
            figures.push(figure("decoded_waiting_mean", decoded));
        }
        if let Some(memory) = timeline::memory(&self.points) {
            figures.push(figure("memory_median_bytes", memory.median_bytes));
            figures.extend(memory.growth.map(|growth| figure("memory_growth", growth)));
        }
        if let Some(peak) = device::resident_peak() {
            figures.push(figure("memory_peak_bytes", peak as f64));
        }
        figures
    }

    /// Leaves the picture of the timeline in the artifacts.
    fn draw(&self, emitter: &mut Emitter) -> Result<()> {
        let heading = chart::Heading { rate: self.rate(), binding: self.binding() };
        let path = emitter.artifact_path(PICTURE);
        let wrong = |cause: String| WorkerError::Artifact { path: path.clone(), cause };
        let svg = chart::svg(&self.points, &heading).map_err(|error| wrong(error.to_string()))?;
        std::fs::write(&path, svg).map_err(|error| wrong(error.to_string()))?;
        emitter.artifact(PICTURE)
    }

    /// Everything, for whoever wants to look closer.
    fn record(&self) -> serde_json::Value {
        let stages = self.meters.stages().into_iter().zip(threads(self.job)).zip(self.ceilings());
        let stages = stages.map(|((meter, threads), (name, ceiling))| {
            let about = json!({
                "threads": threads,
                "items": meter.items(),
                "bytes": meter.bytes(),
                "busy_seconds": meter.busy_time().as_secs_f64(),
                "utilisation": meter.utilisation(threads, self.wall),
                "ceiling_per_second": ceiling,
            });
            (name.to_owned(), about)
        });
        let devices = self.meters.occupancy.loads().into_iter().map(|load| {
            let about = json!({ "busy_seconds": load.busy.as_secs_f64(), "images": load.images });
            (load.device, about)
        });
        json!({
            "seconds": self.wall.as_secs_f64(),
            "images_per_second": self.rate(),
            "stages": serde_json::Map::from_iter(stages),
            "devices": serde_json::Map::from_iter(devices),
            "fetch_ceiling_bytes_per_second": self.ceilings.fetch.bytes,
            "decode_ceiling_bytes_per_second": self.ceilings.decode.bytes,
            "cores_ceiling_per_second": self.cores(),
            "batch_sizes": self.meters.batch_sizes(),
            "timeline": timeline::record(&self.points),
        })
    }
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

    #[test]
    fn stages_on_the_same_cores_share_their_time() {
        // 10 ms and 40 ms of all cores for an image: 20 images a second.
        assert!((in_turns(&[100.0, 25.0]).unwrap() - 20.0).abs() < 1e-9);
        assert_eq!(in_turns(&[100.0, 0.0]), None);
    }
}
