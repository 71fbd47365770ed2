//! The one cache folder of a machine: what the set-up fetched, and a node's store.

use std::path::PathBuf;

/// The environment variable that moves the cache folder.
pub const VARIABLE: &str = "GPU_HARNESS_CACHE";

/// `$GPU_HARNESS_CACHE`, else `$XDG_CACHE_HOME/gpu-harness`, else `~/.cache/gpu-harness`, of this process's environment.
///
/// `None` where there is no home folder either.
pub fn folder() -> Option<PathBuf> {
    folder_of(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

/// The same, of an environment that is not this process's.
pub fn folder_of(set: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    set(VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("gpu-harness")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/gpu-harness")))
}
