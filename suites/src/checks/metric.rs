//! `metric`: metrics against their figures, each with a verdict of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violations::Violations;

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{at, clip, count, short};
use super::{CaseFacts, Check, Fold};

/// Metrics reach their figures, each with a verdict of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minItems" = 1))]
pub struct Metric(pub Vec<MetricCheck>);

/// A metric against a figure. At least one of `at-least` and `at-most` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("anyOf" = [{ "required": ["at-least"] }, { "required": ["at-most"] }]))]
pub struct MetricCheck {
    /// The metric's name, e.g. `eval/iou`.
    pub name: String,
    /// The figure that it must reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The figure that it must not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Which of its values counts.
    #[serde(default)]
    pub when: When,
}

/// Which value of a metric counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The last one.
    #[default]
    Final,
    /// Each one.
    Every,
    /// The one that comes closest to holding.
    Best,
    /// The arithmetic mean of all.
    Mean,
}

impl Check for Metric {
    fn rules(&self, _: CaseFacts<'_>, violations: &mut Violations<'_>) {
        if self.0.is_empty() {
            violations.add("", "no metric is listed", "write `- name: eval/iou` and `at-least: 0.99`");
        }
        for (index, check) in self.0.iter().enumerate() {
            of_figures(&mut violations.below(format!("[{index}]")), check);
        }
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        let watched =
            |check| Watched { check, came: 0, last: None, best: None, mean: 0.0, first_wrong: None };
        Box::new(Running(self.0.into_iter().map(watched).collect()))
    }
}

fn of_figures(violations: &mut Violations<'_>, check: &MetricCheck) {
    violations.metric_name(&check.name);
    match (check.at_least, check.at_most) {
        (None, None) => {
            violations.add("", "a metric check without a figure", "add `at-least:` or `at-most:`");
        }
        (Some(least), Some(most)) if least > most => {
            violations.add(
                "at-most",
                format!("no number is at least {least} and at most {most}"),
                "swap them",
            );
        }
        (least, most) => {
            let odd = |figure: &f64| !figure.is_finite();
            violations.finite("", [least, most].into_iter().flatten().find(odd));
        }
    }
}

#[derive(Debug)]
struct Running(Vec<Watched>);

#[derive(Debug)]
struct Watched {
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

impl Watched {
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

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        for metric in &mut self.0 {
            if let Some(value) = sample.number_of(&metric.check.name) {
                metric.observe(Point { step: sample.step, value });
            }
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let rule = |metric: &Watched| {
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

impl Running {
    fn cause(&self, metric: &Watched) -> &'static str {
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
