//! An S3 of the case's own, where the suite names none: the images that the case cuts go into a bucket of it and come
//! out again as those of a real bucket do, and so do the shards.
//!
//! Buckets are links to folders of the case, which has images and shards where it has them with no S3 at all.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gpu_bucket::{Server, ServerError};
use gpu_stores::{Keys, Location, S3Settings, Store};

use super::PipelineError;
use crate::error::Result;

/// The server's folder, below the case's.
const ROOT: &str = ".s3";

/// The server, and how to reach it. It ends with this.
pub(super) struct Local {
    server: Server,
    case: PathBuf,
    stall: Duration,
}

impl Local {
    pub(super) fn start(case: &Path, stall: Duration) -> Result<Self> {
        let server = Server::start(&case.join(ROOT), 0, Keys::random()).map_err(PipelineError::from)?;
        Ok(Self { server, case: case.to_owned(), stall })
    }

    /// A bucket with what is in the case's folder of this name.
    pub(super) fn bucket(&self, name: &str) -> Result<Arc<dyn Store>> {
        let (folder, link) = (self.case.join(name), self.case.join(ROOT).join(name));
        let beside = Path::new("..").join(name);
        let made = std::fs::create_dir_all(&folder).and_then(|()| match symlink(beside, &link) {
            // Of an earlier try in the same folder.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        });
        made.map_err(|source| PipelineError::from(ServerError::Folder { path: folder, source }))?;
        let settings = S3Settings {
            endpoint: Some(self.server.endpoint()),
            region: Some(gpu_bucket::server::REGION.into()),
            keys: Some(self.server.keys().clone()),
            stall: self.stall,
        };
        let location = Location::S3 { bucket: name.into(), prefix: String::new() };
        Ok(gpu_stores::open(&location, &settings).map_err(PipelineError::Store)?)
    }
}
