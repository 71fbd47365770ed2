//! Shows how far a long piece of work is: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a plain line is printed.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The progress of one piece of work whose size in bytes may be known.
pub(crate) struct Progress {
    label: String,
    total: Option<u64>,
    done: u64,
    /// Bytes that were there when this run began; they say nothing about the rate.
    skipped: u64,
    started: Instant,
    shown: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work on `total` bytes, of which `skipped` are done already.
    pub(crate) fn new(label: &str, total: Option<u64>, skipped: u64) -> Self {
        let bar = (std::io::stderr().is_terminal() && !super::in_ci()).then(|| bar(label, total, skipped));
        let now = Instant::now();
        let label = label.to_owned();
        Self { label, total, done: skipped, skipped, started: now, shown: None, bar }
    }

    /// `bytes` more are done.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        } else if self.shown.unwrap_or(self.started).elapsed() >= PLAIN_EVERY {
            self.shown = Some(Instant::now());
            eprintln!("{}", self.line());
        }
    }

    /// The work is over, well or not: the bar goes, the last plain line stays.
    pub(crate) fn finish(self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => eprintln!("{}", self.line()),
        }
    }

    fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = (self.done - self.skipped) as f64 / seconds;
        let (label, done, rate_shown) = (&self.label, mebibytes(self.done as f64), mebibytes(rate));
        let Some(total) = self.total else {
            return format!("{label}: {done}, {rate_shown}/s");
        };
        let whole = mebibytes(total as f64);
        let left = total.saturating_sub(self.done) as f64 / rate.max(1.0);
        format!("{label}: {done} of {whole}, {rate_shown}/s, {left:.0} s left")
    }
}

fn bar(label: &str, total: Option<u64>, skipped: u64) -> ProgressBar {
    let template = if total.is_some() {
        "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
    } else {
        "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}"
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    // A template that does not parse would only cost the bar its looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(label.to_owned());
    bar.set_position(skipped);
    bar.reset_eta();
    bar
}

/// `1.5 MiB`.
fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
}
