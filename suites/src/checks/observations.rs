//! What a case has written so far, as far as its checks need it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics::Value;

use super::ruling::Ruling;

/// The most points that are kept for one case, over all its series.
pub(crate) const MAX_POINTS: usize = 1_000_000;

/// The most names of metrics that are remembered, for hints.
const MAX_NAMES: usize = 1024;

/// One value of one metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    pub(crate) step: Option<u64>,
    pub(crate) value: &'a Value,
}

impl Sample<'_> {
    /// The value, where this is the named metric and a number.
    pub(crate) fn number_of(&self, name: &str) -> Option<f64> {
        if self.name == name { self.value.number() } else { None }
    }
}

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    series: Vec<(&'static str, Series)>,
    points: usize,
    /// Each metric that came, and whether it came as a number.
    names: BTreeMap<String, bool>,
    /// How long the process ran; known at the end.
    pub(crate) elapsed: Duration,
}

/// The values of one metric. A line without a step counts as the step after the one before it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Series {
    /// Step and value: while they come, in the order in which they come.
    pub(crate) points: Vec<(u64, f64)>,
    pub(crate) first: Option<(u64, f64)>,
    pub(crate) last: Option<(u64, f64)>,
    /// How many came when there was no more room.
    left_out: usize,
}

impl Series {
    /// The value of a step. Only once the series is [settled](Self::settle).
    pub(crate) fn at(&self, step: u64) -> Option<f64> {
        self.points.binary_search_by_key(&step, |point| point.0).ok().map(|at| self.points[at].1)
    }

    /// Puts the points into the order of the steps, in place; of a step that came twice, the last value counts.
    fn settle(&mut self) {
        if !self.points.is_sorted_by_key(|point| point.0) {
            self.points.sort_by_key(|point| point.0);
        }
        self.points.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
    }

    /// What to add to a sentence about a series that did not fit.
    pub(crate) fn cut(&self) -> String {
        if self.left_out > 0 {
            format!(" (judged without the last {} values: more are not kept)", self.left_out)
        } else {
            String::new()
        }
    }

    fn push(&mut self, step: Option<u64>, value: f64, room: bool) {
        let next = self.last.map_or(1, |(step, _)| step.saturating_add(1));
        let point = (step.unwrap_or(next), value);
        self.first.get_or_insert(point);
        self.last = Some(point);
        if room {
            self.points.push(point);
        } else {
            self.left_out += 1;
        }
    }
}

impl Observations {
    pub(crate) fn keep(&mut self, names: &[&'static str]) {
        for name in names {
            if self.series(name).is_none() {
                self.series.push((name, Series::default()));
            }
        }
    }

    pub(crate) fn observe(&mut self, sample: &Sample<'_>) {
        let number = sample.value.number();
        if let Some(as_number) = self.names.get_mut(sample.name) {
            *as_number |= number.is_some();
        } else if self.names.len() < MAX_NAMES {
            self.names.insert(sample.name.to_owned(), number.is_some());
        }
        let Some(number) = number else { return };
        if let Some((_, series)) = self.series.iter_mut().find(|(name, _)| *name == sample.name) {
            let room = self.points < MAX_POINTS;
            series.push(sample.step, number, room);
            self.points += usize::from(room);
        }
    }

    /// Makes the series ready to be judged.
    pub(crate) fn settle(&mut self) {
        for (_, series) in &mut self.series {
            series.settle();
        }
    }

    /// The series of a metric, where it is kept.
    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|(kept, _)| *kept == name).map(|(_, series)| series)
    }

    /// The verdict on a check whose metric never came.
    pub(crate) fn missing(&self, name: &str, wanted: &str) -> Ruling {
        if self.names.contains_key(name) {
            let observed = format!("`{name}` came, but never as a number");
            return Ruling::missing(observed, wanted, "it is written as a text: write it without quotes");
        }
        let nearest = self
            .names
            .keys()
            .map(|seen| (strsim::normalized_damerau_levenshtein(seen, name), seen))
            .chain(self.names.keys().filter(|seen| seen.contains(name)).map(|seen| (1.0, seen)))
            .filter(|(likeness, _)| *likeness > 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let cause = match nearest {
            Some((_, seen)) => format!("it is written under another name: `{}` came", super::text::clip(seen, 64)),
            None if self.names.is_empty() => {
                "the program writes no metric at all: it has to write them to the file named by $GPU_HARNESS_METRICS".into()
            }
            None => "the program does not write it to $GPU_HARNESS_METRICS: docs/metrics.md lists what each check reads".into(),
        };
        Ruling::missing(format!("`{name}` never came"), wanted, cause)
    }
}
