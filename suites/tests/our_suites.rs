//! Promises of the suites of this repository: they load, and what their documents show as an example does too.

use std::fs;
use std::path::{Path, PathBuf};

use gpu_suites::checks::selected;
use gpu_suites::load::{discover, load};
use gpu_suites::metrics::parse;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The fenced blocks of a document in one language.
fn examples(document: &str, language: &str) -> Vec<String> {
    let path = root().join("docs").join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|block| block.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn every_suite_of_the_repository_loads() {
    for path in discover(&[], &root()).expect("there are suites") {
        let loaded = load(&path).unwrap_or_else(|error| panic!("{error}"));
        for case in &loaded.suite.cases {
            assert!(!selected(case).is_empty(), "{} checks nothing", case.name);
        }
    }
}

#[test]
fn the_suites_in_the_documents_load() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("example.yaml");
    let whole = ["suites.md", "throughput.md"].into_iter().flat_map(|document| examples(document, "yaml"));
    let whole = whole.filter(|text| text.starts_with("suite:"));
    // A part is shown as it stands in a suite.
    let cases = examples("suites.md", "yaml").into_iter().filter(|text| text.starts_with("  - name:"));
    let checks = examples("checks.md", "yaml").into_iter().map(|text| text.replace('\n', "\n      "));
    let cases = cases.map(|case| format!("suite: s\ncases:\n{case}"));
    let checks = checks.map(|checks| {
        format!("suite: s\ncases:\n  - name: a\n    command: {{ run: [x] }}\n    checks:\n      {checks}")
    });
    let all = Vec::from_iter(whole.chain(cases).chain(checks));
    assert_eq!(all.len(), 9, "the documents have their examples");
    for text in all {
        fs::write(&path, &text).expect("written");
        load(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn the_lines_in_the_document_of_metrics_are_understood() {
    let lines = examples("metrics.md", "json");
    assert!(!lines.is_empty());
    for line in lines {
        parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let text = fs::read_to_string(root().join("docs/metrics.md")).expect("there");
    let controls = text.lines().filter_map(|line| line.strip_prefix("| `{\"@")?.split('`').next());
    let controls = Vec::from_iter(controls);
    assert_eq!(controls.len(), 5);
    for control in controls {
        let line = format!("{{\"@{control}");
        parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
