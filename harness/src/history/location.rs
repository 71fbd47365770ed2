//! Where a history lies: `--history`, or `history:` of gpu-harness.yaml.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

/// A history's place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Location {
    /// A folder; it is made where it is not there.
    Folder(PathBuf),
}

/// Why a text is no place of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing.
    #[error("a history's place is a folder, and this is empty")]
    Empty,
    /// Another machine's folder.
    #[error("`{0}` names another machine; a folder of this one is written file:///PATH, or as a plain path")]
    Host(String),
    /// A store that cannot be written to yet.
    #[error(
        "`{0}`: a history in {1}:// cannot be kept yet; name a folder (a path, or file:///PATH), which may be synchronised with a bucket before and after the run"
    )]
    Scheme(String, String),
}

impl Location {
    /// The same, where a relative folder is below `root`.
    #[must_use]
    pub fn below(self, root: &Path) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(root.join(path)),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.split_once("://") {
            _ if text.is_empty() => Err(LocationError::Empty),
            None => Ok(Self::Folder(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(("file", path)) => match path.strip_prefix("localhost/") {
                Some(path) => Ok(Self::Folder(Path::new("/").join(path))),
                None => Err(LocationError::Host(text.to_owned())),
            },
            Some((scheme, _)) => Err(LocationError::Scheme(text.to_owned(), scheme.to_owned())),
        }
    }
}

impl TryFrom<String> for Location {
    type Error = LocationError;

    fn try_from(text: String) -> Result<Self, LocationError> {
        text.parse()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_path_or_a_file_address_and_nothing_else_is_a_place_yet() {
        for (text, folder) in [
            ("history", "history"),
            ("/srv/history", "/srv/history"),
            ("file:///srv/history", "/srv/history"),
            ("file://localhost/srv", "/srv"),
        ] {
            assert_eq!(text.parse(), Ok(Location::Folder(folder.into())), "{text}");
        }
        for (text, says) in [
            ("", "empty"),
            ("file://host/srv", "another machine"),
            ("s3://bucket/history", "s3:// cannot be kept yet"),
            ("gs://bucket", "gs:// cannot"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(Location::Folder("h".into()).below(Path::new("/p")), Location::Folder("/p/h".into()));
    }
}
