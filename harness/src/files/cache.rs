//! The cache folder, as the harness uses it.

use std::path::PathBuf;

pub use gpu_suites::cache::VARIABLE;

use crate::here::Env;

/// Where in it the files lie that suites name by `cache:`. Beside it lie keys of nodes, which nobody may name.
pub const DATA: &str = "data";

/// The folder that an environment says.
pub fn folder(env: &Env) -> Option<PathBuf> {
    gpu_suites::cache::folder_of(|name| env.get(name).map(PathBuf::from))
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
