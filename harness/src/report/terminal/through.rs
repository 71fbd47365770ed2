//! What a command on a node prints, as if it ran here: its output as it comes, and our own words beside it.
//!
//! Who reads it with a program gets it byte for byte; on a person's screen it is cleaned of what steers a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use gpu_suites::event::{Event, Log, NodeState, Record, Stream};
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use tokio::sync::mpsc::UnboundedSender;

use super::log_lines::LogLines;
use super::plain::{environment_failed, environment_ready};
use super::screen::Screen;
use crate::here::Env;
use crate::report::case::Exited;
use crate::report::look::Look;
use crate::report::stop_commands::StopCommands;
use crate::report::{Reporter, RunState, receipt, summary};
use crate::text::clean::log_line;
use crate::text::figures;
use crate::text::streams::UNHEARD;
use crate::text::streams::{Stdout, tell};

/// Prints the command's standard output to ours, its standard error and our own words to standard error.
#[derive(Debug)]
pub struct Through {
    /// Only what is wrong, besides the command's own output.
    quiet: bool,
    warnings: u64,
    /// Standard output and standard error, where a person sees them.
    screens: [Option<Screen>; 2],
    /// On GitHub, what keeps it from taking what is printed for its own commands.
    stop_commands: Option<StopCommands>,
    /// Of a test, which may be killed before it could say that its output is over: its lines, harmless each by itself.
    lines: Option<LogLines>,
    is_hushed: bool,
    is_unheard: bool,
    has_lost: bool,
    /// Is told when nobody reads any more.
    stop: Option<UnboundedSender<&'static str>>,
}

/// What is shown of a node that warns for ever.
const MOST_WARNINGS: u64 = 200;
const TOO_MANY_WARNINGS: u64 = MOST_WARNINGS + 1;

impl Through {
    /// With our own words about the node, or without.
    pub fn new(quiet: bool, env: &Env) -> Self {
        let screen = |is_terminal: bool| is_terminal.then(Screen::default);
        let screens = [screen(io::stdout().is_terminal()), screen(io::stderr().is_terminal())];
        let stop_commands = env.get("GITHUB_ACTIONS").map(|_| StopCommands::new());
        let (is_hushed, is_unheard, has_lost) = (false, false, false);
        Self {
            quiet,
            warnings: 0,
            screens,
            stop_commands,
            lines: None,
            is_hushed,
            is_unheard,
            has_lost,
            stop: None,
        }
    }

    /// For one of many tests.
    pub fn of_test(env: &Env) -> Self {
        let this = Self::new(true, env);
        let lines = this.stop_commands.as_ref().map(|_| LogLines::default());
        Self { stop_commands: None, lines, ..this }
    }

    /// The same; `stop` is told, once, when nobody reads the output any more.
    #[must_use]
    pub fn or_stop(self, stop: UnboundedSender<&'static str>) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Whether nobody reads the output any more.
    pub fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// Prints what there is to print of an event.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Log(event) => self.print(event),
            Event::LogTruncated(event) => tell(&format!(
                "gpu-harness: warning: {} of its output are beyond what is passed on, and lost; write them to a file and bring that",
                figures::bytes(event.dropped)
            )),
            Event::CaseFinished(event) => {
                let rest = self.lines.as_mut().map(|lines| lines.finish(&event.case)).unwrap_or_default();
                self.write_lines(Stream::Stdout, &rest);
                self.end_lines();
            }
            Event::Node(event) if event.state == NodeState::Lost => {
                tell(&format!("gpu-harness: node lost: {}", log_line(&event.detail)));
            }
            Event::Node(event) => {
                let state = format!("{:?}", event.state).to_lowercase();
                self.note(&format!(
                    "node {} {state}: {}",
                    log_line(event.node.as_str()),
                    log_line(&event.detail)
                ));
            }
            Event::Waiting(event) => self.note(&receipt::waiting_line(event)),
            Event::NodeProvisioned(event) => self.note(&receipt::provisioned_line(event)),
            Event::Warning(event) => {
                self.warnings += 1;
                match self.warnings {
                    0..=MOST_WARNINGS => tell(&format!("gpu-harness: warning: {}", log_line(&event.message))),
                    TOO_MANY_WARNINGS => tell("gpu-harness: warning: there are more, in events.ndjson"),
                    _ => {}
                }
            }
            Event::ConnectionLost(event) => {
                self.note(&format!("connection lost: {}", log_line(&event.error)));
            }
            Event::Reattached(_) => self.note("connected again; nothing was lost"),
            Event::EnvironmentReady(event) => self.note(&environment_ready(event)),
            Event::EnvironmentFailed(event) => self.note(&environment_failed(event)),
            Event::ReclaimNotice(event) => self.note(&event.to_string()),
            _ => {}
        }
    }

    /// After the last of the output.
    pub fn end(&mut self) {
        self.end_lines();
        if let (true, Some(stop_commands)) = (std::mem::take(&mut self.is_hushed), &self.stop_commands) {
            tell(&stop_commands.end());
        }
    }

    fn print(&mut self, event: &Log) {
        if let (false, Some(stop_commands)) =
            (std::mem::replace(&mut self.is_hushed, true), &self.stop_commands)
        {
            tell(&stop_commands.begin());
        }
        if let Some(lines) = &mut self.lines {
            let lines = lines.take(event);
            return self.write_lines(event.stream, &lines);
        }
        let screen = &mut self.screens[usize::from(event.stream == Stream::Stderr)];
        let shown = screen.as_mut().map(|screen| screen.take(&event.text));
        self.write(event.stream, shown.as_deref().map_or(event.bytes(), str::as_bytes));
    }

    fn end_lines(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let screen = &mut self.screens[usize::from(stream == Stream::Stderr)];
            let rest = screen.as_mut().map(Screen::finish).unwrap_or_default();
            self.write(stream, rest.as_bytes());
        }
    }

    fn write_lines(&mut self, stream: Stream, lines: &[String]) {
        let all = lines.iter().fold(String::new(), |all, line| all + line + "\n");
        self.write(stream, all.as_bytes());
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.is_unheard || bytes.is_empty() {
            return;
        }
        let written = match stream {
            Stream::Stdout => Stdout.write_all(bytes).and_then(|()| Stdout.flush()),
            Stream::Stderr => io::stderr().write_all(bytes),
        };
        let Err(error) = written else { return };
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.is_unheard = true;
            if let Some(stop) = &self.stop {
                let _ = stop.send(UNHEARD);
            }
        } else if !std::mem::replace(&mut self.has_lost, true) {
            tell(&format!("gpu-harness: failed to write the command's output: {error}"));
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            tell(&format!("gpu-harness: {text}"));
        }
    }
}

impl Reporter for Through {
    fn event(&mut self, record: &Record, _: &RunState) {
        self.hear(&record.event);
    }

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        self.end();
        let run = state.run.as_ref().map_or("?", |run| run.as_str());
        for line in state.receipt.lines(run, Look::PLAIN) {
            self.note(&line);
        }
        let is_unheard = state.interrupted.as_deref() == Some(UNHEARD);
        for case in state.cases().iter().filter(|_| !is_unheard) {
            let ending = state.ending(case);
            // A command that failed by itself has said so.
            let has_said = ending.outcome == Outcome::Failed && case.exit != Some(Exited::Code(0));
            if !ending.outcome.is_good()
                && !has_said
                && let Some(reason) = &ending.reason
            {
                tell(&format!("gpu-harness: {}: {}", ending.outcome, log_line(reason)));
            }
        }
        if exit != Exit::AllPassed || !state.receipt.is_empty() {
            self.note(&format!("{}: see {}", summary::tally(state, Look::PLAIN), run_dir.display()));
        }
    }
}
