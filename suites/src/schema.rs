//! The JSON Schema of suite files, for editors: `gpu-harness schema` prints it.
//!
//! It is derived from the types in [`crate::spec`], so every description is the doc comment of its field. What the
//! types cannot say is added here; what a schema cannot say at all is told by the loader.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::spec::{CheckName, Suite, Work};

/// The schema of a suite file (JSON Schema, draft 2020-12).
pub fn json_schema() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Suite>().to_value();
    schema["title"] = json!("gpu-harness suite");
    schema["properties"]["cases"]["minItems"] = json!(1);
    let name = json!("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$");
    schema["properties"]["suite"]["pattern"] = name.clone();
    let types = &mut schema["$defs"];
    types["Case"]["properties"]["name"]["pattern"] = name;
    types["Case"]["oneOf"] = exactly_one(&Work::KINDS);
    types["Model"]["oneOf"] = exactly_one(&["builtin", "torchscript"]);
    types["MetricCheck"]["anyOf"] = json!([{ "required": ["at-least"] }, { "required": ["at-most"] }]);
    types["Command"]["properties"]["run"]["minItems"] = json!(1);
    types["Command"]["properties"]["env"]["propertyNames"] = json!({ "pattern": "^(?!GPU_HARNESS_)[^=]+$" });
    types["Train"]["properties"]["learning-rate"]["exclusiveMinimum"] = json!(0);
    for list in ["metric", "golden", "varied", "rate"] {
        types["Checks"]["properties"][list]["minItems"] = json!(1);
    }
    let dtypes = &mut types["Throughput"]["properties"]["dtypes"];
    dtypes["minItems"] = json!(1);
    dtypes["uniqueItems"] = json!(true);
    // It stays below its root.
    types["InputPath"]["pattern"] = json!(r"^(?!(cache:)?/)(?!(cache:)?(.*/)?\.\.(/|$)).");
    // The keys of `skip-checks` are checks, its values reasons.
    let names = CheckName::ALL.map(CheckName::as_str);
    let skipped = &mut types["Case"]["properties"]["skip-checks"];
    skipped["propertyNames"] = json!({ "enum": names });
    skipped["additionalProperties"]["pattern"] = json!(r"\S");
    types["Case"]["properties"]["skip"]["pattern"] = json!(r"\S");
    // Shares of something that they are a part of; as a text the loader alone can tell.
    for (of, share) in [
        ("InitialLoss", "within"),
        ("LossDrop", "to"),
        ("GradNormDrop", "to"),
        ("MixedPrecision", "within"),
        ("Shards", "errors"),
        ("VariedCheck", "at-most"),
        ("RateCheck", "of-ceiling"),
        ("RateCheck", "spread"),
        ("Throughput", "others"),
    ] {
        types[of]["properties"][share]["maximum"] = json!(1);
    }
    // Defaults as people write them.
    types["Case"]["properties"]["timeout"]["default"] = json!("10m");
    types["Case"]["properties"]["limits"]["default"] = json!({ "log": "256 MiB" });
    types["Limits"]["properties"]["log"]["default"] = json!("256 MiB");
    types["MemoryFlat"]["properties"]["slack"]["default"] = json!("16 MiB");
    tidy(&mut schema);
    schema
}

/// That exactly one of `keys` is there.
fn exactly_one(keys: &[&str]) -> Value {
    keys.iter().map(|key| json!({ "required": [key] })).collect()
}

/// A key is given a value or left out: where schemars allows `null` beside a type, the loader does not. Descriptions
/// lose the line breaks of the source.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
                *text = Vec::from_iter(paragraphs).join("\n\n");
            }
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    fields.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({ "type": "null" }));
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    fields.remove("anyOf");
                    fields.extend(one);
                }
            }
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
