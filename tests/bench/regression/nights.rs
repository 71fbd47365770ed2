//! Simulated nights: a rate of about 100 a second, with noise, outliers and whatever is to be found.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Before so many nights no rule is asked.
pub(super) const LEAST: usize = 10;
const MOST: usize = 60;

/// What the nights are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    /// Standard deviation of a measurement, as a share.
    pub(super) noise: f64,
    /// The share of its variance that all measurements of a night have in common.
    pub(super) shared: f64,
    /// The share of nights whose first measurement is disturbed: 5 to 30 % too low.
    pub(super) outliers: f64,
    /// The share of nights on which every measurement is 5 to 30 % too low, and nobody knows.
    pub(super) sick: f64,
}

impl Default for World {
    fn default() -> Self {
        Self { noise: 0.01, shared: 0.0, outliers: 0.03, sick: 0.0 }
    }
}

/// A history that grows night by night.
pub(super) struct History {
    world: World,
    random: StdRng,
}

/// The measurements that a night has to give: those after the first are taken only if a rule asks for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Night(pub(super) [f64; 3]);

impl Night {
    pub(super) fn first(&self) -> f64 {
        self.0[0]
    }
}

impl History {
    pub(super) fn new(world: World, seed: u64, number: u64) -> Self {
        Self { world, random: StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number)) }
    }

    /// How many nights nothing happens.
    pub(super) fn quiet_nights(&mut self) -> usize {
        self.random.random_range(LEAST..MOST)
    }

    /// The next night, slower by `step` than the first was.
    pub(super) fn night(&mut self, step: f64) -> Night {
        let World { noise, shared, outliers, sick } = self.world;
        let common = self.normal() * shared.sqrt();
        let slow = self.random.random_range(0.05..0.30);
        let (is_outlier, is_sick) = (self.random.random_bool(outliers), self.random.random_bool(sick));
        let level = 100.0 * (1.0 - step) * if is_sick { 1.0 - slow } else { 1.0 };
        let mut measured = [0.0; 3];
        for value in &mut measured {
            *value = level * (1.0 + noise * (common + self.normal() * (1.0 - shared).sqrt()));
        }
        if is_outlier {
            measured[0] *= 1.0 - slow;
        }
        Night(measured)
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.random.random_range(f64::MIN_POSITIVE..1.0).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.random.random::<f64>()).cos()
    }
}
