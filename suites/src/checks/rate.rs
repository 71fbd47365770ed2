//! `rate`: what a measurement of throughput must reach, each figure with a verdict of its own.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dtype::Dtype;
use crate::unit::{ByteSize, Share, Span};
use crate::violations::{Violations, meant};

use super::figure::{at_least, at_most};
use super::observations::{Observations, Sample};
use super::points::{Point, Points};
use super::ruling::Ruling;
use super::text::short;
use super::valid_windows::{VALID, WHY};
use super::{CaseFacts, Check, Fold, Sweep};

/// Rates against their figures. Default of a `throughput` case: a spread of at most 2 % for each dtype.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minItems" = 1))]
pub struct Rate(pub Vec<RateCheck>);

/// What a `throughput` case must reach. At least one figure is given; each has a verdict of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RateCheck {
    /// For this dtype only; default: each that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// For this batch size only; default: the fastest one of each dtype.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<NonZeroU32>,
    /// Items a second, the median over the windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The rate as a share of what the device's own matmul and copy rates allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maximum" = 1))]
    pub of_ceiling: Option<Share>,
    /// The rate as a share of another version's, which the case measured in turn with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_base: Option<Share>,
    /// The largest distance of a window's rate from the median, as a share of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maximum" = 1))]
    pub spread: Option<Share>,
    /// Memory at its peak: of tensors on a GPU, of the process on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// The time of a batch that 99 % do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p99: Option<Span>,
}

impl RateCheck {
    /// Whether it asks for nothing at all.
    fn is_empty(&self) -> bool {
        Self { dtype: None, batch: None, ..*self } == Self::default()
    }
}

impl Check for Rate {
    fn rules(&self, case: CaseFacts<'_>, violations: &mut Violations<'_>) {
        if self.0.is_empty() {
            violations.add("", "no figure is listed", "write e.g. `- at-least: 300`");
        }
        for (index, check) in self.0.iter().enumerate() {
            of_figures(&mut violations.below(format!("[{index}]")), check, case.sweep);
        }
    }

    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { checks: self.0, points: Points::default() })
    }
}

fn of_figures(violations: &mut Violations<'_>, check: &RateCheck, sweep: Option<Sweep<'_>>) {
    if check.is_empty() {
        let hint = "add `at-least:`, `of-ceiling:`, `of-base:`, `spread:`, `memory:` or `latency-p99:`";
        violations.add("", "a rate check without a figure", hint);
    }
    if check.at_least.is_some_and(|figure| !(figure.is_finite() && figure > 0.0)) {
        violations.add("at-least", "a rate that is not above 0", "write items a second");
    }
    violations.share("of-ceiling", check.of_ceiling);
    violations.share("spread", check.spread);
    // A version may well be faster than the other, but not tenfold.
    if let Some(share) = check.of_base.filter(|share| share.0 > 10.0) {
        let hint = meant(share).unwrap_or_else(|| "write e.g. 95%".into());
        violations.add("of-base", format!("{share} of the other version's rate"), hint);
    }
    let Some(Sweep { dtypes, batches }) = sweep else { return };
    if let Some(dtype) = check.dtype.filter(|dtype| !dtypes.contains(dtype)) {
        violations.add(
            "dtype",
            format!("`{dtype}` is not measured"),
            "add it to `dtypes`, or remove it here",
        );
    }
    match (batches, check.batch) {
        (Some(sizes), Some(batch)) if !sizes.contains(&batch) => {
            let hint = "add it to `batch`, or remove it here";
            violations.add("batch", format!("a batch of {batch} is not measured"), hint);
        }
        (None, Some(_)) => {
            let hint = "leave it out: the check is then about the batch size that was found";
            violations.add("batch", "`batch: auto` finds a batch size of its own", hint);
        }
        _ => {}
    }
}

const RATE: &str = "items_per_second";

#[derive(Debug)]
struct Running {
    checks: Vec<RateCheck>,
    points: Points,
}

impl Running {
    fn rulings(&self, check: &RateCheck, seen: &Observations) -> Vec<Ruling> {
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

    fn of_point(&self, check: &RateCheck, point: Point, seen: &Observations) -> Vec<Ruling> {
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

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        self.points.observe(sample);
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
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
