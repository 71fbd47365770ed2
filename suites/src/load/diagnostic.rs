//! What is wrong with a suite file, where, and what to write instead; rendered like a compiler's error.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::MAX_BYTES;
use super::tree::{Fault, SourceRange};
use crate::beneath::BeneathError;

/// The longest part of a line that is shown.
const MAX_SHOWN: usize = 160;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One thing that is wrong with a suite file. Its `Display` is plain text; the fields are there for who colours it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, on one line.
    pub message: String,
    pub path: PathBuf,
    /// Where in it, unless it is about the whole file.
    pub position: Option<Position>,
    /// The line at `position`, with control characters replaced.
    pub source: Option<String>,
    /// How many characters from `position` on are meant.
    pub width: usize,
    /// What to write instead.
    pub hint: Option<String>,
    /// A second place that has to do with it, and what is there.
    pub also: Option<(Position, String)>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let gutter = self.position.map_or(1, |position| position.line.to_string().len()) + 1;
        write!(f, "\n{:gutter$}--> {}", "", self.path.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
            if let Some(source) = &self.source {
                write!(f, "\n{:gutter$} |", "")?;
                write!(f, "\n{line:>gutter$} | {source}")?;
                write!(
                    f,
                    "\n{:gutter$} | {:indent$}{}",
                    "",
                    "",
                    "^".repeat(self.width.max(1)),
                    indent = column - 1
                )?;
            }
        }
        if let Some((Position { line, column }, what)) = &self.also {
            write!(f, "\nnote: {what}\n{:gutter$}--> {}:{line}:{column}", "", self.path.display())?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the suite file {}: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} is not read: {cause}\nhint: put the file itself into the project", .path.display())]
    NotOfTheProject { path: PathBuf, cause: BeneathError },
    /// The file was read, and these things are wrong with it, in the order of the file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Wrong(Vec<Diagnostic>),
    /// There is no suite file where one was looked for.
    #[error("no suite file: {what}")]
    NothingFound {
        /// Where was looked, and for what.
        what: String,
    },
}

/// The text of a suite file.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text, where the bytes are one that may be read.
    pub(super) fn new(path: &Path, bytes: &[u8]) -> Result<Self, Box<Diagnostic>> {
        let whole = |message: String, hint: &str| Diagnostic {
            message,
            path: path.to_owned(),
            position: None,
            source: None,
            width: 1,
            hint: Some(hint.to_owned()),
            also: None,
        };
        if bytes.len() as u64 > MAX_BYTES {
            let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
            return Err(Box::new(whole(message, "is this a suite file? Make several of it where it is")));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
            let position = Some(Position { line, column });
            Box::new(Diagnostic { position, ..whole("the file is not UTF-8".into(), "save it as UTF-8") })
        })?;
        Ok(Self { path: path.to_owned(), text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned() })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let Fault { place: SourceRange { start, width }, message, hint, also } = fault;
        let line = self.text.lines().nth(start.line - 1);
        let source = line.filter(|_| start.column <= MAX_SHOWN).map(|line| {
            let clean = |c: char| if c.is_control() { ' ' } else { c };
            line.chars().take(MAX_SHOWN).map(clean).collect::<String>()
        });
        let room =
            source.as_ref().map_or(1, |source| (source.chars().count() + 1).saturating_sub(start.column));
        let width = width.clamp(1, room.max(1));
        let one_line = |text: String| text.replace(|c: char| c.is_control(), " ");
        let path = self.path.clone();
        Diagnostic {
            message: one_line(message),
            path,
            position: Some(start),
            source,
            width,
            hint: hint.map(one_line),
            also: also.map(|(position, what)| (position, one_line(what))),
        }
    }
}
