//! The real pytest, as the set-up has installed it: the oldest and the newest that the plugin is for.

use std::env;
use std::path::{Path, PathBuf};

pub const OLDEST: u8 = 7;
pub const NEWEST: u8 = 9;

/// The folder of the Python package, which has the plugin.
pub fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("python")
}

/// A Python that has this version of pytest.
///
/// # Panics
/// Where the set-up has not made it.
pub fn python(version: u8) -> PathBuf {
    let named = set(&format!("GPU_HARNESS_PYTEST_{version}")).or_else(|| in_the_cache(version));
    named.unwrap_or_else(|| panic!("pytest {version} is not set up: run the tests by `cargo xtask test`"))
}

/// Where `cargo xtask setup` links the environment that it made.
fn in_the_cache(version: u8) -> Option<PathBuf> {
    let cache = set("GPU_HARNESS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("gpu-harness")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/gpu-harness")))?;
    Some(cache.join(format!("pytest-{version}/current/bin/python"))).filter(|python| python.exists())
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
