//! How a suite file is read, and how what is wrong with it is shown: with file, line, column and a hint.
//!
//! text → tree of values with their places → typed suite → rules. Each stage adds to one list of what is wrong, so
//! that everything in a file is told at once, in the order of the file.

mod diagnostic;
mod discover;
mod rules;
mod tree;
mod typed;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use diagnostic::{Diagnostic, LoadError, Position};
pub use discover::discover;

use serde::de::DeserializeOwned;

use crate::beneath::{self, BeneathError};
use crate::spec::Suite;
use diagnostic::Source;
use tree::{Fault, Node, SourceRange, Step};

/// The largest suite file: nobody writes a larger one by hand.
pub const MAX_BYTES: u64 = 1 << 20;

/// A suite file that was read and makes sense.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub suite: Suite,
    /// Where it lies, as it was named.
    pub path: PathBuf,
    /// The folder that its inputs are relative to.
    pub root: PathBuf,
    /// The folder that they must not lead out of, through no link.
    pub project: PathBuf,
    document: Arc<Document>,
}

#[derive(Debug)]
struct Document {
    source: Source,
    tree: Node,
}

impl Loaded {
    /// Where in the file a value stands, e.g. `cases[2].train.data.image`; `None` where the file does not name it.
    pub fn position(&self, path: &str) -> Option<Position> {
        let steps = steps(path);
        steps.iter().try_fold(&self.document.tree, |node, step| node.get(step)).map(|node| node.place.start)
    }

    /// A message about a value, e.g. an input that is not there, shown like every other error of the file. Where
    /// the file does not name the value, the nearest one around it is shown.
    pub fn diagnostic(&self, path: &str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        let place = place_of(&self.document.tree, &steps(path));
        self.document.source.diagnostic(Fault { place, message: message.into(), hint, also: None })
    }
}

/// Reads a suite file. `cwd`: where the command was given, from which a link may lead on.
pub fn load(path: &Path, cwd: &Path) -> Result<Loaded, LoadError> {
    let source = source(path, cwd)?;
    match read(&source) {
        Ok((suite, tree)) => {
            let document = Arc::new(Document { source, tree });
            let root = root_of(path);
            let project = beneath::project(&root, Some(cwd));
            Ok(Loaded { suite, path: path.to_owned(), root, project, document })
        }
        Err(faults) => Err(wrong(&source, faults)),
    }
}

/// Reads another YAML file of the project, such as `gpu-harness.yaml`, with errors like those of a suite file. An
/// empty file is the default.
pub fn document<T: DeserializeOwned + Default>(path: &Path, cwd: &Path) -> Result<T, LoadError> {
    let source = source(path, cwd)?;
    let mut faults = Vec::new();
    let read = match syntax(&source, &mut faults) {
        Ok(None) => Some(T::default()),
        Ok(Some(tree)) => typed::document(&tree, &mut faults),
        Err(()) => None,
    };
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(wrong(&source, faults)),
    }
}

/// The line of a YAML file on which a value stands, e.g. `quarantine[1].until`; `None` where the file does not name it.
pub fn line_of(path: &Path, value: &str, cwd: &Path) -> Option<usize> {
    let source = source(path, cwd).ok()?;
    let tree = syntax(&source, &mut Vec::new()).ok()??;
    let node = steps(value).iter().try_fold(&tree, |node, step| node.get(step))?;
    Some(node.place.start.line)
}

fn source(path: &Path, cwd: &Path) -> Result<Source, LoadError> {
    let unreadable = |cause| LoadError::Unreadable { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    // A part of it may be quoted: it must be the project's.
    let real =
        beneath::find(&beneath::project(&root_of(path), Some(cwd)), path).map_err(|cause| match cause {
            BeneathError::Io(cause) => unreadable(cause),
            cause => LoadError::NotOfTheProject { path: path.to_owned(), cause },
        })?;
    let file = beneath::open(&real).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Source::new(path, &bytes).map_err(|diagnostic| LoadError::Wrong(vec![*diagnostic]))
}

fn wrong(source: &Source, mut faults: Vec<Fault>) -> LoadError {
    faults.sort_by_key(|fault| fault.place.start);
    LoadError::Wrong(faults.into_iter().map(|fault| source.diagnostic(fault)).collect())
}

/// The file as a tree; `None` for an empty one. Where it is no YAML, `faults` say why.
fn syntax(source: &Source, faults: &mut Vec<Fault>) -> Result<Option<Node>, ()> {
    match tree::parse(source.text(), faults) {
        Ok(tree) => Ok(tree.filter(|tree| !tree.is_null())),
        Err(fault) => {
            let line = source.text().lines().nth(fault.place.start.line - 1);
            let hint = if line.is_some_and(|line| line.contains('\t')) {
                "indent with spaces: YAML allows no tabs there"
            } else {
                "look at the indentation, and at brackets and quotes just before"
            };
            faults.push(if fault.hint.is_none() { fault.hint(hint) } else { fault });
            Err(())
        }
    }
}

fn read(source: &Source) -> Result<(Suite, Node), Vec<Fault>> {
    let start = SourceRange { start: Position { line: 1, column: 1 }, width: 1 };
    let empty = || Fault::new(start, "the file is empty").hint("begin with `suite: NAME` and `cases:`");
    let mut faults = Vec::new();
    let Ok(tree) = syntax(source, &mut faults) else { return Err(faults) };
    let Some(tree) = tree else { return Err(vec![empty()]) };
    let parts = typed::parts(&tree, &mut faults);
    for violation in rules::violations(parts.head.as_ref(), &parts.cases) {
        let place = place_of(&tree, &steps(&violation.path));
        let also = violation.also.map(|(path, what)| (place_of(&tree, &steps(&path)).start, what));
        faults.push(Fault { place, message: violation.message, hint: Some(violation.hint), also });
    }
    match parts.whole() {
        Some(suite) if faults.is_empty() => Ok((suite, tree)),
        _ => Err(faults),
    }
}

/// The steps of `cases[2].train.data.image`.
fn steps(path: &str) -> Vec<Step> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let step = |part: &str| match part.strip_suffix(']').and_then(|number| number.parse().ok()) {
        Some(index) => Step::Index(index),
        None => Step::Key(part.to_owned()),
    };
    parts.map(step).collect()
}

/// The place of a value, or of the nearest one around it that the file names. Of a mapping or list, the key in front
/// of it says more than its first line.
fn place_of(tree: &Node, steps: &[Step]) -> SourceRange {
    let mut place = SourceRange { width: 1, ..tree.place };
    let mut node = tree;
    for step in steps {
        let Some(next) = node.get(step) else { break };
        place = match next.kind {
            tree::Kind::Scalar { .. } => next.place,
            _ => node.key(step).unwrap_or(SourceRange { width: 1, ..next.place }),
        };
        node = next;
    }
    place
}

/// The nearest folder above the file that holds `gpu-harness.yaml` or `.git`, else the file's own folder.
fn root_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let own = absolute.parent().unwrap_or(Path::new("/"));
    own.ancestors()
        .find(|folder| folder.join("gpu-harness.yaml").exists() || folder.join(".git").exists())
        .unwrap_or(own)
        .to_owned()
}
