//! `rate`: what a measurement of throughput must reach, each figure with a verdict of its own.

use crate::spec::{Dtype, RateCheck};

use super::Fold;
use super::figure::{at_least, at_most};
use super::points::{Point, Points};
use super::ruling::Ruling;
use super::seen::{Sample, Seen};
use super::text::short;
use super::valid_windows::{VALID, WHY};

const RATE: &str = "items_per_second";

#[derive(Debug)]
pub(super) struct Rate {
    checks: Vec<RateCheck>,
    points: Points,
}

impl Rate {
    pub(super) fn new(checks: Vec<RateCheck>) -> Self {
        Self { checks, points: Points::default() }
    }

    fn rulings(&self, check: &RateCheck, seen: &Seen) -> Vec<Ruling> {
        let measured = |dtype: &Dtype| self.points.all().any(|point| point.dtype == *dtype);
        let dtypes = match check.dtype {
            Some(dtype) => vec![dtype],
            None => Vec::from_iter(Dtype::ALL.into_iter().filter(measured)),
        };
        if dtypes.is_empty() {
            return vec![seen.missing(RATE, "a rate of at least one dtype")];
        }
        dtypes
            .into_iter()
            .flat_map(|dtype| self.of_point(check, Point { dtype, batch: check.batch }, seen))
            .collect()
    }

    fn of_point(&self, check: &RateCheck, point: Point, seen: &Seen) -> Vec<Ruling> {
        if let Some(reason) = self.points.left_out(point.dtype) {
            return vec![Ruling::skipped(reason, "a device that has this dtype").about(point.to_string())];
        }
        let not_valid = self.not_valid(point);
        let mut rulings = Vec::new();
        for figure in figures(check) {
            let ruling = match (&not_valid, self.points.number(point, figure.metric)) {
                (Some(why), _) => Ruling::skipped(format!("no valid measurement: {why}"), figure.wanted()),
                (None, Some(value)) => figure.judge(value),
                (None, None) => match self.points.text(point, figure.metric) {
                    Some(why) => Ruling::missing(why, figure.wanted(), figure.remedy),
                    None => seen.missing(&format!("{}{}", point.prefix(), figure.metric), &figure.wanted()),
                },
            };
            rulings.push(ruling.about(format!("{point} {}", figure.name)));
        }
        rulings
    }

    /// Why nothing is known of a point, where its windows were not valid.
    fn not_valid(&self, point: Point) -> Option<&str> {
        if self.points.number(point, RATE).is_some() {
            return None;
        }
        let points = self.points.all().filter(|other| {
            other.dtype == point.dtype
                && other.batch.is_some()
                && (point.batch.is_none() || other.batch == point.batch)
        });
        points
            .filter(|other| self.points.number(*other, VALID).is_some())
            .find_map(|other| self.points.text(other, WHY))
    }
}

impl Fold for Rate {
    fn observe(&mut self, sample: &Sample<'_>) {
        self.points.observe(sample);
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        self.checks.iter().flat_map(|check| self.rulings(check, seen)).collect()
    }
}

/// One figure that is asked for.
struct Figure {
    name: &'static str,
    metric: &'static str,
    bound: Bound,
    unit: Unit,
    cause: &'static str,
    /// What to do where the case says that it could not be measured.
    remedy: &'static str,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

enum Unit {
    ItemsPerSecond,
    Share,
    Bytes,
    Milliseconds,
}

impl Unit {
    fn say(&self, value: f64) -> String {
        match self {
            Self::ItemsPerSecond => format!("{} items/s", short(value)),
            Self::Share => format!("{} %", short((value * 1e4).round() / 1e2)),
            Self::Bytes => format!("{} MiB", short((value / f64::from(1 << 20) * 10.0).round() / 10.0)),
            Self::Milliseconds => format!("{} ms", short(value)),
        }
    }
}

impl Figure {
    fn wanted(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("at least {}", self.unit.say(least)),
            Bound::AtMost(most) => format!("at most {}", self.unit.say(most)),
        }
    }

    fn judge(&self, value: f64) -> Ruling {
        let holds = match self.bound {
            Bound::AtLeast(least) => at_least(value, least),
            Bound::AtMost(most) => at_most(value, most),
        };
        Ruling::of(holds, self.unit.say(value), self.wanted()).because(self.cause)
    }
}

/// Everything that a check asks for.
fn figures(check: &RateCheck) -> Vec<Figure> {
    let longer = "measure for longer: `measure: 10m`";
    let list = [
        check.at_least.map(|least| Figure {
            name: "rate",
            metric: RATE,
            bound: Bound::AtLeast(least),
            unit: Unit::ItemsPerSecond,
            cause: "a change that made the model slower, a slower device, or another layout or dtype than before; the \
                    share of the ceiling tells the model's part from the device's",
            remedy: longer,
        }),
        check.of_ceiling.map(|share| Figure {
            name: "share of the ceiling",
            metric: "share_of_ceiling",
            bound: Bound::AtLeast(share.0),
            unit: Unit::Share,
            cause: "batches too small to fill the device, a layout that its kernels do not like, or time spent between \
                    kernels: see `binding`",
            remedy: "its operations were not counted: use the built-in layers of torch",
        }),
        check.of_base.map(|share| Figure {
            name: "share of the base",
            metric: "share_of_base",
            bound: Bound::AtLeast(share.0),
            unit: Unit::Share,
            cause: "a change that made the model slower: measured in turn with the version before, what the machine does \
                    falls on both",
            remedy: longer,
        }),
        check.spread.map(|share| Figure {
            name: "spread",
            metric: "spread",
            bound: Bound::AtMost(share.0),
            unit: Unit::Share,
            cause: "a machine that is shared with others, or clocks that move; longer windows even out what comes in bursts",
            remedy: longer,
        }),
        check.memory.map(|most| Figure {
            name: "memory",
            metric: "memory_peak_bytes",
            bound: Bound::AtMost(most.0 as f64),
            unit: Unit::Bytes,
            cause: "a larger batch, intermediate results that are kept, or another algorithm of a convolution",
            remedy: "this system does not tell",
        }),
        check.latency_p99.map(|most| Figure {
            name: "latency p99",
            metric: "latency_p99_ms",
            bound: Bound::AtMost(most.0.as_secs_f64() * 1e3),
            unit: Unit::Milliseconds,
            cause: "a larger batch, or a machine that is shared with others",
            remedy: longer,
        }),
    ];
    list.into_iter().flatten().collect()
}
