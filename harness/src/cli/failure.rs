//! The one place where an error ends the process: its chain once, what to do, and its exit code.

use std::io;
use std::path::Path;

use gpu_suites::exit::Exit;

use crate::text::{Explain, chain, explain, streams};

/// Why a command ends without having done what it is for. Every error that is passed up to here says how the process ends.
#[derive(Debug)]
pub struct Failure {
    text: String,
    /// How the process ends.
    pub exit: Exit,
}

impl<E: Explain + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let lead = if error.is_diagnostic() { "" } else { "error: " };
        let text = explain::with_hint(format!("{lead}{}", chain(&error)), error.hint());
        Self { text, exit: error.exit() }
    }
}

impl Failure {
    /// What was asked for is wrong.
    pub fn usage(what: impl std::fmt::Display) -> Self {
        Self { text: format!("error: {what}"), exit: Exit::Usage }
    }

    /// This machine has not done what it was to do.
    pub fn of_this_machine(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self { text: format!("error: failed to {what}: {error}"), exit: Exit::Infrastructure }
    }

    /// A file cannot be written.
    pub(super) fn write(path: &Path, error: &io::Error) -> Self {
        Self::of_this_machine(format_args!("write {}", path.display()), error)
    }

    /// The user ended it.
    pub(super) fn interrupted(what: &str) -> Self {
        Self { text: format!("error: {what}"), exit: Exit::Interrupted }
    }

    /// Prints it on standard error and says how the process should end.
    pub fn tell(&self) -> Exit {
        streams::tell(&self.text);
        self.exit
    }

    /// What is wrong, for a line of a longer story.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use gpu_stores::{Fault, StoreError};

    use super::*;
    use crate::report::ReportError;

    #[test]
    fn whoever_is_at_fault_is_told_by_the_exit_code_and_what_to_do_by_a_line_of_its_own() {
        let why = || io::Error::other("no space left on device");
        let store = |fault| StoreError { verb: "list", what: "s3://b/p".to_owned(), fault };
        for (failure, exit, text) in [
            (
                Failure::from(ReportError::Write { path: "/r/junit.xml".into(), source: why() }),
                Exit::Infrastructure,
                "error: failed to write /r/junit.xml: no space left on device",
            ),
            (
                Failure::from(ReportError::NoEvents { path: "/r/events.ndjson".into() }),
                Exit::Usage,
                "error: /r/events.ndjson has no events of a run",
            ),
            (
                Failure::from(store(Fault::Unavailable("timed out".to_owned()))),
                Exit::Infrastructure,
                "error: failed to list s3://b/p: the store does not answer as it should: timed out\n\
                 hint: the store may be back in a while: run again, what is done is kept",
            ),
            (Failure::usage("--head: x"), Exit::Usage, "error: --head: x"),
        ] {
            assert_eq!((failure.exit, failure.text()), (exit, text));
        }
    }
}
