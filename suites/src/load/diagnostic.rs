//! What is wrong with a suite file, where, and what to write instead; rendered like a compiler's error.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One thing that is wrong with a suite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, on one line.
    pub message: String,
    /// The file.
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

/// Why suites could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the suite file {}: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        cause: io::Error,
    },
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
