//! What the GPU did meanwhile: utilisation, clocks, temperature, power, as far as the events and a case's own record tell.

use std::collections::BTreeMap;

use gpu_suites::gpu_watch::{GpuSeen, Range};
use serde::{Deserialize, Serialize};

use super::super::curve::{Curve, OfCase};
use super::plot::{at_step, thousandths};
use crate::text::figures::figure;

/// Something that is sampled of a GPU, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Utilisation,
    Clock,
    Temperature,
    Power,
}

/// Samples of one kind: a name and its values by time.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) kind: Kind,
    pub(super) series: Vec<(String, Vec<(f64, f64)>)>,
}

impl Kind {
    /// By a metric's name, e.g. `gpu/utilisation_percent`.
    pub(super) fn of(metric: &str) -> Option<Self> {
        let last = metric.rsplit('/').next().unwrap_or(metric);
        let is_gpu = metric.contains("gpu");
        match last {
            "utilisation_percent" | "utilization_percent" => Some(Self::Utilisation),
            "sm_clock_mhz" | "clock_mhz" => Some(Self::Clock),
            "temperature_celsius" => Some(Self::Temperature),
            "power_watts" => Some(Self::Power),
            _ if is_gpu && (last.contains("utilisation") || last.contains("utilization")) => {
                Some(Self::Utilisation)
            }
            _ if is_gpu && last.contains("clock") => Some(Self::Clock),
            _ if is_gpu && last.contains("temperature") => Some(Self::Temperature),
            _ if is_gpu && last.contains("power") => Some(Self::Power),
            _ => None,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Utilisation => "GPU utilisation",
            Self::Clock => "SM clock",
            Self::Temperature => "GPU temperature",
            Self::Power => "GPU power",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Utilisation => "%",
            Self::Clock => "MHz",
            Self::Temperature => "°C",
            Self::Power => "W",
        }
    }

    pub(super) fn range(self) -> Option<[f64; 2]> {
        (self == Self::Utilisation).then_some([0.0, 104.0])
    }
}

/// All samples of a case, by kind: of its metrics, and of its record where the metrics have none.
pub(super) fn of(lines: &[(&str, &Curve)], recorded: Vec<Samples>) -> Vec<Samples> {
    let mut kinds = BTreeMap::<Kind, Samples>::new();
    for (name, curve) in lines {
        let Some(kind) = Kind::of(name) else { continue };
        let points = curve.points().iter().map(|point| (thousandths(point.seconds), point.value)).collect();
        let samples = kinds.entry(kind).or_insert_with(|| Samples { kind, series: Vec::new() });
        samples.series.push(((*name).to_owned(), points));
    }
    for samples in recorded {
        kinds.entry(samples.kind).or_insert(samples);
    }
    kinds.into_values().collect()
}

/// A GPU over the whole time of a case.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    name: String,
    looks: u32,
    /// Title, and the mean with the least and the most.
    figures: Vec<(&'static str, String)>,
}

pub(super) fn whole(seen: &GpuSeen) -> Whole {
    let of = |kind: Kind, range: &Option<Range>| {
        let unit = kind.unit();
        let text = range.map(|range| {
            format!("{} {unit} ({} to {})", figure(range.mean), figure(range.least), figure(range.most))
        });
        (kind.title(), text.unwrap_or_else(|| "not told".to_owned()))
    };
    let energy = seen.energy_joules.map(|joules| ("Energy", format!("{} J", figure(joules))));
    let capped = (seen.power_capped > 0)
        .then(|| ("Held back by its power cap", format!("{} of {} looks", seen.power_capped, seen.looks)));
    let figures = [
        of(Kind::Utilisation, &seen.utilisation_percent),
        of(Kind::Clock, &seen.sm_clock_mhz),
        of(Kind::Temperature, &seen.temperature_celsius),
        of(Kind::Power, &seen.power_watts),
    ];
    Whole {
        name: seen.name.clone().or(seen.uuid.clone()).unwrap_or_else(|| "GPU".to_owned()),
        looks: seen.looks,
        figures: figures.into_iter().chain(energy).chain(capped).collect(),
    }
}

/// `throughput.json`, as far as it is about the GPU.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    dtypes: Vec<OfDtype>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfDtype {
    points: Vec<OfPoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfPoint {
    dtype: String,
    batch: u64,
    windows: Vec<Window>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    broken: Vec<String>,
    gpu: Option<Seen>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    sm_clock_mhz: Option<Range>,
    temperature_celsius: Option<Range>,
    power_watts: Option<Range>,
    utilisation_percent: Option<Range>,
}

impl Record {
    /// The samples of each window, at the time when its rate was told.
    pub(super) fn samples(&self, curves: &OfCase) -> Vec<Samples> {
        let mut kinds = BTreeMap::<Kind, [Vec<(f64, f64)>; 3]>::new();
        for point in self.dtypes.iter().flat_map(|dtype| &dtype.points) {
            let of = |name: &str| {
                let metric = format!("{}/batch-{}/{name}_items_per_second", point.dtype, point.batch);
                curves.get(&metric).map(Curve::points).unwrap_or_default()
            };
            let (valid, invalid) = (of("window"), of("invalid"));
            for (step, window) in (1..).zip(&point.windows) {
                let told = if window.broken.is_empty() { &valid } else { &invalid };
                let (Some(seconds), Some(seen)) = (at_step(told, step), &window.gpu) else { continue };
                let ranges = [
                    (Kind::Utilisation, &seen.utilisation_percent),
                    (Kind::Clock, &seen.sm_clock_mhz),
                    (Kind::Temperature, &seen.temperature_celsius),
                    (Kind::Power, &seen.power_watts),
                ];
                for (kind, range) in ranges {
                    let Some(range) = range else { continue };
                    let series = kinds.entry(kind).or_default();
                    for (points, value) in series.iter_mut().zip([range.mean, range.least, range.most]) {
                        points.push((thousandths(seconds), value));
                    }
                }
            }
        }
        let named = |series: [Vec<(f64, f64)>; 3]| {
            let names = ["mean of the window", "least", "most"].map(str::to_owned);
            names.into_iter().zip(series).collect()
        };
        kinds.into_iter().map(|(kind, series)| Samples { kind, series: named(series) }).collect()
    }
}
