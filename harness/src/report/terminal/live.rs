//! The live view: a moving line per running case, above it what is over.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gpu_suites::event::{CaseFinished, Event, Record};
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::line::Line;
use super::log_lines::LogLines;
use super::plain::{environment_failed, environment_progress, environment_ready, essence, tail};
use super::{Verbosity, write_end};
use crate::report::look::{Look, sign};
use crate::report::{Reporter, RunState, receipt, summary};
use crate::text::clean::log_line;
use crate::text::figures;

/// How often the moving lines are drawn anew: the elapsed time counts on where no event comes.
const TICK: Duration = Duration::from_millis(120);
/// A curve is not drawn anew more often than this: a case may report 100,000 times a second.
const REST: Duration = Duration::from_millis(40);

pub struct Live {
    lines: MultiProgress,
    look: Look,
    verbosity: Verbosity,
    running: HashMap<CaseId, Running>,
    status: Option<ProgressBar>,
    log: LogLines,
    end: Box<dyn FnMut() -> Box<dyn io::Write> + Send>,
}

struct Running {
    bar: ProgressBar,
    line: Arc<Mutex<Line>>,
    drawn: Instant,
}

impl Live {
    /// The view on standard output.
    pub fn on_stdout(verbosity: Verbosity) -> Self {
        let colour = console::colors_enabled();
        let look = Look { colour, width: None };
        let target = ProgressDrawTarget::stdout();
        Self::new(target, look, verbosity, Box::new(|| Box::new(crate::text::streams::Stdout)))
    }

    fn new(
        target: ProgressDrawTarget,
        look: Look,
        verbosity: Verbosity,
        end: Box<dyn FnMut() -> Box<dyn io::Write> + Send>,
    ) -> Self {
        let lines = MultiProgress::with_draw_target(target);
        Self { lines, look, verbosity, running: HashMap::new(), status: None, log: LogLines::default(), end }
    }

    fn columns(&self) -> usize {
        columns(self.look)
    }

    fn say(&self, line: &str) {
        let _ = self.lines.println(summary::fit(line, self.columns()));
    }

    /// What goes on while no case runs.
    fn status(&mut self, text: &str) {
        let status = self.status.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg}"));
            let bar = self.lines.add(bar);
            bar.enable_steady_tick(TICK);
            bar
        });
        status.set_message(summary::fit(text, columns(self.look).saturating_sub(2)));
    }

    fn clear_status(&mut self) {
        if let Some(status) = self.status.take() {
            status.finish_and_clear();
        }
    }

    fn started(&mut self, record: &Record, case: &CaseId, state: &RunState) {
        self.clear_status();
        let Some(known) = state.case(case) else { return };
        let line = Arc::new(Mutex::new(Line::of(known, record.at)));
        let (shown, look) = (Arc::clone(&line), self.look);
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let line = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = out.write_str(&line.set(look, Instant::now(), columns(look).saturating_sub(3)));
        };
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {line}").with_key("line", draw));
        let bar = self.lines.add(bar);
        bar.enable_steady_tick(TICK);
        let old = self.running.insert(case.clone(), Running { bar, line, drawn: Instant::now() });
        if let Some(old) = old {
            old.bar.finish_and_clear();
        }
    }

    fn moved(&mut self, record: &Record, case: &CaseId, state: &RunState) {
        let (Some(running), Some(case)) = (self.running.get_mut(case), state.case(case)) else { return };
        let mut line = running.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.follow(case, record.at);
        if running.drawn.elapsed() >= REST {
            running.drawn = Instant::now();
            line.draw_curve(case);
        }
    }

    fn finished(&mut self, event: &CaseFinished, state: &RunState) {
        if let Some(running) = self.running.remove(&event.case) {
            running.bar.finish_and_clear();
            self.lines.remove(&running.bar);
        }
        for line in self.log.finish(&event.case) {
            self.say_log(&line);
        }
        let Some(case) = state.case(&event.case) else { return };
        let mark = self.look.outcome(event.outcome, sign(event.outcome));
        let mut parts = vec![format!("{mark} {}", log_line(case.id().as_str()))];
        if event.attempt > 0 {
            parts.push(self.look.dim(&figures::seconds(event.seconds)));
        }
        parts.push(match event.outcome {
            Outcome::Passed => essence(case),
            _ => event.reason.as_deref().map(log_line).unwrap_or_default(),
        });
        self.say(parts.join("  ").trim_end());
        for note in summary::notes(case, event.outcome, self.look) {
            self.say(&format!("    {note}"));
        }
        if !event.outcome.is_good() && self.verbosity < Verbosity::Verbose {
            for line in tail(case) {
                self.say_log(&line);
            }
        }
    }

    /// Removes every moving line. Each stops its own drawing first: a cleared view would be drawn anew.
    fn take_down(&mut self) {
        self.clear_status();
        for (_, running) in self.running.drain() {
            running.bar.finish_and_clear();
        }
        let _ = self.lines.clear();
    }

    fn say_log(&self, line: &str) {
        if !line.is_empty() {
            self.say(&self.look.dim(&format!("    | {line}")));
        }
    }
}

impl Reporter for Live {
    fn event(&mut self, record: &Record, state: &RunState) {
        let is_verbose = self.verbosity == Verbosity::Verbose;
        match &record.event {
            Event::RunCreated(_) => self.say(&summary::heading(state, self.look)),
            Event::Node(event) if self.running.is_empty() => {
                let state = format!("{:?}", event.state).to_lowercase();
                let text =
                    format!("node {} {state}: {}", log_line(event.node.as_str()), log_line(&event.detail));
                self.status(&text);
            }
            Event::Upload(event) if self.running.is_empty() && event.sent > 0 => {
                let text =
                    format!("sent {} ({})", figures::count(event.sent, "file"), figures::bytes(event.bytes));
                self.status(&text);
            }
            Event::EnvironmentProgress(event) => self.status(&environment_progress(event)),
            Event::EnvironmentReady(event) => self.say(&self.look.dim(&environment_ready(event))),
            Event::EnvironmentFailed(event) => self.say(&self.look.odd(&environment_failed(event))),
            Event::CaseStarted(event) => self.started(record, &event.case, state),
            Event::Progress(event) => self.moved(record, &event.case, state),
            Event::Metrics(event) => self.moved(record, &event.case, state),
            Event::CaseFinished(event) => self.finished(event, state),
            Event::Warning(_) if record.from.is_some() && state.warnings_left_out > 1 => {}
            Event::Warning(_) if record.from.is_some() && state.warnings_left_out == 1 => {
                self.say(&format!("{} there are more, in events.ndjson", self.look.odd("warning:")));
            }
            Event::Warning(event) => {
                let about = event.case.as_ref().map(|case| format!("{case}: ")).unwrap_or_default();
                let message = log_line(&format!("{about}{}", event.message));
                self.say(&format!("{} {message}", self.look.odd("warning:")));
            }
            Event::ConnectionLost(event) => {
                self.say(&format!("{} {}", self.look.odd("connection lost:"), log_line(&event.error)));
                self.status("trying to reach the node again");
            }
            Event::Reattached(event) => {
                self.clear_status();
                let away = figures::seconds(event.seconds);
                self.say(&self.look.odd(&format!("connected again after {away}; nothing was lost")));
            }
            Event::Waiting(event) => self.say(&self.look.odd(&receipt::waiting_line(event))),
            Event::NodeProvisioned(event) => self.say(&self.look.dim(&receipt::provisioned_line(event))),
            Event::TakenOver(event) => self.say(&self.look.dim(&receipt::taken_over_line(event))),
            Event::HandedOn(event) => self.say(&self.look.dim(&receipt::handed_on_line(event))),
            Event::ReclaimNotice(event) => self.say(&self.look.odd(&event.to_string())),
            Event::Interrupted(event) => {
                let by = log_line(&event.by);
                self.say(&self.look.odd(&format!("interrupted by {by}: ending the run")));
            }
            Event::Check(event) if is_verbose => {
                self.say(&self.look.dim(&format!("    {}", summary::finding(&event.finding))));
            }
            Event::Log(event) if is_verbose => {
                for line in self.log.take(event) {
                    self.say_log(&line);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        self.take_down();
        let look = Look { width: Some(self.columns()), ..self.look };
        let _ = write_end(&mut *(self.end)(), state, run_dir, exit, look);
    }
}

impl Drop for Live {
    /// A run that ends without a word (a panic) leaves no half-drawn line behind.
    fn drop(&mut self) {
        self.take_down();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// The width of the terminal now: it may have been resized.
fn columns(look: Look) -> usize {
    look.width.unwrap_or_else(|| usize::from(console::Term::stdout().size().1)).max(40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use indicatif::{InMemoryTerm, TermLike as _};

    /// A terminal in memory, and what was written after the view was taken down.
    fn replay(records: &[Record], verbosity: Verbosity) -> (InMemoryTerm, Live, RunState) {
        let terminal = InMemoryTerm::new(200, 110);
        let end = terminal.clone();
        let mut live = Live::new(
            ProgressDrawTarget::term_like(Box::new(terminal.clone())),
            Look { colour: false, width: Some(110) },
            verbosity,
            Box::new(move || Box::new(Printer(end.clone()))),
        );
        let mut state = RunState::default();
        for record in records {
            state.apply(record);
            live.event(record, &state);
        }
        (terminal, live, state)
    }

    struct Printer(InMemoryTerm);

    impl io::Write for Printer {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.write_str(&String::from_utf8_lossy(text).replace('\n', "\r\n"))?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_view_leaves_behind_what_is_over_and_the_summary() {
        let (terminal, mut live, state) = replay(&sample::every_outcome(), Verbosity::Normal);
        live.finish(&state, Path::new("gpu-harness-runs/20261122"), state.exit());
        insta::assert_snapshot!("live", terminal.contents());
    }

    #[test]
    fn a_running_case_has_one_line_below_all_others() {
        let (terminal, live, _) = replay(&sample::every_outcome()[..400], Verbosity::Normal);
        let wanted = "overfit-one-image::unet-crowns  ";
        let deadline = Instant::now() + Duration::from_secs(10);
        let last = || terminal.contents().lines().last().unwrap_or_default().to_owned();
        // All events came at once: the line shows the last of them nonetheless.
        let is_there = || last().contains(wanted) && last().contains("195/300");
        while !is_there() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(is_there(), "{}", terminal.contents());
        assert_eq!(terminal.contents().matches(wanted).count(), 1, "{}", terminal.contents());
        drop(live);
        assert!(!terminal.contents().contains(wanted), "{}", terminal.contents());
    }

    #[test]
    fn a_hostile_node_writes_nothing_but_text() {
        let (terminal, mut live, state) = replay(&sample::hostile(), Verbosity::Verbose);
        live.finish(&state, Path::new("run"), state.exit());
        let shown = terminal.contents();
        assert!(shown.starts_with("gpu-harness 0.1.0"), "nothing is wiped: {shown}");
        assert!(shown.contains("] ]><script>") || shown.contains("]]><script>"), "{shown}");
    }
}
