//! How fast does a model run here? Measured under rules that make the number worth something (docs/throughput.md).
//!
//! | module | what it does |
//! | --- | --- |
//! | [`canary`] | what the device can do at best |
//! | [`subject`] | the model, its inputs, one iteration |
//! | [`knee`] | which batch size is worth it |
//! | [`window`] | iterations against the clock, and whether the rules held |
//! | [`machine`], [`gpu`] | what else went on meanwhile |
//! | [`roofline`] | the model's cost against what the device can do |
//! | [`percentile`] | latencies that are said with confidence |
//! | [`point`] | one dtype and batch size, with all its figures |

mod canary;
mod gpu;
mod knee;
mod machine;
mod percentile;
mod point;
mod roofline;
mod subject;
mod window;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use gpu_suites::metrics::Value;
use gpu_suites::plan::WorkerCase;
use gpu_suites::spec::{BatchSizes, Canary, Dtype, Throughput};
use serde_json::json;

use self::canary::Ceiling;
use self::gpu::Gpu;
use self::knee::Knee;
use self::point::Point;
pub(crate) use self::subject::kind_of;
use self::subject::{Subject, settle};
use self::window::{Pace, Rules};
use crate::device::{self, Placement};
use crate::emit::{Emitter, number};
use crate::error::{Result, WorkerError};

/// What the live view shows while windows are measured.
const PHASE: &str = "measure";
/// Everything that was measured, for whoever wants to look closer.
const RECORD: &str = "throughput.json";
/// Time of each size that is tried on the way to the knee, of the measurement's own time.
const PROBE: f64 = 1.0 / 60.0;
const PROBE_LEAST: Duration = Duration::from_millis(100);
const PROBE_WARM_UP: u32 = 3;
/// Time of each canary, of the measurement's own time.
const CANARY: f64 = 1.0 / 12.0;
/// A larger batch takes about twice the memory: it is tried only where that leaves the machine room.
const MEMORY_TO_SPARE: u64 = 4;

/// Everything that the points of a case share.
struct Job<'a> {
    measured: &'a Throughput,
    place: Placement,
    seed: u64,
}

/// Runs the case and writes all that it shows. Whether it is good is for the checks to say.
pub(crate) fn run(case: &WorkerCase, measured: &Throughput, emitter: &mut Emitter) -> Result<()> {
    let place = Placement::prepare(case.spec.wanted_device(), case.spec.limits.threads, false)?;
    let job = Job { measured, place, seed: case.spec.seed };
    emitter.device(&job.place.facts(job.seed))?;
    let rules = Rules {
        device: job.place.device,
        gpu: job.place.gpu_uuid().and_then(Gpu::find),
        others: measured.others.0,
    };
    let mut record = Vec::new();
    let mut left_out = Vec::new();
    for dtype in &measured.dtypes {
        if let Some(reason) = job.place.without(*dtype) {
            emitter.metrics(None, vec![(format!("{dtype}/left_out"), Value::Text(reason.clone()))])?;
            left_out.push(format!("{dtype}: {reason}"));
            continue;
        }
        record.push(of_dtype(&job, &rules, *dtype, emitter)?);
    }
    if record.is_empty() {
        return Err(WorkerError::NoDtype { reasons: left_out.join("; ") });
    }
    write(&job, &record, emitter)
}

/// What the device can do at best, as a case of its own.
pub(crate) fn canary(case: &WorkerCase, wanted: &Canary, emitter: &mut Emitter) -> Result<()> {
    let place = Placement::prepare(case.spec.wanted_device(), case.spec.limits.threads, false)?;
    emitter.device(&place.facts(case.spec.seed))?;
    // On a CPU half precision is another instruction set, and says nothing more about the machine.
    let formats: &[Dtype] = if place.device.is_cuda() { &[Dtype::Fp32, Dtype::Bf16] } else { &[Dtype::Fp32] };
    let formats = Vec::from_iter(formats.iter().filter(|dtype| place.without(**dtype).is_none()));
    // Each format takes its share twice: for the arithmetic, and for the copy.
    let each = wanted.measure.0 / u32::try_from(2 * formats.len().max(1)).unwrap_or(u32::MAX);
    for dtype in formats {
        ceiling(*dtype, place.device, each, emitter)?;
    }
    Ok(())
}

/// Measures what the device can do at best in one format of numbers, for no longer than `at_most` each.
fn ceiling(dtype: Dtype, device: tch::Device, at_most: Duration, emitter: &mut Emitter) -> Result<Ceiling> {
    emitter.progress("canary", 0, 1)?;
    let ceiling = Ceiling::measure(dtype, device, at_most)?;
    emitter.progress("canary", 1, 1)?;
    let arithmetic = (format!("{dtype}/ceiling_gflops"), number(ceiling.flops / 1e9));
    let copy = (format!("{dtype}/ceiling_copy_gbps"), number(ceiling.bytes / 1e9));
    emitter.metrics(None, vec![arithmetic, copy])?;
    Ok(ceiling)
}

/// Measures every batch size in one format of numbers.
fn of_dtype(job: &Job<'_>, rules: &Rules, dtype: Dtype, emitter: &mut Emitter) -> Result<serde_json::Value> {
    let ceiling = ceiling(dtype, rules.device, job.measured.measure.0.mul_f64(CANARY), emitter)?;
    let mut subject = Subject::new(job.measured, dtype, job.seed, rules.device)?;
    let (batches, tried) = match &job.measured.batch {
        BatchSizes::These(sizes) => (sizes.clone(), Vec::new()),
        BatchSizes::Auto => {
            let knee = find_knee(job, rules, &mut subject, emitter)?;
            (Vec::from_iter(knee.batch()), knee.tried().to_vec())
        }
    };
    let mut points = Vec::new();
    for batch in batches {
        let inputs = subject.inputs(batch)?;
        let point = point::measure(job, rules, dtype, &mut subject, inputs, ceiling, emitter)?;
        emitter.metrics(None, named(&format!("{dtype}/batch-{batch}/"), &point))?;
        points.push(point);
    }
    // What checks read that name no batch size.
    let fastest = points
        .iter()
        .filter(|point| point.rate().is_some())
        .max_by(|one, other| one.rate().unwrap_or_default().total_cmp(&other.rate().unwrap_or_default()));
    if let Some(fastest) = fastest {
        let mut figures = named(&format!("{dtype}/"), fastest);
        figures.push((format!("{dtype}/batch"), number(f64::from(fastest.batch.get()))));
        emitter.metrics(None, figures)?;
    }
    Ok(json!({
        "dtype": dtype,
        "ceiling": { "flops_per_second": ceiling.flops, "copied_bytes_per_second": ceiling.bytes },
        "tried": tried,
        "points": points,
    }))
}

fn named(prefix: &str, point: &Point) -> Vec<(String, Value)> {
    point.figures().into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
}

/// Tries powers of two, each for a short time, until the rate stops growing or the memory ends.
fn find_knee(job: &Job<'_>, rules: &Rules, subject: &mut Subject, emitter: &mut Emitter) -> Result<Knee> {
    let length = job.measured.measure.0.mul_f64(PROBE).max(PROBE_LEAST);
    let mut knee = Knee::default();
    let mut tries = 0;
    while let Some(batch) = knee.next() {
        emitter.progress("batch size", tries, tries + 1)?;
        tries += 1;
        if !rules.device.is_cuda() && knee.batch().is_some() && !device::memory_allows(MEMORY_TO_SPARE) {
            knee.enough();
            continue;
        }
        match probe(rules, subject, batch, length) {
            Ok(rate) => knee.ran(batch, rate),
            Err(WorkerError::OutOfMemory { .. } | WorkerError::TooMuch { .. }) if knee.batch().is_some() => {
                knee.enough();
            }
            Err(error) => return Err(error),
        }
    }
    emitter.progress("batch size", tries, tries)?;
    Ok(knee)
}

fn probe(rules: &Rules, subject: &mut Subject, batch: NonZeroU32, length: Duration) -> Result<f64> {
    let mut inputs = subject.inputs(batch)?;
    let begun = Instant::now();
    for _ in 0..PROBE_WARM_UP {
        subject.iterate(&mut inputs)?;
    }
    settle(rules.device);
    // A batch so slow that three of them fill the time is measured by one window of one iteration.
    let length = length.saturating_sub(begun.elapsed());
    Ok(rules.window(subject, &mut inputs, length, Pace::Flow)?.items_per_second)
}

/// Leaves the whole record in the artifacts.
fn write(job: &Job<'_>, dtypes: &[serde_json::Value], emitter: &mut Emitter) -> Result<()> {
    let record = json!({
        "run": std::env::var("GPU_HARNESS_RUN").ok(),
        "case": std::env::var("GPU_HARNESS_CASE").ok(),
        "throughput": job.measured,
        "inputs": format!("normally distributed, seed {}", job.seed),
        "device": job.place.facts(job.seed),
        "dtypes": dtypes,
    });
    emitter.record(RECORD, &record)
}

#[cfg(test)]
mod tests {
    use gpu_suites::spec::{Case, Device};

    use super::*;
    use crate::shim;

    fn case(throughput: &str) -> Case {
        serde_json::from_str(&format!(r#"{{"name":"x","throughput":{throughput}}}"#)).unwrap()
    }

    fn subject(throughput: &str) -> Subject {
        let case = case(throughput);
        Subject::new(case.work.throughput().unwrap(), Dtype::Fp32, 1, tch::Device::Cpu).unwrap()
    }

    fn gflop_per_item(throughput: &str) -> f64 {
        let _alone = crate::tests::random_generator();
        let mut subject = subject(throughput);
        let mut inputs = subject.inputs(NonZeroU32::new(2).unwrap()).unwrap();
        let costs = shim::counted(|| subject.iterate(&mut inputs)).unwrap();
        costs.iter().map(|cost| cost.flops).sum::<f64>() / 2e9
    }

    #[test]
    fn what_a_pass_costs_is_what_the_papers_say() {
        // torchvision's documentation: 1.814 and 4.089 billion multiplications and additions at 224 × 224.
        for (model, expected) in [("resnet18", 1.814), ("resnet50", 4.089)] {
            let gflop = gflop_per_item(&format!(r#"{{"model":{{"builtin":"{model}"}}}}"#));
            assert!((gflop / 2.0 - expected).abs() < 0.01, "{model}: {gflop}");
        }
    }

    #[test]
    fn a_training_step_costs_three_passes_but_for_the_first_layers_input() {
        let shape = r#""input":[3,64,64]"#;
        let pass = gflop_per_item(&format!(r#"{{"model":{{"builtin":"resnet18"}},{shape}}}"#));
        let step = gflop_per_item(&format!(
            r#"{{"model":{{"builtin":"resnet18"}},"mode":"training-step",{shape}}}"#
        ));
        let ratio = step / pass;
        assert!((2.7..3.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_model_converts_to_another_format_and_answers_in_it() {
        let _alone = crate::tests::random_generator();
        let case = case(r#"{"model":{"builtin":"unet","width":4},"input":[3,32,32]}"#);
        let throughput = case.work.throughput().unwrap();
        for dtype in [Dtype::Fp32, Dtype::Bf16] {
            let mut subject = Subject::new(throughput, dtype, 1, tch::Device::Cpu).unwrap();
            let mut inputs = subject.inputs(NonZeroU32::MIN).unwrap();
            subject.iterate(&mut inputs).unwrap();
        }
    }

    #[test]
    fn a_window_in_which_nothing_is_allowed_is_invalid_and_still_counted() {
        let _alone = crate::tests::random_generator();
        let mut subject = subject(r#"{"model":{"builtin":"unet","width":4},"input":[3,32,32]}"#);
        let mut inputs = subject.inputs(NonZeroU32::MIN).unwrap();
        // No process is ever alone on its machine to the last tick: a negative share forbids even nothing.
        let rules = Rules { device: tch::Device::Cpu, gpu: None, others: -1.0 };
        let window = rules.window(&mut subject, &mut inputs, Duration::from_millis(60), Pace::Flow).unwrap();
        assert!(window.broken[0].contains("other processes"), "{:?}", window.broken);
        assert!(window.items_per_second > 0.0 && window.latencies.len() as u64 == window.iterations);
    }

    #[test]
    fn without_any_format_that_the_device_has_nothing_passes() {
        let place = Placement::prepare(Device::Cpu, None, false).unwrap();
        let Some(reason) = place.without(Dtype::Fp16) else { return };
        assert!(reason.contains("half-precision"), "{reason}");
    }
}
