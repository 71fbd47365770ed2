//! The facts as text for a person: a line each, what matters first.

use std::fmt::Write as _;

use gpu_suites::facts::{Gpu, Gpus, Libtorch, NodeFacts, Throttle, Worker};
use gpu_suites::unit::ByteSize;
use serde_json::Value;

pub(super) fn of(facts: &NodeFacts) -> String {
    let mut lines = Lines(String::new());
    let machine = &facts.machine;
    lines.add("agent", &facts.agent);
    lines.add("host", &format!("{}, {}", machine.host, machine.kernel));
    let cores = machine.cores.map_or("?".to_owned(), |cores| cores.to_string());
    lines.add("cores", &format!("{cores} of {}", machine.cpu.as_deref().unwrap_or("an unknown CPU")));
    let memory =
        format!("{}, {} available", size(machine.memory_bytes), size(machine.memory_available_bytes));
    lines.add("memory", &memory);
    let place = &facts.folder;
    lines.add("folder", &format!("{}, {} free", place.path.display(), size(place.free_bytes)));
    if let Some(why) = &place.unwritable {
        lines.add("", &format!("cannot be written: {why}"));
    }
    lines.add("clock", &clock(facts));
    match &facts.gpus {
        Gpus::Absent(why) => lines.add("gpu", &format!("none: {why}")),
        Gpus::Present { driver, cuda, devices } => {
            let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".into());
            lines.add("driver", &format!("NVIDIA {}, for CUDA up to {}", version(driver), version(cuda)));
            for device in devices {
                gpu(&mut lines, device);
            }
            if devices.is_empty() {
                lines.add("gpu", "none, though there is a driver");
            }
        }
    }
    match &facts.libtorch {
        Libtorch::Found { root, from } => lines.add("libtorch", &format!("{} ({from})", root.display())),
        Libtorch::Missing(why) => lines.add("libtorch", why),
    }
    lines.add("cuda", &cuda(facts.worker.as_ref()));
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, what: &str) {
        for (at, line) in what.lines().enumerate() {
            let name = if at == 0 { name } else { "" };
            let _ = writeln!(self.0, "{name:<14} {line}");
        }
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| ByteSize(bytes).to_string())
}

fn clock(facts: &NodeFacts) -> String {
    let kept = match facts.clock.synchronised {
        Some(true) => "kept right",
        Some(false) => "not synchronised",
        None => "state unknown",
    };
    match (facts.clock.synchronised, facts.clock.max_error_ms) {
        (Some(true), Some(error)) => format!("{} ({kept}, at most {error:.1} ms off)", facts.clock.now),
        _ => format!("{} ({kept})", facts.clock.now),
    }
}

fn gpu(lines: &mut Lines, gpu: &Gpu) {
    let name = gpu.name.as_deref().unwrap_or("unnamed");
    let memory = format!("{} ({} used)", size(gpu.memory_bytes), size(gpu.memory_used_bytes));
    lines.add("gpu", &format!("{name}, {memory}, {}", gpu.uuid.as_deref().unwrap_or("no UUID")));
    if let Some(errors) = gpu.ecc_uncorrected.filter(|errors| *errors > 0) {
        lines.add("", &format!("{errors} memory errors that could not be corrected: do not trust it"));
    }
    if !gpu.throttled.is_empty() {
        let reasons = Vec::from_iter(gpu.throttled.iter().map(Throttle::name));
        lines.add("", &format!("slowed down: {}", reasons.join(", ")));
    }
    for process in &gpu.processes {
        let name = process.name.as_deref().unwrap_or("?");
        lines.add("", &format!("in use by {name} (process {}, {})", process.pid, size(process.memory_bytes)));
    }
}

fn cuda(worker: Option<&Worker>) -> String {
    match worker {
        None => "not tried: no worker was given (--worker PATH)".into(),
        Some(Worker::Silent(why)) => format!("not tried: {why}"),
        Some(Worker::Facts(facts)) if facts["cuda"]["usable"] == Value::Bool(true) => "usable".into(),
        Some(Worker::Facts(facts)) => {
            format!(
                "not usable: {}",
                facts["cuda"]["why_not"].as_str().unwrap_or("the worker does not say why")
            )
        }
    }
}
