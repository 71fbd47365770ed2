//! Images in, predictions out: from a store of images to Parquet shards (docs/pipeline.md).
//!
//! Stages of threads with bounded queues between them; each waits for the next, so that memory is bounded:
//!
//!     feed ─► fetch ─► decode ─► replica ─► collect ─► write
//!
//! | module | what it does |
//! | --- | --- |
//! | [`plan`] | which images, in which shards |
//! | [`marks`] | which shards are done, by whomever |
//! | [`cut`] | images to run on where there are none |
//! | [`local`] | an S3 for them |
//! | [`flow`] | the stages and their queues |
//! | [`fetch`], [`decode`], [`replica`], [`collect`] | one stage each |
//! | [`picture`], [`resize`], [`taps`] | an image's bytes as pixels of the model's size |
//! | [`refused`] | is it this image that may not be read, or all? |
//! | [`rows`] | predictions as rows of a table |
//! | [`seats`], [`lane`] | which replica sits on which device, and a batch's way there |
//! | [`budget`], [`gate`], [`halt`], [`meter`], [`occupancy`] | what the stages share |
//! | [`timeline`], [`chart`] | what was going on second by second, and its picture |
//! | [`ceiling`] | what each stage can do on its own |
//! | [`audit`] | what the shards hold, read back |
//! | [`digest`] | all answers in a nutshell |

mod audit;
mod budget;
mod ceiling;
mod chart;
mod collect;
mod cut;
mod decode;
mod digest;
mod error;
mod feed;
mod fetch;
mod flow;
mod gate;
mod halt;
mod host_transfer;
mod local;
mod marks;
mod meter;
mod occupancy;
mod picture;
mod plan;
mod refused;
mod replica;
mod resize;
mod rows;
mod seats;
mod taps;
mod timeline;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gpu_stores::{Folder, Location, Patience, S3Settings, Store};
use gpu_suites::metrics::Value;
use gpu_suites::plan::WorkerCase;
use gpu_suites::spec::{Images, Pipeline};
use serde_json::json;

pub(crate) use self::error::PipelineError;
use self::local::Local;
use self::plan::Plan;
use crate::device::Placement;
use crate::emit::{Emitter, count, number};
use crate::error::{Result, WorkerError};

/// Bucket of the images that the case cuts, and its folder below the case's.
const CUT: &str = "images";
/// Where shards go that the suite gives no place: a folder below the case's, and a bucket where the images are in one.
const SHARDS: &str = "shards";
/// Everything that was measured.
const RECORD: &str = "pipeline.json";
/// Replicas on each GPU where the case does not say: while one computes, the other's images are on their way.
const REPLICAS_OF_GPU: usize = 2;
/// Tries of an object that comes too slowly while the store itself answers.
const TRIES_OF_OBJECT: u32 = 3;

/// Everything that the stages share.
struct Job<'a> {
    wanted: &'a Pipeline,
    place: Placement,
    seed: u64,
    images: Arc<dyn Store>,
    shards: Arc<dyn Store>,
    decoders: usize,
    replicas: Vec<tch::Device>,
}

impl Job<'_> {
    /// How long the stores may be out of order.
    fn patience(&self) -> Patience {
        Patience { at_most: self.wanted.patience.0, of_object: TRIES_OF_OBJECT }
    }
}

/// Runs the case and writes all that it shows. Whether it is good is for the checks to say.
pub(crate) fn run(case: &WorkerCase, wanted: &Pipeline, emitter: &mut Emitter) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    // Replicas and decoders are the threads: none of them is to start others of its own.
    let place = Placement::prepare(case.spec.wanted_device(), Some(NonZeroU32::MIN), false)?;
    let cores = case.spec.limits.threads.map_or(cores, |threads| threads.get() as usize);
    let each = if place.device.is_cuda() { REPLICAS_OF_GPU } else { cores };
    let as_usize =
        |number: Option<NonZeroU32>, default| number.map_or(default, |number| number.get() as usize);
    let Stores { images, shards, _local } = stores(wanted, case.spec.seed, emitter)?;
    let job = Job {
        wanted,
        seed: case.spec.seed,
        images,
        shards,
        decoders: as_usize(wanted.decoders, cores),
        replicas: seats::of(&place.devices(), as_usize(wanted.replicas, each)),
        place,
    };
    emitter.device(&job.place.facts(job.seed))?;
    if let Some(reason) = job.place.without(wanted.dtype) {
        return Err(WorkerError::NoDtype { reasons: reason });
    }
    let plan = Plan::make(&job)?;
    emitter.metrics(
        None,
        vec![
            ("rows/inputs".into(), count(plan.inputs.len())),
            ("shards".into(), count(plan.shards())),
            ("shards_found_done".into(), count(plan.marks.of.len())),
            ("replicas".into(), count(job.replicas.len())),
            ("devices".into(), count(job.place.devices().len())),
        ],
    )?;
    let record = if plan.is_done() { None } else { Some(flow::run(&job, &plan, emitter)?) };
    let audit = audit::read_back(&job, &plan, emitter)?;
    // Whoever waits for the manifest takes what it names for all that there is.
    if audit.is_clean() {
        plan.write_manifest(&job, &audit)?;
    }
    emitter.metrics(None, audit.figures())?;
    write(&job, &plan, (record.as_ref(), audit.removed.as_slice()), emitter)
}

struct Stores {
    images: Arc<dyn Store>,
    shards: Arc<dyn Store>,
    /// What answers for those of them that are the case's own.
    _local: Option<Local>,
}

/// Opens the stores. Images that the case cuts itself go into a bucket of the case's own, and its shards beside them.
fn stores(wanted: &Pipeline, seed: u64, emitter: &mut Emitter) -> Result<Stores> {
    let settings = S3Settings {
        endpoint: wanted.s3.endpoint.clone(),
        region: wanted.s3.region.clone(),
        stall: wanted.stall.0,
        ..S3Settings::default()
    };
    let (images, local) = match &wanted.images {
        Images { cut: Some(cut), .. } => {
            let local = Local::start(&here(".")?, wanted.stall.0)?;
            let images = local.bucket(CUT)?;
            cut::fill(images.as_ref(), cut, seed, emitter)?;
            (images, Some(local))
        }
        Images { from, .. } => (open(from.as_deref().unwrap_or_default(), &settings)?, None),
    };
    let shards: Arc<dyn Store> = match (&wanted.to, &local) {
        (Some(to), _) => open(to, &settings)?,
        (None, Some(local)) => local.bucket(SHARDS)?,
        (None, None) => Arc::new(Folder::new(here(SHARDS)?)),
    };
    Ok(Stores { images, shards, _local: local })
}

fn here(name: &str) -> Result<std::path::PathBuf> {
    let absolute = std::path::absolute(Path::new(name));
    absolute.map_err(|error| WorkerError::Case { path: name.into(), cause: error.to_string() })
}

/// The store at a location, with the run's id for `{run}`.
fn open(location: &str, settings: &S3Settings) -> Result<Arc<dyn Store>> {
    let run = std::env::var("GPU_HARNESS_RUN").unwrap_or_else(|_| "by-hand".into());
    let location: Location =
        location.replace("{run}", &run).parse().map_err(|error| PipelineError::Location { error })?;
    Ok(gpu_stores::open(&location, settings).map_err(PipelineError::Store)?)
}

/// Leaves the whole record in the artifacts.
fn write(
    job: &Job<'_>,
    plan: &Plan,
    (flow, removed): (Option<&serde_json::Value>, &[String]),
    emitter: &mut Emitter,
) -> Result<()> {
    let record = json!({
        "run": std::env::var("GPU_HARNESS_RUN").ok(),
        "case": std::env::var("GPU_HARNESS_CASE").ok(),
        "pipeline": job.wanted,
        "plan": plan.id,
        "images": job.images.name(),
        "shards": job.shards.name(),
        "device": job.place.facts(job.seed),
        "flow": flow,
        "removed": removed,
    });
    emitter.record(RECORD, &record)
}

fn rate(items: f64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { items / time.as_secs_f64() }
}

fn figure(name: &str, value: f64) -> (String, Value) {
    (name.to_owned(), number(value))
}
