//! Which folders are a tool's cache, that need not travel.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::files::content;

/// How a tool marks a folder that need not be kept: <https://bford.info/cachedir/>. cargo marks `target` so.
pub(super) const CACHE_TAG: &str = "CACHEDIR.TAG";
pub(super) const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Folders of which it is known whether they are caches.
#[derive(Debug, Default)]
pub(super) struct Caches(HashMap<PathBuf, bool>);

impl Caches {
    /// The outermost folder on the way to a name that is a tool's cache.
    pub(super) fn above(&mut self, folder: &Path, name: &Path) -> Option<PathBuf> {
        let mut above = Vec::from_iter(name.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()));
        above.reverse();
        above.into_iter().find(|path| self.is_cache(folder.join(path))).map(Path::to_owned)
    }

    fn is_cache(&mut self, folder: PathBuf) -> bool {
        if let Some(known) = self.0.get(&folder) {
            return *known;
        }
        let mut start = Vec::new();
        let read = content::open(&folder.join(CACHE_TAG))
            .and_then(|file| file.take(CACHE_SIGNATURE.len() as u64).read_to_end(&mut start));
        let is_cache = read.is_ok() && start == CACHE_SIGNATURE;
        self.0.insert(folder, is_cache);
        is_cache
    }
}
