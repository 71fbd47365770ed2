//! What a measurement of throughput wrote, by dtype and batch size.
//!
//! The metric `fp32/batch-8/spread` is a figure of one point; `fp32/spread` is that of the dtype's fastest point. The
//! names are docs/metrics.md's.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::dtype::Dtype;
use crate::metrics::Value;

use super::observations::Sample;

/// The most figures that are kept: a few for each point, and no suite has hundreds of points.
const MAX_FIGURES: usize = 4096;
/// The longest text of a figure.
const MAX_TEXT: usize = 500;

/// Something that was measured: a dtype's batch size, or its fastest one where none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) dtype: Dtype,
    pub(super) batch: Option<NonZeroU32>,
}

impl Point {
    /// The prefix of its metrics.
    pub(super) fn prefix(self) -> String {
        match self.batch {
            Some(batch) => format!("{}/batch-{batch}/", self.dtype),
            None => format!("{}/", self.dtype),
        }
    }

    fn of(name: &str) -> Option<(Self, &str)> {
        let (dtype, rest) = name.split_once('/')?;
        let dtype = Dtype::ALL.into_iter().find(|known| known.as_str() == dtype)?;
        match rest.split_once('/') {
            Some((batch, figure)) => {
                let batch = batch.strip_prefix("batch-")?.parse().ok()?;
                Some((Self { dtype, batch: Some(batch) }, figure))
            }
            None => Some((Self { dtype, batch: None }, rest)),
        }
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.batch {
            Some(batch) => write!(f, "{} batch {batch}", self.dtype),
            None => write!(f, "{}", self.dtype),
        }
    }
}

/// The last value of each figure of each point.
#[derive(Debug, Default)]
pub(super) struct Points {
    figures: BTreeMap<Point, BTreeMap<String, Value>>,
    kept: usize,
}

impl Points {
    pub(super) fn observe(&mut self, sample: &Sample<'_>) {
        let Some((point, figure)) = Point::of(sample.name) else { return };
        let figures = self.figures.entry(point).or_default();
        if !figures.contains_key(figure) {
            if self.kept == MAX_FIGURES {
                return;
            }
            self.kept += 1;
        }
        let value = match sample.value {
            Value::Text(text) => Value::Text(super::text::clip(text, MAX_TEXT)),
            other => other.clone(),
        };
        figures.insert(figure.to_owned(), value);
    }

    /// Every point of which anything was written.
    pub(super) fn all(&self) -> impl Iterator<Item = Point> {
        self.figures.keys().copied()
    }

    /// A number that was written of a point.
    pub(super) fn number(&self, point: Point, figure: &str) -> Option<f64> {
        self.figures.get(&point)?.get(figure)?.number()
    }

    /// A text that was written of a point.
    pub(super) fn text(&self, point: Point, figure: &str) -> Option<&str> {
        match self.figures.get(&point)?.get(figure)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a flag was written of a point.
    pub(super) fn is(&self, point: Point, figure: &str) -> bool {
        matches!(self.figures.get(&point).and_then(|figures| figures.get(figure)), Some(Value::Flag(true)))
    }

    /// Why the dtype was not measured, where the case says so.
    pub(super) fn left_out(&self, dtype: Dtype) -> Option<&str> {
        self.text(Point { dtype, batch: None }, "left_out")
    }
}
