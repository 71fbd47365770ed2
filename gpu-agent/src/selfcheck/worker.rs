//! Can libtorch be loaded here, and can it use CUDA? Only the worker, which links it, can tell.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gpu_suites::facts::Worker as Answer;
use gpu_suites::id::Sha256;

use crate::folder::Folder;
use crate::libtorch::{self, Libtorch};
use crate::store;

/// Loading CUDA for the first time on a machine takes its time.
const LIMIT: Duration = Duration::from_secs(120);

/// Which worker to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Worker {
    Path(PathBuf),
    /// A blob of the store.
    Blob(Sha256),
}

impl Worker {
    pub(super) fn ask(&self, folder: &Folder, libtorch: Option<&Libtorch>) -> Answer {
        let path = match self {
            Self::Path(path) => path.clone(),
            Self::Blob(sha256) => folder.blob(sha256),
        };
        let mut command = Command::new(&path);
        command.arg("--selfcheck");
        if let Some(libtorch) = libtorch {
            let mut folders = vec![libtorch.libraries()];
            folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
            if let Ok(folders) = std::env::join_paths(folders) {
                command.env("LD_LIBRARY_PATH", folders);
            }
        }
        let said = match self {
            Self::Blob(_) => {
                store::make_executable(&path).map_err(|error| format!("{}: {error}", path.display()))
            }
            Self::Path(_) => Ok(()),
        };
        let said = said.and_then(|()| libtorch::run(&mut command, LIMIT));
        match said
            .and_then(|said| serde_json::from_str(&said).map_err(|error| format!("gpu-worker said {error}")))
        {
            Ok(facts) => Answer::Facts(facts),
            Err(why) => Answer::Silent(why),
        }
    }
}
