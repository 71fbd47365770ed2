//! What a command on a node prints, as if it ran here: its output as it comes, and our own words beside it.

use std::io::{self, Write as _};
use std::path::Path;

use gpu_suites::event::{Event, NodeState, Record, Stream};
use gpu_suites::exit::Exit;

use super::log_lines::LogLines;
use crate::clean::log_line;
use crate::report::look::Look;
use crate::report::{Reporter, RunState, receipt, summary};

/// Prints the command's standard output to ours, everything else to standard error.
#[derive(Debug, Default)]
pub struct Through {
    lines: LogLines,
    /// Only what is wrong, besides the command's own output.
    quiet: bool,
    warnings: u64,
}

/// What is shown of a node that warns for ever.
const MOST_WARNINGS: u64 = 200;
const TOO_MANY_WARNINGS: u64 = MOST_WARNINGS + 1;

impl Through {
    /// With our own words about the node, or without.
    pub fn new(quiet: bool) -> Self {
        Self { lines: LogLines::default(), quiet, warnings: 0 }
    }

    /// Prints what there is to print of an event.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Log(event) => print(event.stream, &self.lines.take(event)),
            Event::CaseFinished(event) => print(Stream::Stdout, &self.lines.finish(&event.case)),
            Event::Node(event) if event.state == NodeState::Lost => {
                eprintln!("gpu-harness: node lost: {}", log_line(&event.detail));
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
            Event::Had(event) => self.note(&receipt::had_line(event)),
            Event::Warning(event) => {
                self.warnings += 1;
                match self.warnings {
                    0..=MOST_WARNINGS => eprintln!("gpu-harness: warning: {}", log_line(&event.message)),
                    TOO_MANY_WARNINGS => eprintln!("gpu-harness: warning: there are more, in events.ndjson"),
                    _ => {}
                }
            }
            Event::ConnectionLost(event) => {
                self.note(&format!("connection lost: {}", log_line(&event.error)));
            }
            Event::Reattached(_) => self.note("connected again; nothing was lost"),
            Event::ReclaimNotice(event) => self.note(&event.to_string()),
            _ => {}
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("gpu-harness: {text}");
        }
    }
}

fn print(stream: Stream, lines: &[String]) {
    // Nobody reads any more? The command goes on.
    let all = lines.iter().fold(String::new(), |all, line| all + line + "\n");
    let _ = match stream {
        Stream::Stdout => io::stdout().write_all(all.as_bytes()).and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(all.as_bytes()),
    };
}

impl Reporter for Through {
    fn event(&mut self, record: &Record, _: &RunState) {
        self.hear(&record.event);
    }

    fn finish(&mut self, state: &RunState, run_dir: &Path, exit: Exit) {
        let run = state.run.as_ref().map_or("?", |run| run.as_str());
        for line in state.receipt.lines(run, Look::PLAIN) {
            self.note(&line);
        }
        for case in state.cases() {
            let ending = state.ending(case);
            if !ending.outcome.is_good()
                && case.exit.is_none()
                && let Some(reason) = &ending.reason
            {
                eprintln!("gpu-harness: {}: {}", ending.outcome, log_line(reason));
            }
        }
        if exit != Exit::AllPassed || !state.receipt.is_empty() {
            self.note(&format!("{}: see {}", summary::tally(state, Look::PLAIN), run_dir.display()));
        }
    }
}
