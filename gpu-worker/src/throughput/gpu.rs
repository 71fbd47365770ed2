//! What went on on the GPU while a window was measured: clocks, temperature, power, and who else was there.
//!
//! NVML is asked from a thread of its own, ten times a second; no setting of the GPU is ever changed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use gpu_suites::gpu_watch::Range;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::{Device, EventSet};
use serde::Serialize;

const LIBRARY: &str = "libnvidia-ml.so.1";
const EVERY: Duration = Duration::from_millis(100);
/// Milliseconds to wait for an XID.
const AT_ONCE: u32 = 0;

pub(super) struct Gpu {
    uuid: String,
    /// Open from the first window on: an XID between two windows is not lost.
    xids: Option<EventSet<'static>>,
}

/// What was seen in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Telemetry {
    samples: u32,
    /// Names of what slowed the clocks down, and in how many samples the power cap did.
    slowed_by: BTreeSet<&'static str>,
    power_capped: u32,
    sm_clock_mhz: Option<Range>,
    temperature_celsius: Option<Range>,
    power_watts: Option<Range>,
    utilisation_percent: Option<Range>,
    /// Processes on the GPU that are not this one.
    others: u64,
    xids: Vec<u64>,
    /// Uncorrected memory errors that are new.
    ecc_errors: u64,
    pub(super) energy: Option<f64>,
}

/// A window that is being watched.
pub(super) struct Watching {
    stop: Arc<AtomicBool>,
    sampler: JoinHandle<Telemetry>,
    before: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    millijoules: Option<u64>,
    ecc: Option<u64>,
}

fn nvml() -> Option<&'static Nvml> {
    static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
    NVML.get_or_init(|| Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().ok()).as_ref()
}

impl Gpu {
    /// The GPU of this name, where NVML knows it.
    pub(super) fn find(uuid: &str) -> Option<Self> {
        let device = nvml()?.device_by_uuid(uuid).ok()?;
        let xids = nvml()?.create_event_set().ok();
        let xids = xids.and_then(|set| device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok());
        Some(Self { uuid: uuid.to_owned(), xids })
    }

    pub(super) fn watch(&self) -> Option<Watching> {
        let before = counters(&nvml()?.device_by_uuid(self.uuid.as_str()).ok()?);
        let stop = Arc::new(AtomicBool::new(false));
        let (uuid, stopped) = (self.uuid.clone(), Arc::clone(&stop));
        let sampler = std::thread::spawn(move || {
            let mut seen = Telemetry::default();
            if let Some(device) = nvml().and_then(|nvml| nvml.device_by_uuid(uuid).ok()) {
                while !stopped.load(Ordering::Relaxed) {
                    seen.sample(&device);
                    std::thread::sleep(EVERY);
                }
            }
            seen
        });
        Some(Watching { stop, sampler, before })
    }

    pub(super) fn seen(&self, watching: Watching) -> Telemetry {
        watching.stop.store(true, Ordering::Relaxed);
        let mut seen = watching.sampler.join().unwrap_or_default();
        if let Some(device) = nvml().and_then(|nvml| nvml.device_by_uuid(self.uuid.as_str()).ok()) {
            let after = counters(&device);
            let since = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
            seen.energy = since(watching.before.millijoules, after.millijoules)
                .map(|millijoules| millijoules as f64 / 1e3);
            seen.ecc_errors = since(watching.before.ecc, after.ecc).unwrap_or(0);
        }
        while let Some(Ok(event)) = self.xids.as_ref().map(|set| set.wait(AT_ONCE)) {
            seen.xids.push(match event.event_data {
                Some(XidError::Value(code)) => code,
                Some(XidError::Unknown) | None => 0,
            });
        }
        seen
    }
}

fn counters(device: &Device<'_>) -> Counters {
    Counters {
        millijoules: device.total_energy_consumption().ok(),
        ecc: device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
    }
}

impl Telemetry {
    fn sample(&mut self, device: &Device<'_>) {
        self.samples += 1;
        if let Ok(reasons) = device.current_throttle_reasons() {
            self.slowed(reasons);
        }
        let add = |range: &mut Option<Range>, value: Option<u32>| {
            if let Some(value) = value.map(f64::from) {
                *range = Some(range.map_or(Range::of(value), |range| range.and(value)));
            }
        };
        add(&mut self.sm_clock_mhz, device.clock_info(Clock::SM).ok());
        add(&mut self.temperature_celsius, device.temperature(TemperatureSensor::Gpu).ok());
        add(&mut self.power_watts, device.power_usage().ok().map(|milliwatts| milliwatts / 1000));
        add(&mut self.utilisation_percent, device.utilization_rates().ok().map(|rates| rates.gpu));
        if let Ok(processes) = device.running_compute_processes() {
            let pids = Vec::from_iter(processes.iter().map(|process| process.pid));
            self.others = self.others.max(foreign(&pids, std::process::id()));
        }
    }

    fn slowed(&mut self, reasons: ThrottleReasons) {
        // The power cap is how a GPU at work runs; the others mean that it is not well.
        let unwell = [
            (ThrottleReasons::HW_SLOWDOWN, "hardware slowdown"),
            (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat (driver)"),
            (ThrottleReasons::HW_THERMAL_SLOWDOWN, "heat (hardware)"),
            (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power brake"),
        ];
        self.slowed_by
            .extend(unwell.into_iter().filter(|(bit, _)| reasons.contains(*bit)).map(|(_, name)| name));
        self.power_capped += u32::from(reasons.contains(ThrottleReasons::SW_POWER_CAP));
    }

    /// The rules that do not hold.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.slowed_by.is_empty() {
            let names = Vec::from_iter(self.slowed_by.iter().copied());
            broken.push(format!("the GPU slowed itself down: {}", names.join(", ")));
        }
        if self.others > 0 {
            broken.push(format!("{} other process(es) used the GPU", self.others));
        }
        if !self.xids.is_empty() {
            let codes = Vec::from_iter(self.xids.iter().map(u64::to_string));
            broken.push(format!("the driver reported XID {}", codes.join(", ")));
        }
        if self.ecc_errors > 0 {
            broken.push(format!("{} uncorrected memory error(s)", self.ecc_errors));
        }
        broken
    }
}

/// Processes that are not this one. In a container the driver may name this one by another number: one is then it.
fn foreign(pids: &[u32], own: u32) -> u64 {
    let others = pids.iter().filter(|pid| **pid != own).count();
    let unnamed = usize::from(others == pids.len() && others > 0);
    (others - unnamed) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cap_is_normal_and_heat_is_not() {
        let mut seen = Telemetry::default();
        seen.slowed(ThrottleReasons::SW_POWER_CAP | ThrottleReasons::GPU_IDLE);
        assert!(seen.broken().is_empty() && seen.power_capped == 1);
        seen.slowed(ThrottleReasons::SW_THERMAL_SLOWDOWN);
        assert_eq!(seen.broken(), ["the GPU slowed itself down: heat (driver)"]);
    }

    #[test]
    fn each_trouble_makes_the_window_invalid() {
        let quiet = Telemetry::default();
        assert!(quiet.broken().is_empty());
        assert!(Telemetry { others: 1, ..quiet.clone() }.broken()[0].contains("1 other process"));
        assert!(Telemetry { xids: vec![79], ..quiet.clone() }.broken()[0].contains("XID 79"));
        assert!(Telemetry { ecc_errors: 2, ..quiet }.broken()[0].contains("2 uncorrected"));
    }

    #[test]
    fn this_process_is_not_foreign_even_under_another_number() {
        for (pids, others) in [(&[][..], 0), (&[7], 0), (&[7, 9], 1), (&[9], 0), (&[8, 9], 1)] {
            assert_eq!(foreign(pids, 7), others, "{pids:?}");
        }
    }
}
