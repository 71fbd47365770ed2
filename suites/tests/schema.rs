//! Promises of the committed files: the schema and the documents say what the code does.

use std::fs;
use std::path::{Path, PathBuf};

use gpu_suites::checks;
use gpu_suites::event::Event;
use gpu_suites::exit::Exit;
use gpu_suites::outcome::Outcome;
use gpu_suites::schema::json_schema;

fn in_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn doc(name: &str) -> String {
    let path = in_crate("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let wanted = format!("{:#}\n", json_schema());
    let path = in_crate("schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &wanted).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == wanted,
        "suites/schema.json is out of step: run `UPDATE_SCHEMA=1 cargo test -p gpu-suites --test schema` and commit it"
    );
}

#[test]
fn the_schema_allows_no_value_that_the_loader_refuses_as_missing() {
    assert!(!json_schema().to_string().contains("null"));
}

#[test]
fn every_type_and_key_of_the_schema_is_described() {
    let schema = json_schema();
    let root = [("Suite", &schema)].into_iter();
    let types =
        schema["$defs"].as_object().expect("types").iter().map(|(name, schema)| (name.as_str(), schema));
    for (name, schema) in root.chain(types) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let described = property["description"].is_string() || property["$ref"].is_string();
            assert!(described, "{name}.{key} has no description");
        }
        assert!(
            schema["properties"].is_null() || schema["additionalProperties"] == false,
            "{name} is closed"
        );
    }
}

#[test]
fn every_key_of_the_format_is_in_its_document() {
    let (text, checks) = (doc("suites.md") + &doc("throughput.md") + &doc("pipeline.md"), doc("checks.md"));
    let schema = json_schema();
    let root = [("Suite", &schema)].into_iter();
    let types =
        schema["$defs"].as_object().expect("types").iter().map(|(name, schema)| (name.as_str(), schema));
    // The checks have chapters: see below.
    for (name, schema) in root.chain(types).filter(|(name, _)| !["Checks", "CheckName"].contains(name)) {
        for key in schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let quoted = format!("`{key}`");
            assert!(text.contains(&quoted) || checks.contains(&quoted), "{name}.{key} is in no document");
        }
        for choice in
            schema["oneOf"].as_array().into_iter().flatten().filter_map(|choice| choice["const"].as_str())
        {
            let quoted = format!("`{choice}`");
            assert!(text.contains(&quoted) || checks.contains(&quoted), "{name} {choice} is in no document");
        }
    }
}

#[test]
fn every_check_has_its_chapter() {
    let text = doc("checks.md");
    for check in checks::names() {
        assert!(text.contains(&format!("\n## {check}\n")), "docs/checks.md has no chapter on {check}");
    }
}

#[test]
fn every_event_kind_has_its_row() {
    let text = doc("events.md");
    for kind in Event::KINDS {
        assert!(text.contains(&format!("\n| `{kind}` |")), "docs/events.md has no row for {kind}");
    }
}

#[test]
fn every_exit_code_and_outcome_has_its_row() {
    let text = doc("exit-codes.md");
    for exit in [
        Exit::AllPassed,
        Exit::CheckFailed,
        Exit::Usage,
        Exit::Infrastructure,
        Exit::Limit,
        Exit::Interrupted,
    ] {
        let name = serde_json::to_value(exit).expect("a name");
        let row = format!("\n| {} | `{}` |", exit.code(), name.as_str().expect("a text"));
        assert!(text.contains(&row), "docs/exit-codes.md has no row for {exit:?}");
    }
    for outcome in [
        Outcome::Passed,
        Outcome::Failed,
        Outcome::Errored,
        Outcome::Interrupted,
        Outcome::TimedOut,
        Outcome::Skipped,
        Outcome::Cancelled,
    ] {
        assert!(text.contains(&format!("\n| {outcome} |")), "docs/exit-codes.md has no row for {outcome}");
    }
}
