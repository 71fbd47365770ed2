//! The JSON Schema of suite files, for editors: `gpu-harness schema` prints it.

/// The schema of a suite file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(crate::spec::Suite).to_value()
}
