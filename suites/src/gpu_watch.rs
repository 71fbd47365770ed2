//! Were the GPUs well while a case ran? What was seen of them, and the rules that it is held to.
//!
//! The node's agent looks; the judgement is a function of what it saw. See docs/history.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{Gpu, Throttle};
use crate::gpu::{GpuNeed, Sm, has_memory};
use crate::xid;

/// Looks in a row from which on a slowdown without a named reason counts: the driver says it also while a clock changes.
const LASTING: u32 = 3;
/// Looks at which a process that this machine cannot see (it is in another container) counts as somebody else's, where it
/// was there before the case: one that has just ended is listed a little longer.
const STAYED: u32 = 5;

/// The least, the mean and the largest of what was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub least: f64,
    pub mean: f64,
    pub most: f64,
    #[serde(skip)]
    count: u32,
}

impl Range {
    /// Of one value.
    pub fn of(value: f64) -> Self {
        Self { least: value, mean: value, most: value, count: 1 }
    }

    /// With one more value.
    #[must_use]
    pub fn and(self, value: f64) -> Self {
        let count = self.count + 1;
        Self {
            least: self.least.min(value),
            mean: self.mean + (value - self.mean) / f64::from(count),
            most: self.most.max(value),
            count,
        }
    }
}

/// What was seen of one GPU, as the report keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuSeen {
    /// What it is called.
    pub name: Option<String>,
    /// Which one it is.
    pub uuid: Option<String>,
    /// How often it was looked at.
    pub looks: u32,
    /// At how many of these its power cap held it back, as is normal under load.
    pub power_capped: u32,
    /// The clock of its processors.
    pub sm_clock_mhz: Option<Range>,
    /// How warm it was.
    pub temperature_celsius: Option<Range>,
    /// What it drew.
    pub power_watts: Option<Range>,
    /// The share of time that something ran on it.
    pub utilisation_percent: Option<Range>,
    /// What it took.
    pub energy_joules: Option<f64>,
}

/// One look at a GPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// Why it is slower than it could be.
    pub throttled: Vec<Throttle>,
    /// The clock of its processors.
    pub sm_clock_mhz: Option<f64>,
    /// How warm it is.
    pub temperature_celsius: Option<f64>,
    /// What it draws.
    pub power_watts: Option<f64>,
    /// The share of time that something ran on it.
    pub utilisation_percent: Option<f64>,
    /// Who computes on it.
    pub processes: Vec<Company>,
}

/// Somebody on the GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    pub pid: u32,
    pub whose: Whose,
}

/// Whose a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The case's.
    Ours,
    /// Somebody else's; the program's name, where it has one.
    Others(String),
    /// It is not seen from here.
    Unseen,
}

/// One GPU over the time of a case.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    index: usize,
    seen: GpuSeen,
    before: Gpu,
    /// As it was afterwards; `None` where it no longer answered.
    after: Option<Gpu>,
    /// Each reason for a slowdown: looks in a row now, and at most.
    slow: BTreeMap<String, (Throttle, u32, u32)>,
    others: BTreeMap<u32, String>,
    unseen: BTreeMap<u32, u32>,
    xids: Vec<u64>,
}

/// What is wrong, a sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What may be over by now: heat, company.
    pub passing: Vec<String>,
    /// What stays.
    pub lasting: Vec<String>,
    /// Of these, what makes whatever ran on the GPU worth nothing, its outcome too.
    pub fatal: Vec<String>,
}

impl Watched {
    /// The GPU of this number, as it was before the case began.
    pub fn begin(index: usize, before: Gpu) -> Self {
        let unseen = before.processes.iter().map(|process| (process.pid, 0)).collect();
        let seen = GpuSeen { name: before.name.clone(), uuid: before.uuid.clone(), ..GpuSeen::default() };
        Self { index, seen, before, unseen, ..Self::default() }
    }

    /// Takes one more look in.
    pub fn look(&mut self, look: Look) {
        let seen = &mut self.seen;
        seen.looks += 1;
        seen.power_capped += u32::from(look.throttled.contains(&Throttle::PowerCap));
        let add = |range: &mut Option<Range>, value: Option<f64>| {
            if let Some(value) = value {
                *range = Some(range.map_or(Range::of(value), |range| range.and(value)));
            }
        };
        add(&mut seen.sm_clock_mhz, look.sm_clock_mhz);
        add(&mut seen.temperature_celsius, look.temperature_celsius);
        add(&mut seen.power_watts, look.power_watts);
        add(&mut seen.utilisation_percent, look.utilisation_percent);
        for (throttle, in_a_row, _) in self.slow.values_mut() {
            if !look.throttled.contains(throttle) {
                *in_a_row = 0;
            }
        }
        for throttle in look.throttled {
            let entry = self.slow.entry(throttle.name().to_owned()).or_insert((throttle, 0, 0));
            entry.1 += 1;
            entry.2 = entry.2.max(entry.1);
        }
        for company in look.processes {
            match company.whose {
                Whose::Ours => {}
                Whose::Others(name) => {
                    self.others.insert(company.pid, name);
                }
                Whose::Unseen => {
                    // One that came with the case is the case's, under another number.
                    if let Some(looks) = self.unseen.get_mut(&company.pid) {
                        *looks += 1;
                    }
                }
            }
        }
    }

    /// The driver reported an error of it.
    pub fn xid(&mut self, code: u64) {
        self.xids.push(code);
    }

    /// As it was when the case had ended; `None` where it no longer answered.
    pub fn end(&mut self, after: Option<Gpu>, energy_joules: Option<f64>) {
        self.after = after;
        self.seen.energy_joules = energy_joules;
    }

    /// What the report keeps.
    pub fn seen(&self) -> &GpuSeen {
        &self.seen
    }

    fn name(&self) -> String {
        match &self.before.name {
            Some(name) => format!("GPU {} ({name})", self.index),
            None => format!("GPU {}", self.index),
        }
    }

    fn trouble(&self, trouble: &mut Trouble) {
        let gpu = self.name();
        let is_slow = |(throttle, _, most): &(Throttle, u32, u32)| match throttle {
            Throttle::Thermal | Throttle::HardwareThermal | Throttle::PowerBrake => true,
            Throttle::Slowdown => *most >= LASTING,
            // The power cap is how a GPU at work runs; what has no name is no known trouble.
            Throttle::PowerCap | Throttle::Other(_) => false,
        };
        let slow = Vec::from_iter(self.slow.values().filter(|slow| is_slow(slow)).map(|slow| slow.0.name()));
        if !slow.is_empty() {
            trouble.passing.push(format!("{gpu} slowed itself down: {}", slow.join(", ")));
        }
        for (pid, name) in &self.others {
            trouble.passing.push(format!("{gpu} was in use by {name} (process {pid}) too"));
        }
        for pid in self.unseen.iter().filter(|(_, looks)| **looks >= STAYED).map(|(pid, _)| pid) {
            trouble.passing.push(format!("{gpu} was in use by process {pid} too, which was there before"));
        }
        let mut codes = self.xids.clone();
        codes.sort_unstable();
        codes.dedup();
        for code in codes {
            let meaning = u32::try_from(code).ok().and_then(xid::fatal);
            let said = format!("the driver reported Xid {code} of {gpu}");
            match meaning {
                Some(meaning) => trouble.fatal.push(format!("{said}: {meaning}")),
                None => trouble.lasting.push(said),
            }
        }
        let Some(after) = &self.after else {
            trouble.fatal.push(format!("{gpu} no longer answers"));
            return;
        };
        let errors =
            after.ecc_uncorrected.unwrap_or(0).saturating_sub(self.before.ecc_uncorrected.unwrap_or(0));
        if errors > 0 {
            trouble.fatal.push(format!("{errors} errors in the memory of {gpu} could not be corrected"));
        }
        let remap = [self.before.row_remap, after.row_remap].into_iter().flatten();
        let (mut pending, mut failed) = (after.retirement_pending == Some(true), false);
        for remap in remap {
            pending |= remap.pending;
            failed |= remap.failed;
        }
        if failed {
            trouble.lasting.push(format!("{gpu} could not replace a bad row of its memory"));
        }
        if pending {
            trouble.lasting.push(format!("{gpu} has bad memory in use until it is reset"));
        }
    }
}

/// What is wrong with the GPUs, by what was seen of them and what the case asks for.
pub fn trouble(watched: &[Watched], need: Option<&GpuNeed>) -> Trouble {
    let mut trouble = Trouble::default();
    if let Some(need) = need {
        trouble.lasting.extend(unmet(watched, need));
    }
    for gpu in watched {
        gpu.trouble(&mut trouble);
    }
    trouble
}

/// What the GPUs lack of what was asked for.
fn unmet(watched: &[Watched], need: &GpuNeed) -> Vec<String> {
    let mut unmet = Vec::new();
    if watched.len() < need.count.get() as usize {
        unmet.push(format!("the driver answers for {} GPUs; the case asks for {need}", watched.len()));
    }
    for gpu in watched {
        let is_one = |sm: Sm| need.arch.iter().any(|architecture| architecture.has(sm));
        let wrong = gpu.before.sm().filter(|sm| !need.arch.is_empty() && !is_one(*sm));
        let small =
            gpu.before.memory_bytes.zip(need.memory).filter(|(seen, least)| !has_memory(*seen, *least));
        if let Some(sm) = wrong {
            unmet.push(format!("{} is {sm}; the case asks for {need}", gpu.name()));
        }
        if let Some((seen, _)) = small {
            let seen = crate::unit::ByteSize(seen);
            unmet.push(format!("{} has {seen} of memory; the case asks for {need}", gpu.name()));
        }
    }
    unmet
}

impl Trouble {
    /// Everything.
    pub fn all(self) -> Vec<String> {
        [self.fatal, self.lasting, self.passing].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Process, RowRemap};

    fn gpu() -> Gpu {
        Gpu {
            name: Some("NVIDIA L4".into()),
            memory_bytes: Some(24_152_899_584),
            compute_capability: Some("8.9".into()),
            ecc_uncorrected: Some(0),
            ..Gpu::default()
        }
    }

    /// What is wrong after these looks, with what was changed of the GPU meanwhile.
    fn wrong(looks: &[Look], change: impl Fn(&mut Watched)) -> Trouble {
        let mut watched = Watched::begin(0, gpu());
        for look in looks {
            watched.look(look.clone());
        }
        watched.end(Some(gpu()), None);
        change(&mut watched);
        trouble(&[watched], None)
    }

    fn slow(throttle: Throttle) -> Look {
        Look { throttled: vec![throttle], ..Look::default() }
    }

    fn with(pid: u32, whose: Whose) -> Look {
        Look { processes: vec![Company { pid, whose }], ..Look::default() }
    }

    #[test]
    fn a_gpu_at_work_is_well() {
        let busy = Look {
            throttled: vec![Throttle::PowerCap, Throttle::Other("cosmic rays".into())],
            power_watts: Some(72.0),
            ..with(7, Whose::Ours)
        };
        assert_eq!(wrong(&vec![busy; 9], |_| {}), Trouble::default());
        // The clock changes now and then.
        let two = [slow(Throttle::Slowdown), slow(Throttle::Slowdown), Look::default()];
        assert_eq!(wrong(&[two.clone(), two].concat(), |_| {}), Trouble::default());
    }

    #[test]
    fn heat_the_power_supply_and_a_slowdown_that_lasts_are_trouble() {
        for throttle in [Throttle::Thermal, Throttle::HardwareThermal, Throttle::PowerBrake] {
            let trouble = wrong(&[slow(throttle.clone()), Look::default()], |_| {});
            let said = format!("GPU 0 (NVIDIA L4) slowed itself down: {}", throttle.name());
            assert_eq!(trouble, Trouble { passing: vec![said], ..Trouble::default() });
        }
        let trouble = wrong(&vec![slow(Throttle::Slowdown); 3], |_| {});
        assert_eq!(trouble.passing, ["GPU 0 (NVIDIA L4) slowed itself down: hw slowdown"]);
    }

    #[test]
    fn somebody_else_is_told_from_the_case_also_where_it_cannot_be_seen() {
        let trouble = wrong(&[with(9, Whose::Others("python3".into()))], |_| {});
        assert_eq!(trouble.passing, ["GPU 0 (NVIDIA L4) was in use by python3 (process 9) too"]);
        // It came with the case: the case itself, under another number.
        assert_eq!(wrong(&vec![with(9, Whose::Unseen); 9], |_| {}), Trouble::default());
        let was_there = |looks: usize| {
            let before = Gpu { processes: vec![Process { pid: 9, name: None, memory_bytes: None }], ..gpu() };
            let mut watched = Watched::begin(0, before);
            (0..looks).for_each(|_| watched.look(with(9, Whose::Unseen)));
            watched.end(Some(gpu()), None);
            trouble_of(watched)
        };
        assert_eq!(was_there(2), Trouble::default(), "it had just ended");
        let said = "GPU 0 (NVIDIA L4) was in use by process 9 too, which was there before";
        assert_eq!(was_there(9).passing, [said]);
    }

    fn trouble_of(watched: Watched) -> Trouble {
        trouble(&[watched], None)
    }

    #[test]
    fn a_broken_gpu_is_told_from_a_broken_program() {
        let trouble = wrong(&[], |watched| [31, 79, 79].into_iter().for_each(|code| watched.xid(code)));
        assert_eq!(trouble.lasting, ["the driver reported Xid 31 of GPU 0 (NVIDIA L4)"]);
        assert_eq!(
            trouble.fatal,
            ["the driver reported Xid 79 of GPU 0 (NVIDIA L4): it has fallen off the bus"]
        );
        let trouble =
            wrong(&[], |watched| watched.end(Some(Gpu { ecc_uncorrected: Some(2), ..gpu() }), None));
        assert_eq!(trouble.fatal, ["2 errors in the memory of GPU 0 (NVIDIA L4) could not be corrected"]);
        let trouble = wrong(&[], |watched| watched.end(None, None));
        assert_eq!(trouble.fatal, ["GPU 0 (NVIDIA L4) no longer answers"]);
        let remap = RowRemap { correctable: 0, uncorrectable: 1, pending: true, failed: true };
        let trouble = wrong(&[], |watched| watched.end(Some(Gpu { row_remap: Some(remap), ..gpu() }), None));
        assert_eq!(trouble.lasting.len(), 2, "{trouble:?}");
    }

    #[test]
    fn another_gpu_than_asked_for_is_trouble() {
        let need = |text: &str| serde_json::from_str::<GpuNeed>(text).unwrap();
        let said = |text: &str| {
            let mut watched = Watched::begin(0, gpu());
            watched.end(Some(gpu()), None);
            trouble(&[watched], Some(&need(text))).lasting
        };
        assert_eq!(said(r#"{"memory":"24 GiB","arch":["ada"]}"#), [""; 0]);
        assert_eq!(said(r#"{"count":2}"#), ["the driver answers for 1 GPUs; the case asks for 2 GPUs"]);
        assert_eq!(said(r#"{"memory":"40 GiB"}"#).len(), 1);
        assert!(said(r#"{"arch":["hopper"]}"#)[0].contains("is sm_89; the case asks for 1 GPU (hopper)"));
    }

    #[test]
    fn a_range_keeps_its_mean() {
        let range = Range::of(2.0).and(4.0).and(9.0);
        assert_eq!((range.least, range.mean, range.most), (2.0, 5.0, 9.0));
    }
}
