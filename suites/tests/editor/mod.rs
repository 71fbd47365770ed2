//! What an editor that knows the published schema says of suites: a validator that is not ours, in one process for many.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use gpu_suites::schema::json_schema;
use serde_json::{Value, json};

/// Reads `{schema, suites}`, writes for each suite its first error or null.
const PROGRAM: &str = "
import json, sys, jsonschema
asked = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(asked['schema'])
validator = jsonschema.Draft202012Validator(asked['schema'])
first = lambda suite: next((f'{error.json_path}: {error.message}' for error in validator.iter_errors(suite)), None)
json.dump([first(suite) for suite in asked['suites']], sys.stdout)
";

/// For each suite, as YAML, what is wrong with it by the schema.
pub(crate) fn verdicts(yaml: impl IntoIterator<Item = String>) -> Vec<Option<String>> {
    let suites = yaml.into_iter().map(|text| serde_yaml::from_str::<Value>(&text).expect("YAML"));
    let asked = json!({ "schema": json_schema(), "suites": Vec::from_iter(suites) });
    let python = validators().join("python");
    let mut child = Command::new(&python)
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: set up by `cargo xtask test`", python.display()));
    child.stdin.take().expect("piped").write_all(asked.to_string().as_bytes()).expect("taken");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "the validator failed");
    serde_json::from_slice(&output.stdout).expect("verdicts")
}

/// The environment of `.ci/validators.txt`.
fn validators() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cached = || Some(gpu_suites::cache::folder()?.join("validators/current/bin"));
    set("GPU_HARNESS_VALIDATORS").or_else(cached).expect("a home")
}
