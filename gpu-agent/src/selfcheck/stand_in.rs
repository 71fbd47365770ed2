//! Facts in place of the machine's own, for trying what becomes of a node that is not as it should be.

use std::fs;
use std::io;

use gpu_suites::facts::NodeFacts;
use serde_json::Value;

/// The environment variable that names the file: a JSON object whose keys replace those of the facts.
const VARIABLE: &str = "GPU_AGENT_STAND_IN";

/// The facts with what stands in.
pub(super) fn applied(facts: NodeFacts) -> io::Result<NodeFacts> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return Ok(facts) };
    let wrong =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{VARIABLE}: {}: {error}", path.display()));
    let text = fs::read(&path).map_err(|error| wrong(&error))?;
    let replaced: serde_json::Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let mut all = serde_json::to_value(facts)?;
    if let Value::Object(all) = &mut all {
        all.extend(replaced);
    }
    serde_json::from_value(all).map_err(|error| wrong(&error))
}
