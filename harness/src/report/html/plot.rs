//! Which curves of a case are drawn, and how: losses together over the steps, rates over time, the rest one by one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::curve::{Curve, OfCase, Point};
use super::budget::Budget;
use super::gpu;
use crate::page::plotted;

/// Values that span more than this are drawn on a logarithmic scale: the end of an overfitted loss would be flat on a linear
/// one.
const LOGARITHMIC: f64 = 30.0;
/// Curves of one case that are neither losses nor rates nor about the GPU.
const OTHERS: usize = 24;
const SERIES: usize = 6;

#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// `step` or `seconds`.
    pub(super) x: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) unit: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) log: bool,
    pub(super) height: u32,
    /// Plots of one name share their cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sync: Option<String>,
    /// Both ends of the x axis, where several plots share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<[f64; 2]>,
    /// Both ends of the y axis, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<[f64; 2]>,
    pub(super) series: Vec<Series>,
}

#[derive(Debug, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Where a plot stands on the page.
#[derive(Debug, Serialize)]
pub(super) struct PlotSlot {
    /// Its name in the page's data.
    pub(super) id: String,
    pub(super) title: String,
    /// What has to be said about it.
    pub(super) note: String,
}

/// The plots of the page, by name.
pub(super) type Plots = BTreeMap<String, Plot>;

#[derive(Debug, Default, Serialize)]
pub(super) struct Drawn {
    pub(super) losses: Option<PlotSlot>,
    pub(super) rates: Vec<PlotSlot>,
    pub(super) gpu: Vec<PlotSlot>,
    pub(super) others: Vec<PlotSlot>,
    /// Curves that are not drawn.
    pub(super) left_out: usize,
}

impl Series {
    /// Of points in any order; of several at one place the last.
    pub(super) fn new(name: &str, mut points: Vec<(f64, f64)>) -> Self {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut series = Self { name: name.to_owned(), x: Vec::new(), y: Vec::new() };
        for (x, y) in points {
            if series.x.last().is_some_and(|last| *last >= x) {
                series.x.pop();
                series.y.pop();
            }
            series.x.push(x);
            series.y.push(plotted(y));
        }
        series
    }

    pub(super) fn most(&self) -> Option<f64> {
        self.y.iter().copied().max_by(f64::total_cmp)
    }

    fn by_step(name: &str, curve: &Curve) -> Self {
        Self::new(name, curve.points().iter().map(|point| (point.step as f64, point.value)).collect())
    }

    fn by_time(name: &str, curve: &Curve) -> Self {
        Self::new(
            name,
            curve.points().iter().map(|point| (thousandths(point.seconds), point.value)).collect(),
        )
    }
}

/// From the beginning of a case to its last value, so that what is drawn over time stands on one axis.
pub(super) fn span(curves: &OfCase) -> Option<[f64; 2]> {
    let ends = curves.curves().filter_map(|(_, curve)| curve.last());
    let end = ends.map(|point| point.seconds).fold(0.0, f64::max);
    Some([0.0, thousandths(end)]).filter(|[from, to]| to > from)
}

/// Milliseconds are enough, and short.
pub(super) fn thousandths(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Draws one after another, as long as there is room.
pub(super) struct Drawing<'a> {
    pub(super) case: usize,
    pub(super) plots: &'a mut Plots,
    pub(super) budget: &'a mut Budget,
    pub(super) drawn: usize,
}

impl Drawing<'_> {
    pub(super) fn add(&mut self, title: &str, note: String, plot: Plot) -> Option<PlotSlot> {
        if plot.series.iter().all(|series| series.x.len() < 2) || !Budget::take(&mut self.budget.plots) {
            return None;
        }
        let id = format!("{}-{}", self.case, self.drawn);
        self.drawn += 1;
        self.plots.insert(id.clone(), plot);
        Some(PlotSlot { id, title: title.to_owned(), note })
    }
}

fn last_part(metric: &str) -> &str {
    metric.rsplit('/').next().unwrap_or(metric)
}

fn is_loss(metric: &str) -> bool {
    last_part(metric).to_lowercase().contains("loss")
}

fn is_rate(metric: &str) -> bool {
    last_part(metric).ends_with("_per_second")
}

/// The plots of a case; `gpu` has what its own record says of the GPU.
pub(super) fn of(curves: Option<&OfCase>, recorded: Vec<gpu::Samples>, drawing: &mut Drawing<'_>) -> Drawn {
    let mut drawn = Drawn::default();
    let Some(curves) = curves else { return drawn };
    let lines = Vec::from_iter(curves.curves().filter(|(_, curve)| curve.count > 1));
    drawn.losses = losses(&lines, drawing);
    let samples = gpu::of(&lines, recorded);
    let span = span(curves);
    let sync = format!("time-{}", drawing.case);
    let over_time = |unit, height, series| Plot {
        x: "seconds",
        unit,
        log: false,
        height,
        sync: Some(sync.clone()),
        span,
        range: None,
        series,
    };
    for Rate { title, series, note } in rates(curves, &lines) {
        drawn.rates.extend(drawing.add(&title, note, over_time("", 200, series)));
    }
    for samples in samples {
        let series = samples.series.into_iter().take(SERIES);
        let series = series.map(|(name, points)| Series::new(&name, points)).collect();
        let range = samples.kind.range();
        let plot = Plot { range, ..over_time(samples.kind.unit(), 120, series) };
        drawn.gpu.extend(drawing.add(samples.kind.title(), String::new(), plot));
    }
    let others = lines.iter().filter(|(name, _)| {
        !is_loss(name) && !is_rate(name) && gpu::Kind::of(name).is_none() && !name.starts_with("now/")
    });
    for (name, curve) in others {
        if drawn.others.len() >= OTHERS {
            drawn.left_out += 1;
            continue;
        }
        let series = Series::by_step(name, curve);
        let log = is_logarithmic(std::slice::from_ref(&series));
        let plot = Plot {
            x: "step",
            unit: "",
            log,
            height: 150,
            sync: None,
            span: None,
            range: None,
            series: vec![series],
        };
        drawn.others.extend(drawing.add(name, note(&[(name, curve)]), plot));
    }
    drawn
}

fn losses(lines: &[(&str, &Curve)], drawing: &mut Drawing<'_>) -> Option<PlotSlot> {
    let mut losses = Vec::from_iter(lines.iter().copied().filter(|(name, _)| is_loss(name)));
    // The loss itself before what it is compared with.
    losses.sort_by_key(|(name, _)| (*name != "loss", *name));
    losses.truncate(SERIES);
    let series = Vec::from_iter(losses.iter().map(|(name, curve)| Series::by_step(name, curve)));
    let log = is_logarithmic(&series);
    let scale = if log { "Logarithmic scale. " } else { "" };
    let note = format!("{scale}{}", note(&losses));
    let plot = Plot { x: "step", unit: "", log, height: 260, sync: None, span: None, range: None, series };
    drawing.add("Loss", note, plot)
}

/// A rate, as it is drawn.
struct Rate {
    title: String,
    series: Vec<Series>,
    note: String,
}

/// A plot for each kind of rate, and one for the steps where a case tells no rate that can be drawn.
fn rates(curves: &OfCase, lines: &[(&str, &Curve)]) -> Vec<Rate> {
    let mut kinds = BTreeMap::<&str, Vec<(&str, &Curve)>>::new();
    for (name, curve) in lines.iter().filter(|(name, _)| is_rate(name)) {
        kinds.entry(last_part(name)).or_default().push((name, curve));
    }
    let mut rates = Vec::from_iter(kinds.into_iter().map(|(kind, curves)| {
        let shown = &curves[..curves.len().min(SERIES)];
        let series = shown.iter().map(|(name, curve)| Series::by_time(name, curve)).collect();
        let title = kind.strip_prefix("window_").unwrap_or(kind).replace("_per_second", " per second");
        Rate { title: title.replace('_', " "), series, note: note(shown) }
    }));
    let steps = curves.pace.rates();
    if rates.is_empty() && steps.len() > 2 {
        let points = steps.into_iter().map(|(seconds, rate)| (thousandths(seconds), rate)).collect();
        let note = "Counted from the lines of its metrics.".to_owned();
        let title = "steps per second".to_owned();
        rates.push(Rate { series: vec![Series::new(&title, points)], title, note });
    }
    rates
}

/// What was left out of the curves, and what in them is no number.
fn note(curves: &[(&str, &Curve)]) -> String {
    let mut said = Vec::new();
    if curves.iter().any(|(_, curve)| curve.is_thinned()) {
        let values = curves.iter().map(|(_, curve)| curve.count).max().unwrap_or(0);
        said.push(format!("Of {values} values the least and the greatest of every few are drawn."));
    }
    for (name, curve) in curves.iter().filter(|(_, curve)| curve.non_finite > 0) {
        let first = curve.first_non_finite.unwrap_or(0);
        said.push(format!("{} of {name} are NaN or infinite, the first at step {first}.", curve.non_finite));
    }
    said.join(" ")
}

fn is_logarithmic(series: &[Series]) -> bool {
    let values = || series.iter().flat_map(|series| series.y.iter().copied());
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    least > 0.0 && most / least > LOGARITHMIC
}

/// Where the values of a series of steps lie in time.
pub(super) fn at_step(points: &[Point], step: u64) -> Option<f64> {
    points.iter().find(|point| point.step == step).map(|point| point.seconds)
}
