//! GitHub Actions: annotations as workflow commands in the log, and the page of the step.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use super::annotation::{Annotation, Level};

/// GitHub shows ten errors and ten warnings of a step; more are only in the log.
const MOST: usize = 50;
/// The most that GitHub takes of a step's page.
const PAGE: u64 = 1 << 20;

/// The commands that annotate, a line each.
pub fn commands(annotations: &[Annotation]) -> String {
    let mut text = String::new();
    for note in annotations.iter().take(MOST) {
        let command = match note.level {
            Level::Failure | Level::Unjudged => "error",
            Level::Warning => "warning",
        };
        let mut properties = Vec::new();
        properties.extend(note.path.as_ref().map(|path| format!("file={}", property(path))));
        properties.extend(note.line.map(|line| format!("line={line}")));
        properties.push(format!("title={}", property(&note.title)));
        let _ = writeln!(text, "::{command} {}::{}", properties.join(","), data(&note.message));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Adds to the page of the step; what would make it too long is left out, and said.
pub fn append(path: &Path, page: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let room = PAGE.saturating_sub(file.metadata()?.len());
    if page.len() as u64 <= room {
        return file.write_all(page.as_bytes());
    }
    let cut = "\n\n*gpu-harness: the rest of this page did not fit; it is in the run's folder.*\n";
    let most = usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(cut.len());
    // At the end of a line, so that no element is cut in two.
    let end = page.char_indices().take_while(|(at, _)| *at < most).filter(|(_, char)| *char == '\n').last();
    match end {
        Some((end, _)) => file.write_all([&page[..end], cut].concat().as_bytes()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::annotation::of_run;
    use crate::report::sample;

    #[test]
    fn a_command_is_one_line_whatever_its_texts() {
        let note = Annotation {
            level: Level::Failure,
            title: "a: b, 100 %".into(),
            message: "one\ntwo % ::error::".into(),
            path: Some("suites/a,b:c.yaml".into()),
            line: Some(7),
        };
        assert_eq!(
            commands(&[note]),
            "::error file=suites/a%2Cb%3Ac.yaml,line=7,title=a%3A b%2C 100 %25::one%0Atwo %25 ::error::\n"
        );
    }

    #[test]
    fn every_line_is_one_of_our_commands_even_of_a_hostile_node() {
        for records in [sample::every_outcome(), sample::hostile()] {
            let text = commands(&of_run(
                &sample::state(&records),
                crate::ci::annotation::PathBase { root: None, cwd: Path::new("/repo") },
            ));
            assert!(!text.is_empty());
            for line in text.lines() {
                assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{line}");
            }
        }
    }

    #[test]
    fn a_page_that_does_not_fit_is_cut_at_a_line_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        std::fs::write(&path, "others wrote here\n").unwrap();
        append(&path, &"0123456789\n".repeat(200_000)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() as u64 <= PAGE && text.len() as u64 > PAGE - 200, "{}", text.len());
        assert!(text.starts_with("others") && text.contains("did not fit"));
        append(&path, "more\n").unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= PAGE);
    }
}
