//! How much of its time a device had work: what its replicas do beside each other counts once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tch::Device;

use super::seats;

pub(super) struct Occupancy(Vec<(Device, Mutex<State>)>);

#[derive(Default)]
struct State {
    /// Replicas at work now.
    working: usize,
    since: Option<Instant>,
    busy: Duration,
    images: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// e.g. `cuda:1`.
    pub(super) device: String,
    /// Time in which at least one replica was at work.
    pub(super) busy: Duration,
    pub(super) images: u64,
}

impl Occupancy {
    pub(super) fn of(devices: &[Device]) -> Self {
        Self(devices.iter().map(|device| (*device, Mutex::default())).collect())
    }

    /// Counts `work` on `images` images as time of a device.
    pub(super) fn during<T>(&self, device: Device, images: usize, work: impl FnOnce() -> T) -> T {
        let Some((_, state)) = self.0.iter().find(|(known, _)| *known == device) else { return work() };
        let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
        lock().begin(Instant::now());
        let made = work();
        lock().end(Instant::now(), images as u64);
        made
    }

    pub(super) fn loads(&self) -> Vec<Load> {
        let load = |(device, state): &(Device, Mutex<State>)| {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            Load { device: seats::name(*device), busy: state.busy, images: state.images }
        };
        self.0.iter().map(load).collect()
    }
}

impl State {
    fn begin(&mut self, now: Instant) {
        if self.working == 0 {
            self.since = Some(now);
        }
        self.working += 1;
    }

    fn end(&mut self, now: Instant, images: u64) {
        self.working -= 1;
        self.images += images;
        if self.working == 0
            && let Some(since) = self.since.take()
        {
            self.busy += now.duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_beside_each_other_keep_a_device_busy_once() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut state = State::default();
        state.begin(at(0));
        state.begin(at(2));
        state.end(at(3), 8);
        state.end(at(5), 4);
        state.begin(at(7));
        state.end(at(8), 1);
        assert_eq!((state.busy, state.images), (Duration::from_secs(6), 13));
    }

    #[test]
    fn each_device_counts_its_own() {
        let occupancy = Occupancy::of(&[Device::Cuda(0), Device::Cuda(1)]);
        occupancy.during(Device::Cuda(1), 7, || ());
        let images = Vec::from_iter(occupancy.loads().into_iter().map(|load| (load.device, load.images)));
        assert_eq!(images, [("cuda:0".to_owned(), 0), ("cuda:1".to_owned(), 7)]);
    }
}
