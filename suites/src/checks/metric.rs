//! `metric`: metrics against their figures, each with a verdict of its own.

use crate::spec::{MetricCheck, When};

use super::Fold;
use super::ruling::Ruling;
use super::seen::{Sample, Seen};
use super::text::{at, clip, count, short};

#[derive(Debug)]
pub(super) struct Metrics(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    check: MetricCheck,
    came: usize,
    last: Option<Point>,
    best: Option<Point>,
    mean: f64,
    first_wrong: Option<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    step: Option<u64>,
    value: f64,
}

impl Metrics {
    pub(super) fn new(checks: Vec<MetricCheck>) -> Self {
        let metric = |check| Metric { check, came: 0, last: None, best: None, mean: 0.0, first_wrong: None };
        Self(checks.into_iter().map(metric).collect())
    }
}

impl Metric {
    /// How far a value is from holding: 0 where it holds.
    fn distance(&self, value: f64) -> f64 {
        if !value.is_finite() {
            return f64::INFINITY;
        }
        let under = self.check.at_least.map_or(0.0, |least| least - value);
        let over = self.check.at_most.map_or(0.0, |most| value - most);
        under.max(over).max(0.0)
    }

    fn observe(&mut self, point: Point) {
        let distance = self.distance(point.value);
        self.came += 1;
        self.mean += (point.value - self.mean) / self.came as f64;
        self.last = Some(point);
        if self.best.is_none_or(|best| distance < self.distance(best.value)) {
            self.best = Some(point);
        }
        if distance > 0.0 && self.first_wrong.is_none() {
            self.first_wrong = Some(point);
        }
    }

    fn wanted(&self) -> String {
        let bounds = match (self.check.at_least, self.check.at_most) {
            (Some(least), Some(most)) => format!("{} to {}", short(least), short(most)),
            (Some(least), None) => format!("at least {}", short(least)),
            (None, Some(most)) => format!("at most {}", short(most)),
            (None, None) => "any number".into(),
        };
        let when = match self.check.when {
            When::Final => "at the end",
            When::Every => "every time",
            When::Best => "at its best",
            When::Mean => "on average",
        };
        format!("{bounds} {when}")
    }

    /// The value that counts, and how a sentence says it.
    fn counted(&self) -> Option<(Point, String)> {
        let last = self.last?;
        Some(match self.check.when {
            When::Final => (last, format!("{}{}", short(last.value), at(last.step))),
            When::Every => match self.first_wrong {
                Some(wrong) => (wrong, format!("{}{}", short(wrong.value), at(wrong.step))),
                None => (last, format!("{}, all of them in bounds", count(self.came, "value"))),
            },
            When::Best => {
                let best = self.best.unwrap_or(last);
                (best, format!("{}{} at best", short(best.value), at(best.step)))
            }
            When::Mean => {
                let mean = Point { step: None, value: self.mean };
                (mean, format!("{} on average of {}", short(self.mean), count(self.came, "value")))
            }
        })
    }

    fn holds(&self) -> bool {
        self.counted().is_some_and(|(point, _)| self.distance(point.value) <= 0.0)
    }
}

impl Fold for Metrics {
    fn observe(&mut self, sample: &Sample<'_>) {
        for metric in &mut self.0 {
            if let Some(value) = sample.number_of(&metric.check.name) {
                metric.observe(Point { step: sample.step, value });
            }
        }
    }

    fn conclude(&self, seen: &Seen) -> Vec<Ruling> {
        let rule = |metric: &Metric| {
            let name = clip(&metric.check.name, 128);
            let Some((point, observed)) = metric.counted() else {
                return seen.missing(&metric.check.name, &metric.wanted()).about(name);
            };
            Ruling::of(metric.holds(), observed, metric.wanted())
                .about(name)
                .at(point.step)
                .because(self.cause(metric))
        };
        self.0.iter().map(rule).collect()
    }
}

impl Metrics {
    fn cause(&self, metric: &Metric) -> &'static str {
        let name = &metric.check.name;
        let twin_holds = name.strip_prefix("eval/").is_some_and(|what| {
            self.0.iter().any(|other| other.check.name.strip_prefix("train/") == Some(what) && other.holds())
        });
        if twin_holds {
            "good in train mode and bad in eval mode: BatchNorm's running statistics of a small or single batch, or \
             dropout left on"
        } else if name.starts_with("train/") || name.starts_with("eval/") {
            "labels and inputs out of step, too few steps, or a threshold that does not fit the model's output"
        } else {
            "the metric's own definition says what moves it; the curve of the loss says whether training worked"
        }
    }
}
