//! The one cache folder: what the set-up fetched, and the local node's store.

use std::path::PathBuf;

use crate::here::Env;

/// The environment variable that moves the cache folder.
pub const VARIABLE: &str = "GPU_HARNESS_CACHE";

/// Where in it the files lie that suites name by `cache:`. Beside it lie keys of nodes, which nobody may name.
pub const DATA: &str = "data";

/// `$GPU_HARNESS_CACHE`, else `$XDG_CACHE_HOME/gpu-harness`, else `~/.cache/gpu-harness`.
///
/// `None` where there is no home folder either.
pub fn folder(env: &Env) -> Option<PathBuf> {
    let set = |name: &str| env.get(name).map(PathBuf::from);
    set(VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("gpu-harness")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/gpu-harness")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_one_that_is_named_or_lies_where_caches_do() {
        let folder = |set: &[(&str, &str)]| {
            let env = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            super::folder(&env)
        };
        let home = ("HOME", "/home/me");
        assert_eq!(folder(&[home, (VARIABLE, "/own")]), Some("/own".into()));
        assert_eq!(folder(&[home, ("XDG_CACHE_HOME", "/c"), (VARIABLE, "")]), Some("/c/gpu-harness".into()));
        assert_eq!(folder(&[home]), Some("/home/me/.cache/gpu-harness".into()));
        assert_eq!(folder(&[]), None);
    }
}
