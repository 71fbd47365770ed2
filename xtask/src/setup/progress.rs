//! Shows how far a long piece of work is: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use gpu_wheels::fetch;
use indicatif::{ProgressBar, ProgressStyle};

/// How often a plain line is printed.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The progress of one download, once its size is known.
pub(crate) struct Progress {
    label: String,
    now: fetch::Progress,
    started: Instant,
    shown: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows the progress that `work` tells of.
    pub(crate) fn of<T>(label: &str, work: impl FnOnce(&mut dyn FnMut(fetch::Progress)) -> T) -> T {
        let now = fetch::Progress::default();
        let mut this = Self { label: label.to_owned(), now, started: Instant::now(), shown: None, bar: None };
        let done = work(&mut |now| this.tell(now));
        this.finish();
        done
    }

    fn tell(&mut self, now: fetch::Progress) {
        self.now = now;
        if self.bar.is_none() && std::io::stderr().is_terminal() && !super::in_ci() {
            self.bar = Some(bar(&self.label, now));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(now.bytes);
        } else if self.shown.unwrap_or(self.started).elapsed() >= PLAIN_EVERY {
            self.shown = Some(Instant::now());
            eprintln!("{}", self.line());
        }
    }

    /// The work is over, well or not: the bar goes, the last plain line stays.
    fn finish(self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None if self.now.total > 0 => eprintln!("{}", self.line()),
            None => {}
        }
    }

    fn line(&self) -> String {
        let fetch::Progress { bytes, total, found } = self.now;
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = (bytes - found.min(bytes)) as f64 / seconds;
        let [done, whole, shown] = [bytes as f64, total as f64, rate].map(mebibytes);
        let left = total.saturating_sub(bytes) as f64 / rate.max(1.0);
        format!("{}: {done} of {whole}, {shown}/s, {left:.0} s left", self.label)
    }
}

fn bar(label: &str, now: fetch::Progress) -> ProgressBar {
    let template =
        "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(now.total);
    // A template that does not parse would only cost the bar its looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(label.to_owned());
    bar.set_position(now.found);
    bar.reset_eta();
    bar
}

/// `1.5 MiB`.
fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
}
