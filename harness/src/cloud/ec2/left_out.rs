//! Which instance types a node may not be, and why: whoever named one has to be told.

use std::fmt;

use gpu_suites::gpu::Sm;
use gpu_suites::unit::ByteSize;

use super::candidates::{MOST_TYPES, Processor};
use super::refused::shortened;
use super::{Purchase, Usd};
use crate::config::need::NodeNeed;

/// An instance type that will not do.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    pub name: String,
    pub why: Why,
}

/// Why an instance type will not do.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// The region does not have it.
    NotOffered,
    /// No zone in which we have a subnet offers it.
    NoZone,
    /// It has no GPU of NVIDIA's; its accelerator, if it has one.
    NotNvidia(Option<String>),
    /// It has GPUs, of which the node is to have none.
    HasGpus(String),
    /// Nothing runs there that could run a case.
    Processor(Processor),
    /// It has too few GPUs.
    Count {
        /// How many it has.
        has: u32,
        /// How many are needed.
        needs: u32,
    },
    /// It has too few virtual processors.
    Processors {
        /// How many it has.
        has: u32,
        /// How many are needed.
        needs: u32,
    },
    /// The machine has too little memory.
    MachineMemory { has: ByteSize, needs: ByteSize },
    /// Its GPUs have too little memory.
    Memory { has: ByteSize, needs: ByteSize },
    /// Its GPU is of another architecture.
    Architecture { gpu: String, sm: Sm, needs: String },
    /// An architecture is needed, and that of its GPU is not known.
    UnknownGpu(String),
    /// The default image's driver does not know its GPU.
    Driver { gpu: String, sm: Sm },
    /// The default image's driver does not serve a part of a GPU.
    Fractional,
    /// It is not sold in this way.
    NotSold(Purchase),
    /// There is a limit on the money, and what it costs in that region is not known.
    NoPrice {
        /// The way of paying.
        purchase: Purchase,
        region: String,
    },
    /// It costs more than is to be paid.
    TooDear {
        /// What it costs an hour.
        costs: Usd,
        /// What may be paid an hour.
        most: Usd,
    },
    /// The money of the run would not last until it has booted.
    TooDearToBoot {
        /// What it costs an hour.
        costs: Usd,
        /// What is left of the money, in US dollars.
        left: f64,
    },
    /// So many others that cost less will do.
    Enough,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str("not offered in this region"),
            Self::NoZone => f.write_str("not offered in any zone that has one of the subnets"),
            Self::NotNvidia(None) => f.write_str("no GPU"),
            Self::NotNvidia(Some(other)) => write!(f, "no GPU of NVIDIA's but {other}"),
            Self::HasGpus(gpu) => write!(f, "it has a GPU ({gpu}), and `gpu: none` is a node without"),
            Self::Processors { has, needs } => write!(f, "{has} vCPU{}, {needs} needed", plural(*has)),
            Self::MachineMemory { has, needs } => write!(f, "{has} of memory, {needs} needed"),
            Self::Processor(processor) => write!(f, "{processor}; gpu-agent is built for x86_64 only"),
            Self::Count { has, needs } => write!(f, "{has} GPU{}, {needs} needed", plural(*has)),
            Self::Memory { has, needs } => write!(f, "{has} of GPU memory, {needs} needed"),
            Self::Architecture { gpu, sm, needs } => write!(f, "its {gpu} is {sm}, {needs} needed"),
            Self::UnknownGpu(gpu) => {
                write!(f, "the architecture of its {gpu} is not known here; leave out `arch:` to have it")
            }
            Self::Driver { gpu, sm } => {
                write!(f, "its {gpu} ({sm}) is too old for the default image's driver; name another in `image:`")
            }
            Self::Fractional => f.write_str(
                "its part of a GPU needs NVIDIA's GRID driver, which the default image lacks; name another in `image:`",
            ),
            Self::NotSold(purchase) => write!(f, "not sold as {purchase}"),
            Self::NoPrice { purchase: Purchase::Spot, region } => {
                write!(f, "EC2 tells no spot price of it in {region}")
            }
            Self::NoPrice { purchase: Purchase::OnDemand, region } => {
                write!(f, "its on-demand price in {region} is not known: give it in `prices:`")
            }
            Self::TooDearToBoot { costs, left } => {
                let left = crate::text::figures::dollars(*left);
                write!(f, "at {costs} an hour, the {left} that max-cost leaves do not pay for booting it")
            }
            Self::TooDear { costs, most } => write!(f, "costs {costs} an hour on demand, above max-price {most}"),
            Self::Enough => write!(f, "{MOST_TYPES} cheaper types will do"),
        }
    }
}

impl Why {
    /// Whether it would do, but for the limit on the money.
    pub fn is_for_money(&self) -> bool {
        matches!(self, Self::NoPrice { .. } | Self::TooDear { .. } | Self::TooDearToBoot { .. })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// No instance type will do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("no instance type will do for {need}{}", because(.need, .left_out))]
pub struct NoneFits {
    pub need: NodeNeed,
    pub left_out: Vec<LeftOut>,
}

impl NoneFits {
    /// Whether something would do, but for the limit on the money.
    pub fn is_for_money(&self) -> bool {
        self.left_out.iter().any(|one| one.why.is_for_money())
    }
}

fn because(need: &NodeNeed, left_out: &[LeftOut]) -> String {
    match (left_out, &need.gpu) {
        ([], Some(_)) => ": this region offers none with a GPU; name another in `region:`".to_owned(),
        ([], None) => {
            ": this region offers none of the families that are looked at; name some in `types:`".to_owned()
        }
        (left_out, _) => list(left_out),
    }
}

/// One line for each reason, with the types that it keeps out.
pub(super) fn list(left_out: &[LeftOut]) -> String {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for LeftOut { name, why } in left_out {
        let why = why.to_string();
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let lines = reasons.iter().map(|(why, names)| format!("\n  {}: {why}", shortened(names)));
    String::from_iter(lines)
}
