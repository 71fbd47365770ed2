//! What is wrong, in a sentence, and at which line of which file.

use std::path::Path;

use gpu_suites::load::Diagnostic;
use gpu_suites::outcome::{Blame, Outcome};

use crate::report::RunState;
use crate::report::case::CaseState;
use crate::report::look::Look;
use crate::report::standing::Standing;
use crate::report::summary;
use crate::text::clean;

/// How bad it is, and whose fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Failure,
    /// The infrastructure is, or a limit was reached: nothing is said about what is tested.
    Unjudged,
    Warning,
}

/// Something that a CI service shows beside a line of a file. Its texts are clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub level: Level,
    /// What it is about, in a few words.
    pub title: String,
    /// What there is to know, on one or more lines.
    pub message: String,
    /// The file, relative to the repository where it lies in it.
    pub path: Option<String>,
    /// The line in the file, from 1 on.
    pub line: Option<u32>,
}

/// What paths are relative to.
#[derive(Debug, Clone, Copy)]
pub struct PathBase<'a> {
    /// The repository's folder, where it is known.
    pub root: Option<&'a Path>,
    /// The folder that names in a run begin at.
    pub cwd: &'a Path,
}

/// A note about each case that is not simply good, at the line where its suite names it.
pub fn of_run(state: &RunState, place: PathBase<'_>) -> Vec<Annotation> {
    state.cases().iter().filter_map(|case| of_case(state, case, place)).collect()
}

/// The note about this case, where it is not simply good.
pub fn of_case(state: &RunState, case: &CaseState, place: PathBase<'_>) -> Option<Annotation> {
    let ending = state.ending(case);
    let id = clean::log_line(case.id().as_str());
    let level = match ending.standing {
        Standing::Passed | Standing::Skipped => return None,
        Standing::Flaky | Standing::Excused { .. } | Standing::Bad(Blame::User) => Level::Warning,
        Standing::Regressed | Standing::Bad(Blame::Code | Blame::Nobody) => Level::Failure,
        Standing::Bad(Blame::Infrastructure | Blame::Limit) => Level::Unjudged,
    };
    let title = match ending.outcome {
        Outcome::Errored => format!("{id} could not be judged (infrastructure)"),
        Outcome::Interrupted => format!("{id} was interrupted (infrastructure)"),
        Outcome::Cancelled => format!("{id} was cancelled"),
        Outcome::Passed if ending.standing == Standing::Flaky => format!("{id} is flaky"),
        _ => format!("{id} {}", ending.word()),
    };
    let mut notes = summary::notes(case, ending.outcome, Look::PLAIN);
    // The notes say of each broken check what the reason says of all of them at once.
    let reason = ending.reason.as_deref().filter(|_| notes.is_empty()).map(clean::log_line);
    notes.extend(summary::by_history(state, case, Look::PLAIN));
    let message = reason.into_iter().chain(notes).collect::<Vec<_>>().join("\n");
    let message = if message.is_empty() { title.clone() } else { message };
    let (path, line) = place.of(&case.summary.at);
    Some(Annotation { level, title, message, path, line })
}

/// A note about each mistake in the files of a project.
pub fn of_diagnostics(diagnostics: &[Diagnostic], place: PathBase<'_>) -> Vec<Annotation> {
    let note = |diagnostic: &Diagnostic| Annotation {
        level: Level::Failure,
        title: clean::log_line(&diagnostic.message),
        message: diagnostic.hint.as_deref().map_or_else(
            || clean::log_line(&diagnostic.message),
            |hint| format!("{}\nhint: {}", clean::log_line(&diagnostic.message), clean::log_line(hint)),
        ),
        path: Some(place.in_repository(&diagnostic.path.to_string_lossy())),
        line: diagnostic.position.and_then(|position| u32::try_from(position.line).ok()),
    };
    diagnostics.iter().map(note).collect()
}

impl PathBase<'_> {
    /// `suites/a.yaml:12` as a path and a line.
    fn of(self, at: &str) -> (Option<String>, Option<u32>) {
        match at.rsplit_once(':') {
            Some((path, line)) if !path.is_empty() => (Some(self.in_repository(path)), line.parse().ok()),
            _ => (None, None),
        }
    }

    fn in_repository(self, path: &str) -> String {
        let whole = self.cwd.join(path);
        let inside = whole.strip_prefix(self.root.unwrap_or(self.cwd)).ok();
        clean::log_line(&inside.map_or_else(|| path.into(), |inside| inside.to_string_lossy().into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn here() -> PathBase<'static> {
        PathBase { root: None, cwd: Path::new("/repo") }
    }

    #[test]
    fn each_case_that_is_not_good_has_its_note_at_its_line() {
        insta::assert_debug_snapshot!(of_run(&sample::state(&sample::every_outcome()), here()));
    }

    #[test]
    fn what_a_node_says_is_clean_in_every_note() {
        for note in of_run(&sample::state(&sample::hostile()), here()) {
            for text in [&note.title, &note.message] {
                assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
            }
        }
    }

    #[test]
    fn a_path_is_relative_to_the_repository() {
        let place = PathBase { root: Some(Path::new("/repo")), cwd: Path::new("/repo/below") };
        assert_eq!(place.of("a.yaml:1"), (Some("below/a.yaml".into()), Some(1)));
        assert_eq!(place.of("/repo/suites/a.yaml:12"), (Some("suites/a.yaml".into()), Some(12)));
        assert_eq!(place.of("/else/a.yaml:3"), (Some("/else/a.yaml".into()), Some(3)));
        assert_eq!(place.of(""), (None, None));
    }
}
