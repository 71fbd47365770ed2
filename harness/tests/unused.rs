//! No function of `harness/src/cloud` is there for tests alone: what only a test calls decides nothing, however well tested.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Called from `tests/` on purpose.
const FOR_TESTS: [&str; 1] = [
    // Counts round trips for a bench and for the promise that a node takes four of them.
    "in_sequence",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let each = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    each.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The part of a source file that is no test, without comments.
fn product(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    // What a trait asks for is called by its crate.
    let product = product.split("\nimpl Intercept for").next().unwrap_or_default();
    let lines = product.lines().map(|line| line.split("//").next().unwrap_or_default());
    Vec::from_iter(lines).join("\n")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[test]
fn no_public_function_of_a_cloud_is_called_by_tests_only() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all = Vec::from_iter(files(&sources).iter().map(|path| product(path))).join("\n");
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in words(&all) {
        *counts.entry(word).or_default() += 1;
    }
    let mut unused = Vec::new();
    for path in files(&sources.join("cloud")) {
        let text = product(&path);
        let words = Vec::from_iter(words(&text));
        for pair in words.windows(2).filter(|pair| pair[0] == "fn") {
            let is_used = counts.get(pair[1]).is_some_and(|count| *count > 1);
            if !is_used && !FOR_TESTS.contains(&pair[1]) {
                unused.push(format!("{}: {}", path.display(), pair[1]));
            }
        }
    }
    assert_eq!(unused, Vec::<String>::new());
}
