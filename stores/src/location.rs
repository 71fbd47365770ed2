//! Which store does a text such as `s3://bucket/prefix/` name?

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::folder::Folder;
use crate::memory::Memory;
#[cfg(feature = "s3")]
use crate::s3::S3;
use crate::settings::S3Settings;
use crate::store::Store;

/// Where objects lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// This process's memory.
    Memory,
    /// A bucket, and what its keys begin with: nothing, or a prefix that ends in a slash.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no store: {why}")]
pub struct NoLocation {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Location {
    type Err = NoLocation;

    fn from_str(text: &str) -> Result<Self, NoLocation> {
        let wrong = |why| NoLocation { text: text.to_owned(), why };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fine) {
                return Err(wrong(
                    "a bucket has 3 to 63 letters, digits, dots and hyphens (s3://BUCKET/PREFIX/)",
                ));
            }
            let end = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
            return Ok(Self::S3 { bucket: bucket.into(), prefix: format!("{prefix}{end}") });
        }
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(("file", _)) => Err(wrong("file:// is followed by an absolute path (file:///data/images)")),
            Some(("memory", _)) => Ok(Self::Memory),
            Some(_) => Err(wrong("it may begin with s3://, file:// or memory://, or be a folder's path")),
            None if text.is_empty() => Err(wrong("it is empty")),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Memory => f.write_str("memory:///"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// The store at a location. Nothing is read or written yet; S3's credentials are looked for.
pub fn open(location: &Location, settings: &S3Settings) -> crate::error::Result<Arc<dyn Store>> {
    Ok(match location {
        Location::Folder(path) => Arc::new(Folder::new(path.clone())),
        Location::Memory => Arc::new(Memory::default()),
        #[cfg(feature = "s3")]
        Location::S3 { bucket, prefix } => Arc::new(S3::new(bucket, prefix, settings)?),
        #[cfg(not(feature = "s3"))]
        Location::S3 { .. } => {
            let _ = settings;
            let fault = crate::Fault::Other("this program was built without the feature `s3`".into());
            return Err(crate::StoreError { verb: "open", what: location.to_string(), fault });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_a_folder_or_memory() {
        let read = |text: &str| text.parse::<Location>();
        let bucket = |prefix: &str| Location::S3 { bucket: "tiles".into(), prefix: prefix.into() };
        assert_eq!(read("s3://tiles").unwrap(), bucket(""));
        assert_eq!(read("s3://tiles/2026/a").unwrap(), bucket("2026/a/"));
        assert_eq!(read("file:///data").unwrap(), Location::Folder("/data".into()));
        assert_eq!(read("data").unwrap(), Location::Folder("data".into()));
        assert_eq!(read("memory://").unwrap(), Location::Memory);
        for wrong in ["", "s3://", "s3:///a", "s3://a b/c", "file://data", "gs://bucket/x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
