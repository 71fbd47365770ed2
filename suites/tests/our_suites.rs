//! Promises of the suites of this repository: they load, and what their documents show as an example does too.

mod editor;

use std::fs;
use std::path::{Path, PathBuf};

use gpu_suites::load::{discover, load};
use gpu_suites::metric_lines::parse;
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
fn every_suite_of_the_repository_loads_and_holds_against_the_schema() {
    let mut paths = discover(&[], &root()).expect("there are suites");
    paths.push(root().join("fixtures/faults/sound.yaml"));
    paths.push(root().join("suites/tests/every_key.yaml"));
    for path in &paths {
        let loaded = load(path, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        for case in &loaded.suite.cases {
            assert!(!case.selected_checks().is_empty(), "{} checks nothing", case.name);
        }
    }
    let texts = paths.iter().map(|path| fs::read_to_string(path).expect("there"));
    for (path, verdict) in paths.iter().zip(editor::verdicts(texts)) {
        assert_eq!(verdict, None, "{}", path.display());
    }
}

/// Every suite in docs/ and README.md, whole, or as a case or checks that stand in one.
fn documented() -> Vec<String> {
    let pages =
        fs::read_dir(root().join("docs")).expect("there").map(|page| page.expect("a page").file_name());
    let mut pages = Vec::from_iter(pages.filter_map(|page| page.into_string().ok()));
    pages.push("../README.md".into());
    pages.sort();
    let blocks =
        pages.iter().flat_map(|page| examples(page, "yaml").into_iter().map(move |text| (page, text)));
    let suites = blocks.filter_map(|(page, text)| {
        if text.starts_with("suite:") {
            Some(text)
        } else if text.starts_with("  - name:") {
            Some(format!("suite: s\ncases:\n{text}"))
        } else if page == "checks.md" {
            let checks = text.replace('\n', "\n      ");
            Some(format!(
                "suite: s\ncases:\n  - name: a\n    command: {{ run: [x] }}\n    checks:\n      {checks}"
            ))
        } else {
            None
        }
    });
    suites.collect()
}

#[test]
fn the_suites_in_the_documents_load_and_hold_against_the_schema() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("example.yaml");
    let all = documented();
    assert!(all.len() >= 12, "the documents have their examples: {}", all.len());
    for text in &all {
        fs::write(&path, text).expect("written");
        load(&path, Path::new("/")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    for (text, verdict) in all.iter().zip(editor::verdicts(all.iter().cloned())) {
        assert_eq!(verdict, None, "{text}");
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
