//! Is a node fit to run on? A sick GPU fails tests that are right, so that a node is judged before anything runs there.
//!
//! The judgement is a function of the node's facts and of what was asked for. It blames what is known to be bad, and
//! nothing else: what a node does not tell is not held against it, and a good GPU that idles is good.

use std::fmt;

use gpu_suites::facts::{Gpu, Gpus, KernelLog, NodeFacts, Process, Throttle, Xid};
use gpu_suites::gpu::{Architecture, Sm};
use gpu_suites::unit::ByteSize;
use gpu_suites::xid;

use crate::config::need::NodeNeed;
use crate::text::clean::one_line;

/// Beyond this AWS refuses signed requests, and certificates and tokens may not be valid yet, or no more.
const MOST_SKEW_MS: f64 = 300_000.0;
/// How much of a node's own words is shown.
const SHOWN: usize = 120;

/// What a node is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// How many GPUs, at least; with 0 nothing is asked of GPUs, and those that there are are not looked at.
    pub gpus: u32,
    /// The memory that each is sold with, at least.
    pub memory: Option<ByteSize>,
    /// One of these architectures; none named: any.
    pub architectures: Vec<Architecture>,
    /// What each is called, e.g. `L4`: a word or words of the driver's name for it.
    pub name: Option<String>,
}

impl From<&NodeNeed> for Requirements {
    fn from(need: &NodeNeed) -> Self {
        need.gpu.as_ref().map_or_else(Self::default, |gpus| Self {
            gpus: gpus.count.get(),
            memory: gpus.memory,
            architectures: gpus.arch.clone(),
            name: None,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Unhealthy {
    NoDriver {
        why: String,
    },
    TooFew {
        seen: usize,
        wanted: u32,
    },
    Another {
        gpu: Which,
        seen: String,
        wanted: String,
    },
    TooLittleMemory {
        gpu: Which,
        seen: ByteSize,
        wanted: ByteSize,
    },
    /// Errors in its memory could not be corrected.
    EccErrors {
        gpu: Which,
        /// How many since the driver was loaded.
        seen: u64,
    },
    /// The driver reported an error after which a GPU is not to be used.
    Xid {
        seen: Xid,
        meaning: &'static str,
    },
    /// A bad row of its memory could not be replaced: it is worn out.
    RowRemapFailed {
        gpu: Which,
    },
    /// Bad memory is in use until the GPU is reset.
    RepairPending {
        gpu: Which,
    },
    /// Somebody else computes on it.
    InUse {
        gpu: Which,
        by: Process,
    },
    /// It is slowed down by heat or by its power supply before anything runs on it.
    Throttled {
        gpu: Which,
        reason: Throttle,
        temperature: Option<u32>,
    },
    /// Its clock and the harness's are too far apart.
    ClockSkew {
        /// The node's clock minus the harness's.
        seconds: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Its number, from 0 on.
    pub index: usize,
    /// Its name, where it tells one.
    pub name: Option<String>,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "GPU {} ({})", self.index, shown(name)),
            None => write!(f, "GPU {}", self.index),
        }
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver { why } => write!(f, "no GPU can be used: {}", shown(why)),
            Self::TooFew { seen, wanted } => {
                write!(f, "the driver answers for {seen} GPUs; at least {wanted} were asked for")
            }
            Self::Another { gpu, seen, wanted } => {
                write!(f, "{gpu} is {}; {wanted} was asked for", shown(seen))
            }
            Self::TooLittleMemory { gpu, seen, wanted } => {
                write!(f, "{gpu} has {seen} of memory; {wanted} or more was asked for")
            }
            Self::EccErrors { gpu, seen } => {
                write!(
                    f,
                    "{gpu} has had {seen} errors in its memory that could not be corrected; a good one has none"
                )
            }
            Self::Xid { seen, meaning } => {
                write!(f, "the driver reported Xid {} of {}: {meaning}", seen.code, shown(&seen.gpu))
            }
            Self::RowRemapFailed { gpu } => {
                write!(f, "{gpu} could not replace a bad row of its memory: it has no spare ones left")
            }
            Self::RepairPending { gpu } => {
                write!(f, "{gpu} has bad memory in use until it is reset")
            }
            Self::InUse { gpu, by } => {
                let name = by.name.as_deref().map_or("a process".to_owned(), shown);
                write!(f, "{gpu} is in use by {name} (process {}); it should be idle", by.pid)
            }
            Self::Throttled { gpu, reason, temperature } => {
                let at = temperature.map_or(String::new(), |celsius| format!(" at {celsius} °C"));
                write!(f, "{gpu} is slowed down ({}){at} though nothing runs on it", shown(reason.name()))
            }
            Self::ClockSkew { seconds } => write!(
                f,
                "the node's clock and this machine's are {seconds:+.0} s apart; at most {:.0} s are tolerated: one of the two is wrong",
                MOST_SKEW_MS / 1e3
            ),
        }
    }
}

/// Whether the node is fit for what is wanted of it; else everything that is wrong with it.
pub fn judge(facts: &NodeFacts, wanted: &Requirements) -> Result<(), Vec<Unhealthy>> {
    let mut wrong = Vec::new();
    if wanted.gpus > 0 {
        match &facts.gpus {
            Gpus::Absent(why) => wrong.push(Unhealthy::NoDriver { why: why.clone() }),
            Gpus::Present { devices, .. } => {
                if devices.len() < wanted.gpus as usize {
                    wrong.push(Unhealthy::TooFew { seen: devices.len(), wanted: wanted.gpus });
                }
                for (index, device) in devices.iter().enumerate() {
                    fits(index, device, wanted, &mut wrong);
                    works(index, device, &mut wrong);
                }
            }
        }
        wrong.extend(fatal(&facts.kernel_log));
    }
    wrong.extend(
        facts
            .clock_skew_ms
            .filter(|skew| skew.abs() > MOST_SKEW_MS)
            .map(|skew| Unhealthy::ClockSkew { seconds: skew / 1e3 }),
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Whether it is the GPU that was asked for.
fn fits(index: usize, device: &Gpu, wanted: &Requirements, wrong: &mut Vec<Unhealthy>) {
    let gpu = which(index, device);
    let is_called = |name: &str| device.name.as_deref().is_none_or(|seen| has_words(seen, name));
    if let Some(name) = wanted.name.as_deref().filter(|name| !is_called(name)) {
        let seen = device.name.clone().unwrap_or_default();
        wrong.push(Unhealthy::Another { gpu: Which { index, name: None }, seen, wanted: name.to_owned() });
    }
    let is_one = |sm: Sm| wanted.architectures.iter().any(|architecture| architecture.has(sm));
    if let Some(sm) = device.sm().filter(|sm| !wanted.architectures.is_empty() && !is_one(*sm)) {
        let names = Vec::from_iter(wanted.architectures.iter().map(ToString::to_string));
        let wanted = names.join(" or ");
        wrong.push(Unhealthy::Another { gpu: gpu.clone(), seen: sm.to_string(), wanted });
    }
    if let (Some(seen), Some(least)) = (device.memory_bytes, wanted.memory)
        && !gpu_suites::gpu::has_memory(seen, least)
    {
        wrong.push(Unhealthy::TooLittleMemory { gpu, seen: ByteSize(seen), wanted: least });
    }
}

/// Whether the name holds these words in a row: `NVIDIA L40S` is no L4.
fn has_words(name: &str, wanted: &str) -> bool {
    let words = |text: &str| Vec::from_iter(text.to_lowercase().split([' ', '-']).map(str::to_owned));
    let (name, wanted) = (words(name), words(wanted.trim()));
    name.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether it works as a GPU should.
fn works(index: usize, device: &Gpu, wrong: &mut Vec<Unhealthy>) {
    let gpu = || which(index, device);
    if let Some(seen) = device.ecc_uncorrected.filter(|errors| *errors > 0) {
        wrong.push(Unhealthy::EccErrors { gpu: gpu(), seen });
    }
    let remap = device.row_remap;
    if remap.is_some_and(|remap| remap.failed) {
        wrong.push(Unhealthy::RowRemapFailed { gpu: gpu() });
    }
    if remap.is_some_and(|remap| remap.pending) || device.retirement_pending == Some(true) {
        wrong.push(Unhealthy::RepairPending { gpu: gpu() });
    }
    let slow = device.throttled.iter().filter(|reason| is_trouble(reason));
    wrong.extend(slow.map(|reason| Unhealthy::Throttled {
        gpu: gpu(),
        reason: reason.clone(),
        temperature: device.temperature_celsius,
    }));
    wrong.extend(device.processes.iter().map(|by| Unhealthy::InUse { gpu: gpu(), by: by.clone() }));
}

/// Heat and a failing power supply are trouble. A power cap is a setting, and NVML says `hw slowdown` also while a clock
/// changes, as it does when an idle GPU is woken by the question.
fn is_trouble(reason: &Throttle) -> bool {
    matches!(reason, Throttle::Thermal | Throttle::HardwareThermal | Throttle::PowerBrake)
}

fn fatal(log: &KernelLog) -> impl Iterator<Item = Unhealthy> {
    let xids = match log {
        KernelLog::Read { xids, .. } => xids.as_slice(),
        KernelLog::Unreadable(_) => &[],
    };
    xids.iter().filter_map(|xid| Some(Unhealthy::Xid { seen: xid.clone(), meaning: xid::fatal(xid.code)? }))
}

fn which(index: usize, device: &Gpu) -> Which {
    Which { index, name: device.name.clone() }
}

/// A node's words, made harmless.
fn shown(text: &str) -> String {
    one_line(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is done to a healthy node's facts.
    type Change<'a> = dyn Fn(&mut Value) + 'a;

    /// A good L4 that idles, as an agent tells of it.
    fn healthy() -> Value {
        json!({
            "agent": "0.1.0",
            "machine": { "host": "ip-10-0-0-7", "kernel": "Linux 6.8.0 x86_64" },
            "folder": { "path": "/home/ubuntu/.cache/gpu-harness" },
            "clock": { "now": "2026-11-23T00:00:00Z" },
            "gpus": { "present": { "driver": "580.82.07", "cuda": "13.0", "devices": [{
                "name": "NVIDIA L4",
                "uuid": "GPU-1",
                "memory_bytes": 24_152_899_584_u64,
                "memory_used_bytes": 500_000_000,
                "compute_capability": "8.9",
                "temperature_celsius": 31,
                "ecc": true,
                "ecc_uncorrected": 0,
                "row_remap": { "correctable": 1, "uncorrectable": 0, "pending": false, "failed": false },
                "retirement_pending": null,
                "throttled": [],
                "processes": [],
            }] } },
            "kernel_log": { "read": { "xids": [], "more": 0 } },
            "libtorch": { "missing": "nowhere" },
            "clock_skew_ms": 12.5,
        })
    }

    /// An L4 of 24 GiB.
    fn wanted() -> Requirements {
        Requirements {
            gpus: 1,
            memory: Some(ByteSize(24 << 30)),
            architectures: vec![Architecture::Ada],
            name: Some("L4".into()),
        }
    }

    /// What is wrong with the healthy node once `change` is made to it.
    fn wrong(change: &Change<'_>, wanted: &Requirements) -> Vec<String> {
        let mut facts = healthy();
        change(&mut facts);
        let facts: NodeFacts = serde_json::from_value(facts).unwrap();
        judge(&facts, wanted).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn gpu(facts: &mut Value) -> &mut Value {
        &mut facts["gpus"]["present"]["devices"][0]
    }

    #[test]
    fn a_good_gpu_that_idles_is_good_whatever_it_does_not_tell() {
        let silent = [
            "name",
            "uuid",
            "memory_bytes",
            "compute_capability",
            "temperature_celsius",
            "ecc_uncorrected",
            "row_remap",
        ];
        for key in silent {
            assert_eq!(wrong(&|facts| gpu(facts)[key] = Value::Null, &wanted()), [""; 0], "without {key}");
        }
        let harmless: [(&str, &Change<'_>); 8] = [
            ("as it is", &|_| {}),
            ("a power cap", &|facts| gpu(facts)["throttled"] = json!(["sw power cap"])),
            ("a clock that changes", &|facts| gpu(facts)["throttled"] = json!(["hw slowdown", "sync boost"])),
            ("a program's own errors", &|facts| {
                let xid = |code: u32| json!({ "code": code, "gpu": "PCI:0000:00:1e", "message": "" });
                facts["kernel_log"]["read"]["xids"] = [13, 31, 43, 45, 63, 94].map(xid).into();
            }),
            ("no word of the kernel", &|facts| {
                facts["kernel_log"] = json!({ "unreadable": "/dev/kmsg: permission denied" });
            }),
            ("one GPU more", &|facts| {
                let more = gpu(facts).clone();
                facts["gpus"]["present"]["devices"].as_array_mut().unwrap().push(more);
            }),
            ("a clock that nobody compared", &|facts| facts["clock_skew_ms"] = Value::Null),
            ("a clock that is a minute off", &|facts| facts["clock_skew_ms"] = json!(-60_000.0)),
        ];
        for (name, change) in harmless {
            assert_eq!(wrong(change, &wanted()), [""; 0], "{name}");
        }
    }

    #[test]
    fn each_trouble_says_what_was_seen_and_what_was_wanted() {
        let xid =
            |code: u32| json!({ "code": code, "gpu": "PCI:0000:00:1e", "message": "GPU has fallen off" });
        let troubles: [(&Change<'_>, &str); 13] = [
            (
                &|facts| {
                    facts["gpus"] = json!({ "absent": "no NVIDIA driver: libnvidia-ml.so.1: not found" });
                },
                "no GPU can be used: no NVIDIA driver: libnvidia-ml.so.1: not found",
            ),
            (
                &|facts| facts["gpus"]["present"]["devices"] = json!([]),
                "the driver answers for 0 GPUs; at least 1 were asked for",
            ),
            (&|facts| gpu(facts)["name"] = json!("NVIDIA L40S"), "GPU 0 is NVIDIA L40S; L4 was asked for"),
            (
                &|facts| gpu(facts)["compute_capability"] = json!("8.6"),
                "GPU 0 (NVIDIA L4) is sm_86; ada was asked for",
            ),
            (
                &|facts| gpu(facts)["memory_bytes"] = json!(15_843_721_216_u64),
                "GPU 0 (NVIDIA L4) has 14.8 GiB of memory; 24.0 GiB or more was asked for",
            ),
            (
                &|facts| gpu(facts)["ecc_uncorrected"] = json!(3),
                "GPU 0 (NVIDIA L4) has had 3 errors in its memory that could not be corrected; a good one has none",
            ),
            (
                &|facts| facts["kernel_log"]["read"]["xids"] = json!([xid(31), xid(79)]),
                "the driver reported Xid 79 of PCI:0000:00:1e: it has fallen off the bus",
            ),
            (
                &|facts| gpu(facts)["row_remap"]["failed"] = json!(true),
                "GPU 0 (NVIDIA L4) could not replace a bad row of its memory: it has no spare ones left",
            ),
            (
                &|facts| gpu(facts)["row_remap"]["pending"] = json!(true),
                "GPU 0 (NVIDIA L4) has bad memory in use until it is reset",
            ),
            (
                &|facts| gpu(facts)["retirement_pending"] = json!(true),
                "GPU 0 (NVIDIA L4) has bad memory in use until it is reset",
            ),
            (
                &|facts| gpu(facts)["processes"] = json!([{ "pid": 4711, "name": "xmrig\u{1b}[2J" }]),
                "GPU 0 (NVIDIA L4) is in use by xmrig (process 4711); it should be idle",
            ),
            (
                &|facts| gpu(facts)["throttled"] = json!(["hw power brake slowdown"]),
                "GPU 0 (NVIDIA L4) is slowed down (hw power brake slowdown) at 31 °C though nothing runs on it",
            ),
            (
                &|facts| facts["clock_skew_ms"] = json!(-3_600_000.0),
                "the node's clock and this machine's are -3600 s apart; at most 300 s are tolerated: one of the two is wrong",
            ),
        ];
        for (change, text) in troubles {
            assert_eq!(wrong(change, &wanted()), [text]);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let change = |facts: &mut Value| {
            gpu(facts)["throttled"] = json!(["sw thermal slowdown", "hw thermal slowdown"]);
            gpu(facts)["ecc_uncorrected"] = json!(1);
        };
        assert_eq!(wrong(&change, &Requirements { gpus: 2, ..wanted() }).len(), 4);
    }

    #[test]
    fn a_node_that_needs_no_gpu_is_not_blamed_for_one() {
        let change = |facts: &mut Value| facts["gpus"] = json!({ "absent": "no NVIDIA driver" });
        assert_eq!(wrong(&change, &Requirements::default()), [""; 0]);
        let skewed = |facts: &mut Value| facts["clock_skew_ms"] = json!(1e9);
        assert_eq!(wrong(&skewed, &Requirements::default()).len(), 1);
    }

    #[test]
    fn a_name_is_matched_by_whole_words() {
        for (name, wanted, has) in [
            ("NVIDIA L4", "L4", true),
            ("NVIDIA L40S", "L4", false),
            ("NVIDIA A100-SXM4-40GB", "a100", true),
            ("NVIDIA A10G", "A10", false),
            ("NVIDIA H100 80GB HBM3", "H100 80GB", true),
            ("Tesla T4", "T4", true),
        ] {
            assert_eq!(has_words(name, wanted), has, "{name} {wanted}");
        }
    }
}
