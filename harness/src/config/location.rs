//! Where a history lies: `--history`, or `history:` of gpu-harness.yaml.

use std::path::Path;
use std::str::FromStr;

use gpu_stores::location::NoLocation;
use serde::Deserialize;

/// A history's place: a folder, or a bucket and a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Location(gpu_stores::Location);

impl Location {
    /// The same, where a relative folder is below `root`.
    #[must_use]
    pub fn below(self, root: &Path) -> Self {
        match self.0 {
            gpu_stores::Location::Folder(path) => Self(gpu_stores::Location::Folder(root.join(path))),
            other => Self(other),
        }
    }

    pub(crate) fn in_stores(&self) -> &gpu_stores::Location {
        &self.0
    }
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Self(gpu_stores::Location::Folder(folder.into()))
    }
}

impl FromStr for Location {
    type Err = NoLocation;

    fn from_str(text: &str) -> Result<Self, NoLocation> {
        let wrong = |why| NoLocation { text: text.to_owned(), why };
        match text.strip_prefix("file://localhost/").map_or_else(
            || text.parse::<gpu_stores::Location>(),
            |path| Ok(gpu_stores::Location::Folder(Path::new("/").join(path))),
        )? {
            gpu_stores::Location::Memory => Err(wrong("a history has to outlive this process")),
            place => Ok(Self(place)),
        }
    }
}

impl TryFrom<String> for Location {
    type Error = NoLocation;

    fn try_from(text: String) -> Result<Self, NoLocation> {
        text.parse()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            gpu_stores::Location::Folder(path) => path.display().fmt(f),
            other => other.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_a_bucket_is_a_place_and_nothing_that_ends_with_the_process() {
        for (text, shown) in [
            ("history", "history"),
            ("/srv/history", "/srv/history"),
            ("file:///srv/history", "/srv/history"),
            ("file://localhost/srv", "/srv"),
            ("s3://nights/gpu", "s3://nights/gpu/"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown, "{text}");
        }
        for (text, says) in [
            ("", "empty"),
            ("file://host/srv", "absolute path"),
            ("s3://", "a bucket has"),
            ("gs://bucket", "names no store"),
            ("memory://", "outlive"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let below = |text: &str| text.parse::<Location>().unwrap().below(Path::new("/p")).to_string();
        assert_eq!(below("h"), "/p/h");
        assert_eq!(below("s3://nights"), "s3://nights/");
    }
}
