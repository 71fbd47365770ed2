//! Which variables of the environment go along with a test: those that cargo and nextest set, and those that are named.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::here::Env;
use crate::transport::quote;

/// Names further variables, with commas between them: `gpu-harness cargo --env NAME` sets it.
pub const NAMED: &str = "GPU_HARNESS_TEST_ENV";

/// What tests look at, and what says nothing about this machine.
const PREFIXES: [&str; 7] = [
    "CARGO_PKG_",
    "CARGO_CRATE_NAME",
    "NEXTEST",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "RUST_TEST_",
    "RUSTDOC_DOCTEST_",
];
const OTHERS: [&str; 2] = ["CARGO_MANIFEST_PATH", "RUST_MIN_STACK"];

/// The variables of a test.
pub fn of_tests(all: &Env) -> BTreeMap<String, String> {
    let named: Vec<String> =
        all.get(NAMED).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let goes = |name: &str| {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || OTHERS.contains(&name)
            || (named.iter().any(|one| one == name) && !name.starts_with("GPU_HARNESS_"))
    };
    all.iter()
        .filter(|(name, _)| goes(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Those that say the same on the node, and the words of a shell that set the others there: what names the package's folder
/// here, or the binary, is where they are on the node.
pub(super) fn by_place(
    all: BTreeMap<String, String>,
    package: &Path,
    binary: &Path,
    there: &str,
) -> (BTreeMap<String, String>, String) {
    let mut words = String::new();
    let place = |value: &str| {
        let path = Path::new(value);
        if !path.is_absolute() {
            return None;
        }
        if path == binary {
            return Some(PathBuf::from(there));
        }
        path.strip_prefix(package).ok().map(Path::to_owned)
    };
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let stay = all.into_iter().filter(|(name, value)| {
        let Some(path) = place(value).filter(|_| is_name(name)) else { return true };
        let path = path.to_string_lossy();
        let rest = if path.is_empty() { String::new() } else { quote(&format!("/{path}")) };
        let _ = write!(words, "export {name}=\"$PWD\"{rest}; ");
        false
    });
    let stay = stay.collect();
    (stay, words)
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
        let kept =
            of_tests(&all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        assert_eq!(
            Vec::from_iter(kept.keys()),
            ["CARGO_PKG_NAME", "NEXTEST_RUN_ID", "RUST_BACKTRACE", "WANTED"]
        );
    }

    #[test]
    fn what_names_a_place_here_names_it_there() {
        let all = [
            ("DATA", "/p/da'ta"),
            ("ROOT", "/p"),
            ("BIN", "/t/deps/x-1"),
            ("ELSEWHERE", "/etc"),
            ("WORD", "p"),
            ("odd-name", "/p/x"),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (stay, words) = by_place(all, Path::new("/p"), Path::new("/t/deps/x-1"), ".gpu-harness/bin/x-1");
        assert_eq!(Vec::from_iter(stay.keys()), ["ELSEWHERE", "WORD", "odd-name"]);
        let said = std::process::Command::new("sh")
            .args(["-c", &format!("{words} echo $DATA $ROOT $BIN")])
            .current_dir("/tmp")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said, "/tmp/da'ta /tmp /tmp/.gpu-harness/bin/x-1\n");
    }
}
