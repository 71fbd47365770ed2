//! The stages of a pipeline: how busy each was, what it could have done alone, and how it went second by second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::case::CaseState;
use super::super::curve::OfCase;
use super::plot::{Drawing, Plot, PlotSlot, Series, at_step, span, thousandths};
use crate::text::figures::figure;

/// In the order in which an image passes them; others come after.
const ORDER: [&str; 4] = ["fetch", "decode", "model", "write"];
/// No pipeline has more stages.
const MOST: usize = 12;

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the template says `stages.stages`")]
pub(super) struct Stages {
    stages: Vec<Stage>,
    /// What is to be said about all of them.
    said: Vec<String>,
    plots: Vec<PlotSlot>,
}

#[derive(Debug, Serialize)]
struct Stage {
    name: String,
    /// Whether nothing is slower.
    binding: bool,
    percent: String,
    /// Of a bar that is 1000 long.
    length: u32,
    threads: String,
    ceiling: String,
    items: String,
}

/// `pipeline.json`, as far as it is about stages.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    flow: Option<Flow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Flow {
    stages: BTreeMap<String, About>,
    timeline: Vec<BTreeMap<String, f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About {
    threads: Option<u64>,
    items: Option<u64>,
}

/// The stages, where the case told of any.
pub(super) fn of(
    case: &CaseState,
    curves: Option<&OfCase>,
    record: Option<&Record>,
    drawing: &mut Drawing<'_>,
) -> Option<Stages> {
    let flow = record.and_then(|record| record.flow.as_ref());
    let utilisation = |name: &str| case.metrics.get(&format!("{name}/utilisation")).map(|series| series.last);
    let named = case.metrics.keys().filter_map(|name| name.strip_suffix("/utilisation"));
    let mut names = Vec::from_iter(named.filter(|name| !name.contains('/') && *name != "gpu"));
    names.sort_by_key(|name| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
    names.truncate(MOST);
    if names.is_empty() {
        return None;
    }
    let binding = case.facts.get("binding");
    let last =
        |metric: &str| case.metrics.get(metric).map(|series| series.last).filter(|value| value.is_finite());
    let stage = |name: &&str| {
        let share = utilisation(name).filter(|share| share.is_finite()).unwrap_or(0.0);
        let about = flow.and_then(|flow| flow.stages.get(*name));
        Stage {
            name: (*name).to_owned(),
            binding: binding.is_some_and(|binding| binding == name),
            percent: format!("{:.0} %", share * 100.0),
            length: super::way::permille(share, 1.0),
            threads: about
                .and_then(|about| about.threads)
                .map(|threads| threads.to_string())
                .unwrap_or_default(),
            ceiling: last(&format!("{name}/ceiling_per_second")).map(figure).unwrap_or_default(),
            items: about.and_then(|about| about.items).map(|items| items.to_string()).unwrap_or_default(),
        }
    };
    let mut said = Vec::new();
    if let (Some(rate), Some(share)) = (last("images_per_second"), last("share_of_ceiling")) {
        let of = binding.map(|name| format!(" of what {name} could do alone")).unwrap_or_default();
        said.push(format!("{} images per second: {:.0} %{of}.", figure(rate), share * 100.0));
    }
    Some(Stages {
        stages: names.iter().map(stage).collect(),
        said,
        plots: curves.map(|curves| plots(&names, curves, flow, drawing)).unwrap_or_default(),
    })
}

fn plots(names: &[&str], curves: &OfCase, flow: Option<&Flow>, drawing: &mut Drawing<'_>) -> Vec<PlotSlot> {
    let sync = Some(format!("time-{}", drawing.case));
    let span = span(curves);
    let plot = |unit, height, range, series| Plot {
        x: "seconds",
        unit,
        log: false,
        height,
        sync: sync.clone(),
        span,
        range,
        series,
    };
    let mut places = Vec::new();
    let told =
        curves.get("now/images_per_second").map(super::super::curve::Curve::points).unwrap_or_default();
    if let Some(flow) = flow {
        let series = names.iter().map(|name| {
            let field = format!("{name}_utilisation");
            let points = (1..).zip(&flow.timeline).filter_map(|(step, point)| {
                // Told by an event of the same second, whose time is the page's.
                let seconds = at_step(&told, step).or(point.get("second").copied())?;
                Some((thousandths(seconds), point.get(&field)? * 100.0))
            });
            Series::new(name, points.collect())
        });
        let series = Vec::from_iter(series);
        // A thread that was busy across two points counts in the second: more than all of it.
        let top = series.iter().filter_map(Series::most).fold(100.0, f64::max);
        let range = Some([0.0, top * 1.04]);
        places.extend(drawing.add("Busy time of each stage", String::new(), plot("%", 200, range, series)));
    }
    let waiting = curves.curves().filter(|(name, _)| name.starts_with("now/") && name.ends_with("_waiting"));
    let waiting = waiting.map(|(name, curve)| {
        let name = name.trim_start_matches("now/").replace('_', " ");
        let points = curve.points();
        Series::new(&name, points.iter().map(|point| (thousandths(point.seconds), point.value)).collect())
    });
    let waiting = Vec::from_iter(waiting);
    places.extend(drawing.add(
        "Images that wait between two stages",
        String::new(),
        plot("", 140, None, waiting),
    ));
    places
}
