//! Which variables of the environment go along with a test: those that cargo and nextest set, and those that are named.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Names further variables, with commas between them: `gpu-harness cargo --env NAME` sets it.
pub const NAMED: &str = "GPU_HARNESS_TEST_ENV";

/// What tests look at, and what says nothing about this machine.
const PREFIXES: [&str; 5] = ["CARGO_PKG_", "CARGO_CRATE_NAME", "NEXTEST", "RUST_BACKTRACE", "RUST_LOG"];
const LIBTEST: [&str; 2] = ["RUST_TEST_THREADS", "RUST_MIN_STACK"];

/// The variables of a test.
pub fn of_tests(all: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let all: BTreeMap<String, String> =
        all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let named: Vec<String> =
        all.get(NAMED).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let goes = |name: &str| {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || LIBTEST.contains(&name)
            || (named.iter().any(|one| one == name) && !name.starts_with("GPU_HARNESS_"))
    };
    all.iter().filter(|(name, _)| goes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_along_but_what_is_listed_or_named() {
        let all = [
            ("CARGO_PKG_NAME", "p"),
            ("NEXTEST_RUN_ID", "1"),
            ("RUST_BACKTRACE", "1"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("CARGO_REGISTRY_TOKEN", "t"),
            ("HOME", "/h"),
            ("WANTED", "w"),
            (NAMED, "WANTED,ABSENT"),
        ];
        let kept = of_tests(all.into_iter().map(|(name, value)| (name.into(), value.into())));
        assert_eq!(
            Vec::from_iter(kept.keys()),
            ["CARGO_PKG_NAME", "NEXTEST_RUN_ID", "RUST_BACKTRACE", "WANTED"]
        );
    }
}
