//! The line of a running case in the live view.

use std::time::Instant;

use jiff::Timestamp;

use crate::clean::one_line;
use crate::report::case::{CaseState, Progress, seconds_between};
use crate::report::figures::{self, figure};
use crate::report::look::Look;
use crate::report::series::Series;
use crate::report::summary::fit;

const CURVE: usize = 16;
const BAR: usize = 20;

/// What the line shows; small, so that it can be replaced at every event.
#[derive(Debug, Clone)]
pub(super) struct Line {
    name: String,
    phase: Option<String>,
    step: u64,
    steps: Option<u64>,
    share: Option<f64>,
    loss: Option<f64>,
    curve: String,
    rate: Option<f64>,
    left: Option<f64>,
    elapsed: f64,
    seen: Instant,
}

impl Line {
    /// The line of a case at the time of its latest event.
    pub(super) fn of(case: &CaseState, at: Timestamp) -> Self {
        let progress = case.progress.as_ref();
        let points = case.loss().map(Series::points);
        Self {
            name: one_line(case.id().as_str(), 256),
            phase: progress.and_then(|progress| progress.phase.as_deref()).map(|phase| one_line(phase, 64)),
            step: progress.map_or(0, |progress| progress.step),
            steps: progress.and_then(|progress| progress.steps),
            share: progress.and_then(Progress::share),
            loss: case.loss().map(|loss| loss.last),
            curve: points.map(|points| figures::sparkline(points, CURVE)).unwrap_or_default(),
            rate: progress.and_then(Progress::rate),
            left: progress.and_then(Progress::seconds_left),
            elapsed: case.started.map_or(0.0, |started| seconds_between(started, at)),
            seen: Instant::now(),
        }
    }

    /// The line, `now`, in at most so many columns: the bar, the curve and the rate give way first.
    pub(super) fn set(&self, look: Look, now: Instant, columns: usize) -> String {
        let full = self.parts(look, now, columns >= 100, columns >= 84, columns >= 72);
        fit(&full, columns)
    }

    fn parts(&self, look: Look, now: Instant, with_bar: bool, with_curve: bool, with_rate: bool) -> String {
        let since = now.saturating_duration_since(self.seen).as_secs_f64();
        let mut parts = vec![look.bold(&self.name)];
        if let (Some(share), true) = (self.share, with_bar) {
            parts.push(bar(look, share));
        }
        if let Some(steps) = self.steps {
            parts.push(format!("{}/{steps}", self.step));
        } else if self.step > 0 {
            parts.push(format!("step {}", self.step));
        }
        parts.extend(self.phase.as_ref().map(|phase| look.dim(phase)));
        if let Some(loss) = self.loss {
            let curve = if with_curve && !self.curve.is_empty() {
                " ".to_owned() + &self.curve
            } else {
                String::new()
            };
            parts.push(format!("loss {}{}", figure(loss), look.curve(&curve)));
        }
        if let (Some(rate), true) = (self.rate, with_rate) {
            parts.push(format!("{}/s", figures::rate(rate)));
        }
        let elapsed = figures::about(self.elapsed + since);
        parts.push(match self.left {
            Some(left) => look.dim(&format!("{elapsed}, {} left", figures::about((left - since).max(0.0)))),
            None => look.dim(&elapsed),
        });
        parts.join("  ")
    }
}

fn bar(look: Look, share: f64) -> String {
    let done = (1..=BAR).take_while(|cell| *cell as f64 <= share * BAR as f64 + 1e-9).count();
    look.curve(&"━".repeat(done)) + &look.dim(&"╌".repeat(BAR - done))
}
