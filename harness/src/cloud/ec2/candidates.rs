//! Which instance types a node may be.
//!
//! The facts are the region's own, from `DescribeInstanceTypes` and `DescribeInstanceTypeOfferings`; what they do not
//! tell is a GPU's compute capability ([`capability`]) and the on-demand price ([`on_demand`]). Nothing is left out
//! silently: code built for one architecture does not run on its neighbour, and whoever named a type has to be told.

use std::fmt;

use gpu_suites::gpu::{GpuNeed, Sm};
use gpu_suites::unit::ByteSize;

use super::left_out::{LeftOut, NoneFits, Why};
use super::prices::{OnDemandPrice, about, on_demand};
use super::sm::capability;
use super::{Ec2Settings, ImageChoice, Purchase, Usd};
use crate::config::need::{CpuNeed, NodeNeed};

/// A `CreateFleet` call takes 300 overrides (types x subnets); with six zones to a region this many types stay below it.
pub const MOST_TYPES: usize = 40;

/// A processor architecture: an image is for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Processor {
    X86_64,
    Arm64,
}

impl Processor {
    /// EC2's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The GPUs of one kind that an instance type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// EC2's name for it, such as `L4`.
    pub name: String,
    pub manufacturer: String,
    /// How many devices a program sees (`LogicalGpuCount`, or `Count` where that is not told).
    pub count: u32,
    /// Memory of each; of a fractional GPU, the part.
    pub memory: ByteSize,
    /// Whether each is a part of a GPU (`GpuPartitionSize` below 1).
    pub fractional: bool,
}

/// What EC2 says of an instance type in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts {
    pub name: String,
    pub processor: Processor,
    /// Its accelerators that EC2 calls GPUs.
    pub gpus: Vec<GpuFacts>,
    /// Virtual processors: what quotas count.
    pub vcpus: u32,
    /// The machine's own.
    pub memory: ByteSize,
    /// How it is sold.
    pub markets: Vec<Purchase>,
    /// The zones that offer it and in which we have a subnet.
    pub zones: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub name: String,
    /// What its processor is; one and the same for all candidates of a choice.
    pub processor: Processor,
    /// `None`: it has none, and none is wanted.
    pub gpus: Option<CandidateGpus>,
    pub vcpus: u32,
    /// The machine's own.
    pub memory: ByteSize,
    /// What it costs on demand, where it is known.
    pub on_demand: Option<OnDemandPrice>,
    /// The zones that offer it and in which we have a subnet.
    pub zones: Vec<String>,
}

/// The GPUs of a type that will do.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateGpus {
    /// EC2's name for them.
    pub name: String,
    pub count: u32,
    /// Memory of each.
    pub memory: ByteSize,
    /// Their compute capability, where it is known.
    pub sm: Option<Sm>,
}

impl fmt::Display for CandidateGpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}, {}", self.count, self.name, self.memory)?;
        self.sm.map_or(Ok(()), |sm| write!(f, ", {sm}"))
    }
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The types that will do, in the order of liking: the user's, or by on-demand price. Never empty.
    pub candidates: Vec<Candidate>,
    pub left_out: Vec<LeftOut>,
    /// `MaxPrice` of each spot pool.
    pub max_price: Option<Usd>,
}

/// What candidates are chosen for.
#[derive(Debug, Clone, Copy)]
pub struct For<'a> {
    pub settings: &'a Ec2Settings,
    /// What the node and the suites need together.
    pub need: &'a NodeNeed,
    /// How it is paid for.
    pub purchase: Purchase,
    pub region: &'a str,
}

/// The types that will do, and why each other will not.
pub fn choose(facts: &[TypeFacts], wanted: For<'_>) -> Result<Choice, NoneFits> {
    let For { settings, need, purchase, .. } = wanted;
    let judged = if settings.types.is_empty() { by_need(facts, wanted) } else { by_name(facts, wanted) };
    let (candidates, left_out) = judged;
    if candidates.is_empty() {
        return Err(NoneFits { need: need.clone(), left_out });
    }
    let max_price = settings.max_price.filter(|_| purchase == Purchase::Spot);
    Ok(Choice { candidates, left_out, max_price })
}

type Judged = (Vec<Candidate>, Vec<LeftOut>);

/// The user's types in the user's order.
fn by_name(facts: &[TypeFacts], wanted: For<'_>) -> Judged {
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    for name in &wanted.settings.types {
        let found = facts.iter().find(|facts| facts.name == *name).ok_or(Why::NotOffered);
        match found.and_then(|facts| judge(facts, wanted)) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => left_out.push(LeftOut { name: name.clone(), why }),
        }
    }
    (candidates, left_out)
}

/// All that will do, the cheapest first, as far as that is known; what nobody has a price of is last.
fn by_need(facts: &[TypeFacts], wanted: For<'_>) -> Judged {
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    let is_of_the_kind = |facts: &&TypeFacts| facts.gpus.is_empty() == wanted.need.gpu.is_none();
    for facts in facts.iter().filter(is_of_the_kind) {
        match judge(facts, wanted) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => left_out.push(LeftOut { name: facts.name.clone(), why }),
        }
    }
    let dollars = |candidate: &Candidate| {
        let known = candidate.on_demand.as_ref().map(|price| price.usd.0);
        known.or_else(|| about(&candidate.name)).unwrap_or(f64::INFINITY)
    };
    candidates.sort_by(|a, b| dollars(a).total_cmp(&dollars(b)).then_with(|| a.name.cmp(&b.name)));
    let rest = candidates.split_off(candidates.len().min(MOST_TYPES));
    left_out.extend(rest.into_iter().map(|candidate| LeftOut { name: candidate.name, why: Why::Enough }));
    left_out.sort_by(|a, b| a.name.cmp(&b.name));
    (candidates, left_out)
}

fn judge(facts: &TypeFacts, wanted: For<'_>) -> Result<Candidate, Why> {
    let For { settings, need, purchase, region } = wanted;
    let gpus = match &need.gpu {
        Some(need) => Some(gpus(facts, need, &settings.image)?),
        None => no_gpus(facts)?,
    };
    machine(facts, need.cpu)?;
    if !facts.markets.contains(&purchase) {
        return Err(Why::NotSold(purchase));
    }
    if facts.zones.is_empty() {
        return Err(Why::NoZone);
    }
    let price = on_demand(&facts.name, region, &settings.prices);
    if let Some(most) = settings.max_price.filter(|_| purchase == Purchase::OnDemand) {
        let unknown = || Why::NoPrice { purchase, region: region.to_owned() };
        let costs = price.as_ref().ok_or_else(unknown)?.usd;
        if costs > most {
            return Err(Why::TooDear { costs, most });
        }
    }
    Ok(Candidate {
        name: facts.name.clone(),
        processor: facts.processor,
        gpus,
        vcpus: facts.vcpus,
        memory: facts.memory,
        on_demand: price,
        zones: facts.zones.clone(),
    })
}

/// Whether its GPUs are those that are needed.
fn gpus(facts: &TypeFacts, need: &GpuNeed, image: &ImageChoice) -> Result<CandidateGpus, Why> {
    let gpu = facts.gpus.iter().find(|gpu| gpu.manufacturer.eq_ignore_ascii_case("nvidia"));
    let gpu = gpu.ok_or_else(|| Why::NotNvidia(facts.gpus.first().map(told)))?;
    is_run(facts)?;
    if gpu.count < need.count.get() {
        return Err(Why::Count { has: gpu.count, needs: need.count.get() });
    }
    // EC2 tells it in whole MiB, rounded down: a GPU of 24 GB is a little less there.
    if let Some(needs) = need.memory.filter(|needs| gpu.memory.0.saturating_add(1 << 20) <= needs.0) {
        return Err(Why::Memory { has: gpu.memory, needs });
    }
    let sm = capability(&gpu.name);
    architecture(gpu, sm, need)?;
    if *image == ImageChoice::DeepLearning {
        default_driver(gpu, sm)?;
    }
    Ok(CandidateGpus { name: gpu.name.clone(), count: gpu.count, memory: gpu.memory, sm })
}

fn no_gpus(facts: &TypeFacts) -> Result<Option<CandidateGpus>, Why> {
    match facts.gpus.first() {
        Some(gpu) => Err(Why::HasGpus(told(gpu))),
        None => is_run(facts).map(|()| None),
    }
}

fn told(gpu: &GpuFacts) -> String {
    format!("{} {}", gpu.manufacturer, gpu.name)
}

fn is_run(facts: &TypeFacts) -> Result<(), Why> {
    match facts.processor {
        Processor::X86_64 => Ok(()),
        Processor::Arm64 => Err(Why::Processor(Processor::Arm64)),
    }
}

/// Whether it has the processors and the memory that are needed.
fn machine(facts: &TypeFacts, need: CpuNeed) -> Result<(), Why> {
    if let Some(needs) = need.count.filter(|needs| facts.vcpus < needs.get()) {
        return Err(Why::Processors { has: facts.vcpus, needs: needs.get() });
    }
    match need.memory.filter(|needs| facts.memory < *needs) {
        Some(needs) => Err(Why::MachineMemory { has: facts.memory, needs }),
        None => Ok(()),
    }
}

fn architecture(gpu: &GpuFacts, sm: Option<Sm>, need: &GpuNeed) -> Result<(), Why> {
    if need.arch.is_empty() {
        return Ok(());
    }
    let sm = sm.ok_or_else(|| Why::UnknownGpu(gpu.name.clone()))?;
    if need.arch.iter().any(|arch| arch.has(sm)) {
        return Ok(());
    }
    let needs = Vec::from_iter(need.arch.iter().map(ToString::to_string)).join(" or ");
    Err(Why::Architecture { gpu: gpu.name.clone(), sm, needs })
}

/// The oldest GPU that NVIDIA's open kernel modules serve, which is what the default image has; its release notes
/// ("Deep Learning Base OSS Nvidia Driver GPU AMI") list G4dn and later, neither G3, P3 nor G6f.
const OPEN_DRIVER_FROM: Sm = Sm::new(7, 5);

fn default_driver(gpu: &GpuFacts, sm: Option<Sm>) -> Result<(), Why> {
    if gpu.fractional {
        return Err(Why::Fractional);
    }
    match sm {
        Some(sm) if sm < OPEN_DRIVER_FROM => Err(Why::Driver { gpu: gpu.name.clone(), sm }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(name: &str, gpu: &str, count: u32, mib: u64) -> TypeFacts {
        let gpu = GpuFacts {
            name: gpu.to_owned(),
            manufacturer: "NVIDIA".to_owned(),
            count,
            memory: ByteSize(mib << 20),
            fractional: name.contains("6f."),
        };
        TypeFacts {
            name: name.to_owned(),
            processor: Processor::X86_64,
            gpus: vec![gpu],
            vcpus: 4,
            memory: ByteSize(16 << 30),
            markets: vec![Purchase::Spot, Purchase::OnDemand],
            zones: vec!["us-east-1a".to_owned(), "us-east-1b".to_owned()],
        }
    }

    /// A type without GPUs.
    fn plain(name: &str, vcpus: u32, gib: u64) -> TypeFacts {
        TypeFacts { gpus: Vec::new(), vcpus, memory: ByteSize(gib << 30), ..facts(name, "", 0, 0) }
    }

    fn pick(
        facts: &[TypeFacts],
        settings: &Ec2Settings,
        need: &NodeNeed,
        purchase: Purchase,
    ) -> Result<Choice, NoneFits> {
        choose(facts, For { settings, need, purchase, region: "us-east-1" })
    }

    /// A part of what a region offers, as EC2 tells it.
    fn region() -> Vec<TypeFacts> {
        let mut all = vec![
            facts("p3.2xlarge", "V100", 1, 16_384),
            facts("g4dn.xlarge", "T4", 1, 16_384),
            facts("g5.xlarge", "A10G", 1, 22_888),
            facts("g5.12xlarge", "A10G", 4, 22_888),
            facts("g6.xlarge", "L4", 1, 22_888),
            facts("g6.12xlarge", "L4", 4, 22_888),
            facts("g6f.xlarge", "L4", 1, 2_861),
            facts("g6e.xlarge", "L40S", 1, 45_776),
            facts("p4d.24xlarge", "A100", 8, 40_960),
            facts("p5.48xlarge", "H100", 8, 81_920),
            facts("x1.unheard", "Z1", 1, 81_920),
        ];
        let mut graviton = facts("g5g.xlarge", "T4g", 1, 16_384);
        graviton.processor = Processor::Arm64;
        let mut radeon = facts("g4ad.xlarge", "Radeon Pro V520", 1, 8_192);
        radeon.gpus[0].manufacturer = "AMD".to_owned();
        let mut reserved = facts("p5en.48xlarge", "H200", 8, 144_384);
        reserved.markets = vec![Purchase::OnDemand];
        let unreachable =
            TypeFacts { zones: Vec::new(), ..facts("g7e.2xlarge", "RTX PRO Server 6000", 1, 98_304) };
        all.extend([graviton, radeon, plain("m7i.large", 2, 8), reserved, unreachable]);
        all
    }

    fn settings(more: &str) -> Ec2Settings {
        crate::config::ec2::settings(more).unwrap()
    }

    fn need(text: &str) -> NodeNeed {
        NodeNeed { gpu: Some(serde_yaml::from_str(text).unwrap()), ..NodeNeed::default() }
    }

    fn names(choice: &Choice) -> Vec<&str> {
        choice.candidates.iter().map(|candidate| candidate.name.as_str()).collect()
    }

    fn told(left_out: &[LeftOut]) -> String {
        Vec::from_iter(left_out.iter().map(ToString::to_string)).join("\n")
    }

    #[test]
    fn by_need_every_type_that_fits_is_a_candidate_the_cheapest_first() {
        for (wanted, more, expected) in [
            (
                "{}",
                "",
                &[
                    "g4dn.xlarge",
                    "g6.xlarge",
                    "g5.xlarge",
                    "g6e.xlarge",
                    "g6.12xlarge",
                    "g5.12xlarge",
                    "p4d.24xlarge",
                    "p5.48xlarge",
                    "x1.unheard",
                ][..],
            ),
            ("{count: 4}", "", &["g6.12xlarge", "g5.12xlarge", "p4d.24xlarge", "p5.48xlarge"]),
            (
                "{memory: 24 GB, count: 1}",
                "",
                &[
                    "g6.xlarge",
                    "g5.xlarge",
                    "g6e.xlarge",
                    "g6.12xlarge",
                    "g5.12xlarge",
                    "p4d.24xlarge",
                    "p5.48xlarge",
                    "x1.unheard",
                ],
            ),
            ("{memory: 24 GiB}", "", &["g6e.xlarge", "p4d.24xlarge", "p5.48xlarge", "x1.unheard"]),
            ("{arch: [ada]}", "", &["g6.xlarge", "g6e.xlarge", "g6.12xlarge"]),
            ("{arch: [sm_80, hopper]}", "", &["p4d.24xlarge", "p5.48xlarge"]),
            ("{arch: [volta]}", "image: {id: ami-1}", &["p3.2xlarge"]),
            (
                "{arch: [ada], memory: 2 GiB}",
                "image: {id: ami-1}",
                &["g6f.xlarge", "g6.xlarge", "g6e.xlarge", "g6.12xlarge"],
            ),
            (
                "{count: 4}",
                "prices: {p5.48xlarge: 0.5}",
                &["p5.48xlarge", "g6.12xlarge", "g5.12xlarge", "p4d.24xlarge"],
            ),
        ] {
            let choice = pick(&region(), &settings(more), &need(wanted), Purchase::Spot).unwrap();
            assert_eq!(names(&choice), expected, "{wanted} {more}");
        }
    }

    #[test]
    fn a_node_without_gpus_is_the_cheapest_machine_that_is_large_enough() {
        let mut region = region();
        region.extend([plain("m7i.xlarge", 4, 16), plain("c7i.xlarge", 4, 8), plain("c7i.2xlarge", 8, 16)]);
        region.push(TypeFacts { processor: Processor::Arm64, ..plain("c7g.xlarge", 4, 8) });
        let picked = |text: &str| {
            let settings = settings(&format!("gpu: none\n{text}"));
            pick(&region, &settings, &settings.need, Purchase::OnDemand)
        };
        for (more, expected) in [
            ("", &["c7i.xlarge", "m7i.xlarge", "c7i.2xlarge"][..]),
            ("cpu: {count: 1}", &["m7i.large", "c7i.xlarge", "m7i.xlarge", "c7i.2xlarge"]),
            ("cpu: {memory: 16 GiB}", &["m7i.xlarge", "c7i.2xlarge"]),
            ("max-price: 0.19", &["c7i.xlarge"]),
            ("types: [m7i.large]", &["m7i.large"]),
        ] {
            let choice = picked(more).unwrap();
            assert_eq!(names(&choice), expected, "{more}");
            assert!(choice.candidates.iter().all(|candidate| candidate.gpus.is_none()));
        }
        let said = ["types: [g6.xlarge, c7g.xlarge]", "cpu: {count: 64}", "cpu: {memory: 1 TiB}"]
            .map(|more| picked(more).unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n\n"), @r"
        no instance type will do for a node without GPUs
          g6.xlarge: it has a GPU (NVIDIA L4), and `gpu: none` is a node without
          c7g.xlarge: arm64; gpu-agent is built for x86_64 only

        no instance type will do for a node without GPUs with 64 vCPUs
          c7g.xlarge: arm64; gpu-agent is built for x86_64 only
          c7i.2xlarge: 8 vCPUs, 64 needed
          c7i.xlarge, m7i.xlarge: 4 vCPUs, 64 needed
          m7i.large: 2 vCPUs, 64 needed

        no instance type will do for a node without GPUs with 1024.0 GiB of memory
          c7g.xlarge: arm64; gpu-agent is built for x86_64 only
          c7i.2xlarge, m7i.xlarge: 16.0 GiB of memory, 1024.0 GiB needed
          c7i.xlarge, m7i.large: 8.0 GiB of memory, 1024.0 GiB needed
        ");
    }

    #[test]
    fn a_gpu_node_may_ask_for_processors_and_memory_as_well() {
        let settings = settings("cpu: {count: 8}\ntypes: [g6.xlarge]");
        let none = pick(&region(), &settings, &settings.need, Purchase::Spot).unwrap_err();
        assert_eq!(
            none.to_string(),
            "no instance type will do for 1 GPU with 8 vCPUs\n  g6.xlarge: 4 vCPUs, 8 needed"
        );
    }

    #[test]
    fn the_users_types_keep_their_order_and_one_that_does_not_fit_is_left_out_with_the_reason() {
        let types = "types: [g6e.xlarge, g5.xlarge, g5g.xlarge, g4ad.xlarge, m7i.large, p3.2xlarge, g6f.xlarge, g4dn.xlarge, x1.unheard, p5en.48xlarge, g7e.2xlarge, g9.none, g6.xlarge]";
        let wanted = need("{memory: 2 GiB}");
        let choice = pick(&region(), &settings(types), &wanted, Purchase::Spot).unwrap();
        assert_eq!(names(&choice), ["g6e.xlarge", "g5.xlarge", "g4dn.xlarge", "x1.unheard", "g6.xlarge"]);
        insta::assert_snapshot!(told(&choice.left_out));
    }

    #[test]
    fn where_no_type_fits_each_is_told_why_not() {
        let of_name = settings("types: [g4dn.xlarge, g5.xlarge, x1.unheard, g5.12xlarge]");
        let by_name =
            pick(&region(), &of_name, &need("{memory: 40 GiB, arch: [ada, hopper]}"), Purchase::Spot);
        let by_need = pick(&region(), &settings(""), &need("{count: 16}"), Purchase::Spot);
        let by_arch = pick(&region(), &settings(""), &need("{arch: [blackwell]}"), Purchase::OnDemand);
        let nothing = pick(&[], &settings(""), &need("{}"), Purchase::Spot);
        let said = [by_name, by_need, by_arch, nothing].map(|none| none.unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n\n"));
    }

    #[test]
    fn a_highest_price_keeps_dear_and_unpriced_types_out_on_demand_and_is_the_bid_on_spot() {
        let settings = settings("max-price: 0.9\ntypes: [g5.xlarge, g6.xlarge, x1.unheard]");
        let on_demand = pick(&region(), &settings, &need("{}"), Purchase::OnDemand).unwrap();
        assert_eq!((names(&on_demand), on_demand.max_price), (vec!["g6.xlarge"], None));
        insta::assert_snapshot!(told(&on_demand.left_out), @r"
        g5.xlarge: costs $1.01 an hour on demand, above max-price $0.90
        x1.unheard: its on-demand price in us-east-1 is not known: give it in `prices:`
        ");
        let spot = pick(&region(), &settings, &need("{}"), Purchase::Spot).unwrap();
        assert_eq!((names(&spot).len(), spot.max_price), (3, Some(Usd(0.9))));
    }

    #[test]
    fn no_more_types_are_asked_for_than_a_fleet_takes() {
        let many = Vec::from_iter((0..100).map(|n| facts(&format!("g9.{n:03}xlarge"), "L4", 1, 22_888)));
        let choice = pick(&many, &settings(""), &need("{}"), Purchase::Spot).unwrap();
        assert_eq!((choice.candidates.len(), choice.left_out.len()), (MOST_TYPES, 60));
        assert!(choice.left_out.iter().all(|left| left.why == Why::Enough));
    }

    #[test]
    fn a_candidate_tells_what_the_report_shows() {
        let choice = pick(&region(), &settings("types: [g6.12xlarge]"), &need("{}"), Purchase::Spot).unwrap();
        insta::assert_debug_snapshot!(choice.candidates[0]);
    }

    proptest! {
        #[test]
        fn every_candidate_meets_the_need_and_no_named_type_is_lost(
            count in 1u32..9,
            gib in prop::option::of(1u64..100),
            arch in prop::sample::subsequence(vec!["turing", "ampere", "ada", "hopper", "sm_86"], 0..3),
            order in Just(region()).prop_shuffle(),
        ) {
            let memory = gib.map_or(String::new(), |gib| format!(", memory: {gib} GiB"));
            let wanted = need(&format!("{{count: {count}{memory}, arch: [{}]}}", arch.join(", ")));
            let named = Vec::from_iter(order.iter().map(|facts| facts.name.clone()));
            let settings = settings(&format!("types: [{}]", named.join(", ")));
            let (kept, left) = match pick(&region(), &settings, &wanted, Purchase::Spot) {
                Ok(choice) => (choice.candidates, choice.left_out),
                Err(none) => (Vec::new(), none.left_out),
            };
            prop_assert_eq!(kept.len() + left.len(), named.len());
            let places = Vec::from_iter(kept.iter().map(|kept| named.iter().position(|name| *name == kept.name)));
            prop_assert!(places.is_sorted());
            for candidate in kept {
                let (gpus, wanted) = (candidate.gpus.unwrap(), wanted.gpu.as_ref().unwrap());
                prop_assert!(gpus.count >= count);
                prop_assert!(gib.is_none_or(|gib| gpus.memory.0 >= gib << 30));
                prop_assert!(wanted.arch.is_empty() || wanted.arch.iter().any(|arch| arch.has(gpus.sm.unwrap())));
            }
        }
    }
}
