//! `gpu-harness list`.

use std::fmt::Write as _;

use gpu_suites::exit::Exit;

use super::failure::Failure;
use super::{Choice, say};
use crate::plan::Selection;
use crate::run::RunError;

/// Flags of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let cwd = super::here()?.folder;
        let cases =
            Selection::read(&self.choice.suites, &self.choice.cases, &cwd).map_err(RunError::from)?.cases();
        let widest = cases.iter().map(|case| case.id.as_str().len()).max().unwrap_or(0);
        let mut out = String::new();
        for case in cases {
            if self.json {
                let _ = writeln!(out, "{}", super::json_line(&case));
            } else {
                let _ =
                    writeln!(out, "{:widest$}  {}", case.id.as_str(), case.description.unwrap_or_default());
            }
        }
        say(&out);
        Ok(Exit::AllPassed)
    }
}
