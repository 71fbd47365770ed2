//! What an error says besides its words: what to do about it, and how the process ends.

use std::error::Error;
use std::fmt;

use gpu_suites::exit::Exit;

/// An error that may be the last word of a command.
pub trait Explain: Error {
    /// What to do about it, on one or more lines.
    fn hint(&self) -> Option<String> {
        None
    }

    /// How the process ends where nothing else can be done.
    fn exit(&self) -> Exit;

    /// Whether its text says itself that it is an error, as a diagnostic with its place in a file does.
    fn is_diagnostic(&self) -> bool {
        false
    }
}

/// An error with its causes, in one line: each says one thing, and none repeats another.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The same, and on lines of its own what to do.
pub fn explained<E: Explain + 'static>(error: &E) -> String {
    with_hint(chain(error), error.hint())
}

/// Text, and on lines of its own what to do.
pub fn with_hint(text: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}

/// What somebody else has found wrong with the infrastructure, in words.
#[derive(Debug)]
pub struct ReportedError(pub String);

impl fmt::Display for ReportedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ReportedError {}

impl Explain for ReportedError {
    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to reach the store (timed out)")]
    struct Outer(#[source] std::io::Error);

    impl Explain for Outer {
        fn hint(&self) -> Option<String> {
            Some("look at the network".to_owned())
        }

        fn exit(&self) -> Exit {
            Exit::Infrastructure
        }
    }

    #[test]
    fn every_cause_is_told_also_one_whose_words_stand_before_it_and_the_hint_comes_last() {
        let error = Outer(std::io::Error::other("timed out"));
        assert_eq!(chain(&error), "failed to reach the store (timed out): timed out");
        assert_eq!(
            explained(&error),
            "failed to reach the store (timed out): timed out\nhint: look at the network"
        );
    }
}
