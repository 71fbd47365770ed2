//! Watches the GPUs while a case runs: NVML is asked from a thread of its own, and no setting is ever changed.
//!
//! A driver whose GPU has died may never answer. Nothing here waits for it for longer than its limit, and after the first
//! such silence it is not asked again.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use gpu_suites::facts::Gpu;
use gpu_suites::gpu_watch::{Company, GpuSeen, Look, Trouble, Watched, Whose, trouble};
use gpu_suites::process::Stat;
use gpu_suites::spec::{Case, Device as Wanted};
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::{Device, EventSet, Nvml};

use crate::selfcheck::gpu;

/// How often the GPUs are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// A driver that nothing has used yet takes seconds for each GPU to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Milliseconds to wait for an Xid.
const AT_ONCE: u32 = 0;
/// Generations that are looked through for the process that a process comes from.
const ANCESTORS: usize = 64;
/// Which GPUs CUDA shows to a program.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The driver did not answer once.
static SILENT: AtomicBool = AtomicBool::new(false);

pub(super) struct GpuWatch {
    stop: Sender<()>,
    seen: Receiver<Vec<Watched>>,
}

#[derive(Debug)]
pub(super) enum GpuLookup {
    Gpus(Vec<Gpu>),
    /// The driver does not answer.
    Silent,
    /// It is to use none.
    NotAsked,
}

/// What the watch came to.
pub(super) struct Outcome {
    pub(super) gpus: Vec<GpuSeen>,
    pub(super) trouble: Trouble,
}

impl GpuWatch {
    /// Begins to watch the GPUs that the case may use, and tells which these are; no watch where there is no driver, or none
    /// is meant.
    pub(super) fn begin(case: &Case) -> (Option<Self>, GpuLookup) {
        let visible = Visible::of(case);
        if case.device == Wanted::Cpu || visible == Visible::None {
            return (None, GpuLookup::NotAsked);
        }
        let (stop, stopped) = channel();
        let (ended, seen) = channel();
        if SILENT.load(Ordering::Relaxed) {
            return (Some(Self { stop, seen }), GpuLookup::Silent);
        }
        let (began, begun) = channel();
        let thread = std::thread::Builder::new().name("gpus".into());
        let started = thread.spawn(move || {
            let devices = devices(&visible);
            let watching = Watching::begin(&devices);
            let _ = began.send(Vec::from_iter(devices.iter().map(|(_, device)| gpu::device(device))));
            // Where nobody waits for it any more, it came too late.
            let _ = ended.send(watching.follow(&stopped));
        });
        if started.is_err() {
            return (None, GpuLookup::Silent);
        }
        match begun.recv_timeout(BEGINS_WITHIN) {
            Ok(gpus) if gpus.is_empty() => (None, GpuLookup::Gpus(gpus)),
            Ok(gpus) => (Some(Self { stop, seen }), GpuLookup::Gpus(gpus)),
            Err(RecvTimeoutError::Timeout) => {
                SILENT.store(true, Ordering::Relaxed);
                (Some(Self { stop, seen }), GpuLookup::Silent)
            }
            Err(RecvTimeoutError::Disconnected) => (None, GpuLookup::Silent),
        }
    }

    pub(super) fn end(self, case: &Case) -> Outcome {
        drop(self.stop);
        let wait = if SILENT.load(Ordering::Relaxed) { Duration::ZERO } else { ANSWERS_WITHIN };
        let Ok(watched) = self.seen.recv_timeout(wait) else {
            SILENT.store(true, Ordering::Relaxed);
            let silent = "the driver does not answer: whether the GPUs were well is not known".to_owned();
            let trouble = Trouble { lasting: vec![silent], ..Trouble::default() };
            return Outcome { gpus: Vec::new(), trouble };
        };
        let mut trouble = trouble(&watched, case.gpu.as_ref());
        if case.work.throughput().is_some() {
            // The worker holds each of its windows to these, and measures again what breaks them.
            trouble.passing.clear();
        }
        Outcome { gpus: watched.iter().map(|gpu| gpu.seen().clone()).collect(), trouble }
    }
}

/// The driver's library, for as long as the process lives: to begin anew for each case would take seconds.
fn nvml() -> Option<&'static Nvml> {
    static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
    NVML.get_or_init(|| Nvml::builder().lib_path(OsStr::new(gpu::LIBRARY)).init().ok()).as_ref()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Visible {
    All,
    None,
    /// By number or UUID.
    These(Vec<String>),
}

impl Visible {
    fn of(case: &Case) -> Self {
        let own = case.work.command().and_then(|command| command.env.get(VISIBLE));
        match own.map(OsString::from).or_else(|| std::env::var_os(VISIBLE)) {
            None => Self::All,
            Some(text) => Self::read(&text.to_string_lossy()),
        }
    }

    /// As CUDA reads it: what follows a wrong entry is not seen.
    fn read(text: &str) -> Self {
        let is_one = |word: &&str| word.parse::<u32>().is_ok() || word.starts_with("GPU-");
        // A part of a GPU has a name of its own, and shares its health with the others.
        if text.split(',').any(|word| word.trim().starts_with("MIG-")) {
            return Self::All;
        }
        let words = Vec::from_iter(text.split(',').map(str::trim).take_while(is_one).map(str::to_owned));
        if words.is_empty() { Self::None } else { Self::These(words) }
    }

    fn has(&self, index: u32, uuid: Option<&str>) -> bool {
        let is_named = |word: &String| {
            word.parse() == Ok(index)
                || (word.starts_with("GPU-") && uuid.is_some_and(|uuid| uuid.starts_with(word.as_str())))
        };
        match self {
            Self::All => true,
            Self::None => false,
            Self::These(words) => words.iter().any(is_named),
        }
    }
}

fn devices(visible: &Visible) -> Vec<(u32, Device<'static>)> {
    let Some(nvml) = nvml() else { return Vec::new() };
    let count = nvml.device_count().unwrap_or(0);
    let all = (0..count).filter_map(|index| Some((index, nvml.device_by_index(index).ok()?)));
    all.filter(|(index, device)| visible.has(*index, device.uuid().ok().as_deref())).collect()
}

struct Watching<'d> {
    gpus: Vec<(&'d Device<'static>, Watched, Option<u64>)>,
    xids: Option<EventSet<'static>>,
}

impl<'d> Watching<'d> {
    fn begin(devices: &'d [(u32, Device<'static>)]) -> Self {
        let mut xids = nvml().and_then(|nvml| nvml.create_event_set().ok());
        for (_, device) in devices {
            // A set that a GPU cannot be added to is gone.
            xids = xids.and_then(|set| device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok());
        }
        let gpus = devices.iter().map(|(index, device)| {
            let watched = Watched::begin(*index as usize, gpu::device(device));
            (device, watched, device.total_energy_consumption().ok())
        });
        Self { gpus: gpus.collect(), xids }
    }

    /// Looks until the other end of `stopped` is gone.
    fn follow(mut self, stopped: &Receiver<()>) -> Vec<Watched> {
        let mut next = Instant::now();
        loop {
            for (device, watched, _) in &mut self.gpus {
                watched.look(look(device));
            }
            self.take_xids();
            next += EVERY;
            let wait = next.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        for (device, watched, before) in &mut self.gpus {
            // One that has died answers nothing, not even who it is.
            let after: Option<Gpu> = device.uuid().ok().map(|_| gpu::device(device));
            let millijoules = device.total_energy_consumption().ok().zip(*before);
            let energy = millijoules.map(|(after, before)| after.saturating_sub(before) as f64 / 1e3);
            watched.end(after, energy);
        }
        self.take_xids();
        self.gpus.into_iter().map(|(_, watched, _)| watched).collect()
    }

    fn take_xids(&mut self) {
        while let Some(Ok(event)) = self.xids.as_ref().map(|set| set.wait(AT_ONCE)) {
            let code = match event.event_data {
                Some(XidError::Value(code)) => code,
                Some(XidError::Unknown) | None => 0,
            };
            let uuid = event.device.uuid().ok();
            let place = self.gpus.iter().position(|(_, gpu, _)| uuid.is_some() && gpu.seen().uuid == uuid);
            if let Some((_, watched, _)) = self.gpus.get_mut(place.unwrap_or(0)) {
                watched.xid(code);
            }
        }
    }
}

fn look(device: &Device<'_>) -> Look {
    let processes = device.running_compute_processes().unwrap_or_default();
    Look {
        throttled: device.current_throttle_reasons().map(gpu::reasons).unwrap_or_default(),
        sm_clock_mhz: device.clock_info(Clock::SM).ok().map(f64::from),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        power_watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
        utilisation_percent: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu)),
        processes: processes
            .iter()
            .map(|process| Company { pid: process.pid, whose: whose(process.pid) })
            .collect(),
    }
}

/// Whatever a case starts descends from this process, which takes in orphans too.
fn whose(pid: u32) -> Whose {
    let own = std::process::id().cast_signed();
    let Ok(Stat { program, mut parent, .. }) = Stat::of(pid) else { return Whose::Unseen };
    for _ in 0..ANCESTORS {
        if parent == own {
            return Whose::Ours;
        }
        match Stat::of(parent) {
            Ok(next) => parent = next.parent,
            Err(_) => break,
        }
    }
    Whose::Others(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpus_that_cuda_shows_are_the_ones_that_are_watched() {
        let seen = |text: &str| {
            let visible = Visible::read(text);
            Vec::from_iter((0..3).filter(|index| visible.has(*index, Some(&format!("GPU-{index}abc")))))
        };
        assert_eq!(seen("1"), [1]);
        assert_eq!(seen("2, 0"), [0, 2]);
        assert_eq!(seen("GPU-1"), [1]);
        assert_eq!(seen("0,-1,2"), [0], "what follows a wrong one is not seen");
        assert_eq!(seen("MIG-1234"), [0, 1, 2]);
        for none in ["", "-1", "NoDevFiles"] {
            assert_eq!(Visible::read(none), Visible::None, "{none}");
        }
    }

    #[test]
    fn a_child_is_ours_and_a_parent_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(whose(child.id()), Whose::Ours);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(whose(child.id()), Whose::Unseen);
        let above = Stat::of(std::process::id()).unwrap().parent;
        assert!(matches!(whose(above.cast_unsigned()), Whose::Others(_)));
    }
}
