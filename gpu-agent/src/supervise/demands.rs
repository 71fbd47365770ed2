//! Does the node have the GPUs that a case demands? Asked before the case starts, whatever it runs: a program that falls back to
//! two CPU cores where eight GPUs were meant would pass.

use gpu_suites::facts::Gpu;
use gpu_suites::gpu::{GpuNeed, has_memory};
use gpu_suites::spec::{Case, Device};
use gpu_suites::unit::ByteSize;

use super::gpus::GpuLookup;

/// Why the case must not run here, if so.
pub(super) fn unmet(case: &Case, found: &GpuLookup) -> Option<String> {
    let need = case.needed_gpus()?;
    // Which of the worker's own devices can be used, libtorch knows better than the driver's library, which may be missing.
    if case.needs_worker() && case.gpu.is_none() {
        return None;
    }
    let devices = match found {
        GpuLookup::Gpus(devices) => devices.as_slice(),
        GpuLookup::Silent => {
            return Some(format!("the case needs {need}, and the GPU's driver does not answer"));
        }
        GpuLookup::NotAsked if case.device == Device::Cpu => {
            return Some(format!("the case needs {need}, and is told to use the CPU (`device: cpu`)"));
        }
        GpuLookup::NotAsked => {
            return Some(format!("the case needs {need}, and CUDA_VISIBLE_DEVICES shows it none"));
        }
    };
    let fitting = devices.iter().filter(|gpu| fits(gpu, &need)).count();
    if fitting >= need.count.get() as usize {
        return None;
    }
    let here = match devices {
        [] => "this node has no GPU that can be used".to_owned(),
        some => format!("this node has {}", Vec::from_iter(some.iter().map(told)).join(", ")),
    };
    Some(format!("the case needs {need}, and {here}"))
}

fn fits(gpu: &Gpu, need: &GpuNeed) -> bool {
    let memory = need.memory.is_none_or(|least| gpu.memory_bytes.is_some_and(|seen| has_memory(seen, least)));
    let arch = need.arch.is_empty() || gpu.sm().is_some_and(|sm| need.arch.iter().any(|arch| arch.has(sm)));
    memory && arch
}

fn told(gpu: &Gpu) -> String {
    let name = gpu.name.clone().unwrap_or_else(|| "a GPU without a name".to_owned());
    let more = gpu.memory_bytes.map(|bytes| ByteSize(bytes).to_string());
    let more = Vec::from_iter(more.into_iter().chain(gpu.sm().map(|sm| sm.to_string())));
    if more.is_empty() { name } else { format!("{name} ({})", more.join(", ")) }
}

/// What a program has for a device, for the report: the GPUs that it sees, else the CPU. The worker tells for itself.
pub(super) fn ran_on(case: &Case, found: &GpuLookup) -> Option<String> {
    if case.needs_worker() {
        return None;
    }
    let devices = match found {
        GpuLookup::Gpus(devices) if case.device != Device::Cpu => devices.as_slice(),
        GpuLookup::Silent => return Some("a GPU whose driver does not answer".to_owned()),
        GpuLookup::Gpus(_) | GpuLookup::NotAsked => &[],
    };
    let name = |gpu: &Gpu| gpu.name.clone().unwrap_or_else(|| "GPU".to_owned());
    Some(match devices {
        [] => "CPU".to_owned(),
        [gpu] => name(gpu),
        [first, others @ ..] if others.iter().all(|gpu| gpu.name == first.name) => {
            format!("{} × {}", devices.len(), name(first))
        }
        several => Vec::from_iter(several.iter().map(name)).join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(more: &str) -> Case {
        serde_json::from_str(&format!(r#"{{"name":"x","command":{{"run":["true"]}}{more}}}"#)).unwrap()
    }

    fn gpu(name: &str, gib: u64, capability: &str) -> Gpu {
        Gpu {
            name: Some(name.to_owned()),
            memory_bytes: Some(gib << 30),
            compute_capability: Some(capability.to_owned()),
            ..Gpu::default()
        }
    }

    #[test]
    fn a_demand_that_the_node_cannot_satisfy_is_told_with_what_there_is() {
        let none = GpuLookup::Gpus(vec![]);
        let l4 = GpuLookup::Gpus(vec![gpu("NVIDIA L4", 23, "8.9")]);
        let two = GpuLookup::Gpus(vec![gpu("NVIDIA T4", 15, "7.5"), gpu("NVIDIA T4", 15, "7.5")]);
        for (more, found, wanted) in [
            ("", &none, None),
            (r#","device":"cpu""#, &none, None),
            (r#","device":"cuda""#, &l4, None),
            (r#","gpu":{}"#, &l4, None),
            (r#","gpu":{"memory":"24 GiB","arch":["ada"]}"#, &l4, None),
            (r#","gpu":{"count":2}"#, &two, None),
            (
                r#","device":"cuda""#,
                &none,
                Some("the case needs 1 GPU, and this node has no GPU that can be used"),
            ),
            (
                r#","device":"cuda""#,
                &GpuLookup::Silent,
                Some("the case needs 1 GPU, and the GPU's driver does not answer"),
            ),
            (
                r#","device":"cpu","gpu":{}"#,
                &GpuLookup::NotAsked,
                Some("the case needs 1 GPU, and is told to use the CPU (`device: cpu`)"),
            ),
            (
                r#","gpu":{"count":8,"arch":["hopper"]}"#,
                &l4,
                Some("the case needs 8 GPUs (hopper), and this node has NVIDIA L4 (23.0 GiB, sm_89)"),
            ),
            (
                r#","gpu":{"memory":"40 GiB"}"#,
                &two,
                Some(
                    "the case needs 1 GPU of 40.0 GiB or more, and this node has NVIDIA T4 (15.0 GiB, sm_75), NVIDIA T4 \
                     (15.0 GiB, sm_75)",
                ),
            ),
        ] {
            assert_eq!(unmet(&case(more), found).as_deref(), wanted, "{more}");
        }
    }

    #[test]
    fn a_program_ran_on_the_gpus_that_it_sees_or_on_the_cpu() {
        let two = GpuLookup::Gpus(vec![gpu("NVIDIA T4", 15, "7.5"), gpu("NVIDIA T4", 15, "7.5")]);
        for (more, found, wanted) in [
            ("", &two, "2 × NVIDIA T4"),
            (r#","device":"cpu""#, &two, "CPU"),
            ("", &GpuLookup::Gpus(vec![]), "CPU"),
            ("", &GpuLookup::NotAsked, "CPU"),
        ] {
            assert_eq!(ran_on(&case(more), found).as_deref(), Some(wanted), "{more}");
        }
    }
}
