//! The JSON Schema of suite files, for editors: `gpu-harness schema` prints it.
//!
//! It is derived from the types in [`crate::spec`], so every description is the doc comment of its field. What
//! Rust's types cannot say stands beside the field as `schemars(extend(…))`, and what a schema cannot say at all is told
//! by the loader.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::checks::names;
use crate::spec::{Suite, Work};

/// The schema of a suite file (JSON Schema, draft 2020-12).
pub fn json_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let kinds = Work::schemas(&mut generator);
    let mut schema = generator.into_root_schema_for::<Suite>().to_value();
    schema["title"] = json!("gpu-harness suite");
    let types = &mut schema["$defs"];
    for (key, kind) in Work::KINDS.into_iter().zip(kinds) {
        types["Case"]["properties"][key] = kind.to_value();
    }
    types["Case"]["oneOf"] = Work::KINDS.into_iter().map(|key| json!({ "required": [key] })).collect();
    types["Case"]["additionalProperties"] = json!(false);
    // The keys of `skip-checks` are checks, its values reasons.
    let skipped = &mut types["Case"]["properties"]["skip-checks"];
    skipped["propertyNames"] = json!({ "enum": Vec::from_iter(names()) });
    skipped["additionalProperties"]["pattern"] = json!(r"\S");
    tidy(&mut schema);
    schema
}

/// The keys of one of the types.
pub(crate) fn keys_of(of: &str) -> Vec<String> {
    json_schema()["$defs"][of]["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
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
