//! The line of a running case in the live view.

use std::time::Instant;

use jiff::Timestamp;

use crate::report::case::{CaseState, Progress, seconds_between};
use crate::report::look::Look;
use crate::report::summary::{fit, fit_end};
use crate::text::clean::one_line;
use crate::text::figures::{self, figure};

const CURVE: usize = 16;
const BAR: usize = 20;

/// What the line shows: the thread that draws it reads this, not the run's state.
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
        let mut line = Self {
            name: one_line(case.id().as_str(), 256),
            phase: None,
            step: 0,
            steps: None,
            share: None,
            loss: None,
            curve: String::new(),
            rate: None,
            left: None,
            elapsed: 0.0,
            seen: Instant::now(),
        };
        line.follow(case, at);
        line.draw_curve(case);
        line
    }

    /// Takes over what has changed, but for the curve: cheap enough for every event.
    pub(super) fn follow(&mut self, case: &CaseState, at: Timestamp) {
        let progress = case.progress.as_ref();
        let phase = progress.and_then(|progress| progress.phase.as_deref());
        if phase.is_some() || self.phase.is_some() {
            self.phase = phase.map(|phase| one_line(phase, 64));
        }
        self.step = progress.map_or(0, |progress| progress.step);
        self.steps = progress.and_then(|progress| progress.steps);
        self.share = progress.and_then(Progress::share);
        self.rate = progress.and_then(Progress::rate);
        self.left = progress.and_then(Progress::seconds_left);
        self.loss = case.loss().map(|loss| loss.last);
        self.elapsed = case.started.map_or(0.0, |started| seconds_between(started, at));
        self.seen = Instant::now();
    }

    /// Draws the curve anew.
    pub(super) fn draw_curve(&mut self, case: &CaseState) {
        self.curve = case.loss().map(|loss| figures::sparkline(loss.points(), CURVE)).unwrap_or_default();
    }

    /// The line, `now`, in at most so many columns: the bar gives way first, then the curve, the rate, the name.
    pub(super) fn set(&self, look: Look, now: Instant, columns: usize) -> String {
        let fitting = (0..=3).rev().map(|room| self.with_room(look, now, &self.name, room));
        let fitting = fitting.filter(|line| console::measure_text_width(line) <= columns);
        fitting.into_iter().next().unwrap_or_else(|| {
            let rest = console::measure_text_width(&self.with_room(look, now, "", 0));
            let name = fit_end(&self.name, columns.saturating_sub(rest).max(12));
            fit(&self.with_room(look, now, &name, 0), columns)
        })
    }

    /// The line with what there is room for: 3 for everything, 0 for the least.
    fn with_room(&self, look: Look, now: Instant, name: &str, room: u8) -> String {
        let since = now.saturating_duration_since(self.seen).as_secs_f64();
        let mut parts = vec![look.bold(name)];
        if let (Some(share), 3..) = (self.share, room) {
            parts.push(bar(look, share));
        }
        if let Some(steps) = self.steps {
            parts.push(format!("{}/{steps}", self.step));
        } else if self.step > 0 {
            parts.push(format!("step {}", self.step));
        }
        parts.extend(self.phase.as_ref().filter(|_| room > 0).map(|phase| look.dim(phase)));
        if let Some(loss) = self.loss {
            let with_curve = room >= 2 && !self.curve.is_empty();
            let curve = if with_curve { format!(" {}", self.curve) } else { String::new() };
            parts.push(format!("loss {}{}", figure(loss), look.curve(&curve)));
        }
        if let (Some(rate), 1..) = (self.rate, room) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_line_gives_up_what_matters_least_to_fit() {
        let records = sample::every_outcome();
        let state = sample::state(&records[..400]);
        let case = state.case(&"overfit-one-image::unet-crowns".into()).unwrap();
        let line = Line::of(case, state.latest.unwrap());
        let look = Look { colour: false, width: None };
        let lines: Vec<String> =
            [140, 110, 90, 75, 60, 40].map(|columns| line.set(look, line.seen, columns)).into();
        insta::assert_snapshot!("line", lines.join("\n"));
        let colourful = Look { colour: true, width: None };
        for columns in 1..160 {
            for look in [look, colourful] {
                let text = line.set(look, line.seen, columns);
                assert!(console::measure_text_width(&text) <= columns, "{columns}: {text}");
            }
        }
    }

    #[test]
    fn time_goes_on_between_events() {
        let records = sample::every_outcome();
        let state = sample::state(&records[..400]);
        let case = state.case(&"overfit-one-image::unet-crowns".into()).unwrap();
        let line = Line::of(case, state.latest.unwrap());
        let later = line.set(Look::PLAIN, line.seen + std::time::Duration::from_secs(3), 140);
        assert!(
            line.set(Look::PLAIN, line.seen, 140).ends_with("8s, 4s left"),
            "{}",
            line.set(Look::PLAIN, line.seen, 140)
        );
        assert!(later.ends_with("11s, 1s left"), "{later}");
    }
}
