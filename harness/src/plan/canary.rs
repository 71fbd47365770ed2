//! Is the node as fast as such nodes are? A canary runs first on each node of a run that is judged by a history.
//!
//! It is a case like any other ([`gpu_suites::spec::Canary`]), with its own figures in the history. Where they are not what
//! that device reached on other nights, or what it is known to reach, nothing that is measured on the node is judged.

use gpu_suites::event::CaseSummary;
use gpu_suites::id::CaseId;
use gpu_suites::plan::{Plan, PlannedCase};
use gpu_suites::spec::{Canary, Case};

use crate::config::CanaryWhen;
use crate::files::binaries::{Program, ProgramError};
use crate::here::Env;
use crate::plan::Prepared;
use crate::report::RunState;
use crate::report::case::CaseState;

const SUITE: &str = "node";
const NAME: &str = "canary";

/// What sound devices reach.
struct Known {
    /// The driver's name for it.
    device: &'static str,
    /// Floating-point operations a second in bf16, in 10⁹.
    bf16_gflops: Option<f64>,
    /// Bytes a second that a copy reads and writes, in 10⁹.
    copy_gbps: f64,
    source: Source,
}

/// Where a figure comes from, and what share of it a sound device reaches at least.
#[derive(Clone, Copy)]
enum Source {
    /// Measured, with random inputs.
    Measured,
    /// The data sheet's bandwidth, which no copy reaches.
    DataSheet,
}

impl Source {
    fn share(self) -> f64 {
        match self {
            Self::Measured => 0.9,
            Self::DataSheet => 0.6,
        }
    }
}

const KNOWN: [Known; 10] = [
    measured("NVIDIA H100 80GB HBM3", 798e3, 3000.0),
    sheet("NVIDIA H200", 4800.0),
    sheet("NVIDIA A100-SXM4-40GB", 1555.0),
    sheet("NVIDIA A100-SXM4-80GB", 2039.0),
    sheet("NVIDIA A100 80GB PCIe", 1935.0),
    sheet("NVIDIA L40S", 864.0),
    sheet("NVIDIA A10G", 600.0),
    sheet("NVIDIA L4", 300.0),
    sheet("Tesla T4", 320.0),
    sheet("Tesla V100-SXM2-16GB", 900.0),
];

const fn measured(device: &'static str, bf16_gflops: f64, copy_gbps: f64) -> Known {
    Known { device, bf16_gflops: Some(bf16_gflops), copy_gbps, source: Source::Measured }
}

const fn sheet(device: &'static str, copy_gbps: f64) -> Known {
    Known { device, bf16_gflops: None, copy_gbps, source: Source::DataSheet }
}

pub fn id() -> CaseId {
    CaseId::new(SUITE, NAME)
}

/// Whether a metric is what the device can do at best, which no model has a part in.
pub fn is_canary(metric: &str) -> bool {
    metric.rsplit('/').next().is_some_and(|name| name.starts_with("ceiling_"))
}

/// Why the node is slower than its device is known to be, by one figure; nothing where it is not, or nobody knows.
pub fn below_known(case: &CaseState, metric: &str, value: f64) -> Option<String> {
    let device = case.device.get("gpu")?;
    let known = KNOWN.iter().find(|known| known.device == device)?;
    let reaches = match metric {
        "bf16/ceiling_gflops" => known.bf16_gflops?,
        metric if metric.ends_with("/ceiling_copy_gbps") => known.copy_gbps,
        _ => return None,
    };
    let least = reaches * known.source.share();
    let what = match known.source {
        Source::Measured => "is known to reach",
        Source::DataSheet => "has by its data sheet",
    };
    // What is no number is not as it should be either.
    (value.is_nan() || value < least).then(|| {
        format!(
            "{metric} is {value:.0}, less than {:.0} % of the {reaches:.0} that {device} {what}",
            100.0 * known.source.share()
        )
    })
}

/// Puts a canary before the cases, where there are any and none of that name is among them.
pub fn add(prepared: &mut Prepared, when: CanaryWhen, env: &Env) -> Result<(), ProgramError> {
    let wanted = match when {
        CanaryWhen::Auto => prepared.plan.worker.is_some(),
        CanaryWhen::On => true,
        CanaryWhen::Off => false,
    };
    let id = id();
    if !wanted || prepared.plan.cases.is_empty() || prepared.cases.iter().any(|case| case.id == id) {
        return Ok(());
    }
    if prepared.plan.worker.is_none() {
        let worker = Program::Worker.find(env)?;
        prepared.plan.worker = Some(worker.sha256.clone());
        prepared.blobs.push(worker);
    }
    let spec = Case::new(NAME.to_owned(), Canary::default());
    let planned = PlannedCase {
        id: id.clone(),
        spec,
        inputs: [].into(),
        executable: [].into(),
        links: [].into(),
        attempts_before: 0,
        retries_used: 0,
    };
    prepared.plan.cases.insert(0, planned);
    let description = Some("what the node's device can do at best".to_owned());
    prepared.cases.insert(0, CaseSummary { id, description, at: String::new(), junit: Vec::new() });
    Ok(())
}

/// Puts the canary of `plan` before cases that go to another node, where it is not among them.
pub fn first(cases: &mut Vec<PlannedCase>, plan: &Plan, state: &RunState) {
    let id = id();
    let canary = plan.cases.iter().find(|case| case.id == id);
    if let Some(canary) = canary.filter(|_| !cases.is_empty() && cases.iter().all(|case| case.id != id)) {
        let attempts_before = state.case(&id).map_or(0, |case| case.attempt);
        cases.insert(0, PlannedCase { attempts_before, ..canary.clone() });
    }
}
