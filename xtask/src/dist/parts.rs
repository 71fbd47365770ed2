//! Which crates' code is in the programs, by what cargo resolved: for the list of them and for their licences.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::programs::{TARGET, rustflags};
use crate::cargo;

/// The packages whose programs are released.
const ROOTS: [&str; 3] = ["gpu-harness", "gpu-agent", "gpu-worker"];

/// What cargo resolved for the programs of a release.
pub(crate) struct Resolved(Value);

/// A crate whose code is linked, with those that it links itself, as `cargo metadata` describes them.
pub(crate) struct Part<'a> {
    pub(crate) package: &'a Value,
    pub(crate) below: Vec<&'a Value>,
}

impl Resolved {
    pub(crate) fn of_checkout() -> Result<Self> {
        let metadata = cargo::metadata_by(|command| {
            command.args(["--locked", "--filter-platform", TARGET]);
            command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rustflags());
        })?;
        Ok(Self(metadata))
    }

    /// All that are linked, by name and version.
    pub(crate) fn parts(&self) -> Result<Vec<Part<'_>>> {
        let by_id = |list| -> Result<BTreeMap<&str, &Value>> {
            Ok(items(list)?.iter().filter_map(|item| Some((item["id"].as_str()?, item))).collect())
        };
        let packages = by_id(&self.0["packages"])?;
        let nodes = by_id(&self.0["resolve"]["nodes"])?;
        let is_root = |package: &Value| ROOTS.iter().any(|root| package["name"] == *root);
        let roots = packages.iter().filter(|(_, package)| is_root(package));
        let mut waiting = Vec::from_iter(roots.map(|(id, _)| *id));
        let mut linked: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        while let Some(id) = waiting.pop() {
            if linked.contains_key(id) {
                continue;
            }
            let below = nodes.get(id).map(|node| items(&node["deps"])).transpose()?.unwrap_or(&[]);
            let below =
                below.iter().filter(|dependency| is_linked(dependency)).filter_map(|d| d["pkg"].as_str());
            let below =
                BTreeSet::from_iter(below.filter(|id| packages.get(id).is_some_and(|p| !is_macro(p))));
            waiting.extend(&below);
            linked.insert(id, below);
        }
        let parts = packages.iter().filter_map(|(id, package)| {
            let below = linked.get(id)?.iter().filter_map(|id| packages.get(id).copied()).collect();
            Some(Part { package, below })
        });
        let mut parts = Vec::from_iter(parts);
        parts.sort_by_key(|part| (part.text("name"), part.text("version")));
        Ok(parts)
    }
}

impl<'a> Part<'a> {
    /// A fact of its package; empty where it says none.
    pub(crate) fn text(&self, key: &str) -> &'a str {
        self.package[key].as_str().unwrap_or_default()
    }
}

fn items(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).context("`cargo metadata` gives no list where there was one")
}

/// Whether a dependency's code gets into the program: not what tests and build scripts run, but sources of libraries in C, which
/// are build dependencies by cargo's rules.
fn is_linked(dependency: &Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array();
    let is = |wanted: &Value| kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] == *wanted));
    let sources = dependency["name"].as_str().is_some_and(|name| name.ends_with("_src"));
    is(&Value::Null) || (is(&json!("build")) && sources)
}

/// Macros run in the compiler.
fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array();
    targets.is_some_and(|targets| {
        let kinds = |target: &Value| target["kind"].as_array().cloned().unwrap_or_default();
        targets.iter().any(|target| kinds(target).contains(&json!("proc-macro")))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn package(id: &str, kind: &str) -> Value {
        json!({"id": id, "name": id, "version": "1.0.0+z", "license": "MIT/Apache-2.0", "targets": [{"kind": [kind]}]})
    }

    fn depends(on: &str, kind: &Value) -> Value {
        json!({"name": on.replace('-', "_"), "pkg": on, "dep_kinds": [{"kind": kind}]})
    }

    pub(crate) fn resolved() -> Resolved {
        Resolved(json!({
            "packages": [
                package("gpu-harness", "bin"), package("ssh2", "lib"), package("derive", "proc-macro"),
                package("proptest", "lib"), package("cc", "lib"), package("openssl-src", "lib"),
                package("xtask", "bin"),
            ],
            "resolve": {"nodes": [
                {"id": "gpu-harness", "deps": [
                    depends("ssh2", &Value::Null), depends("derive", &Value::Null), depends("proptest", &json!("dev")),
                ]},
                {"id": "ssh2", "deps": [depends("cc", &json!("build")), depends("openssl-src", &json!("build"))]},
                {"id": "openssl-src", "deps": [depends("cc", &Value::Null)]},
                {"id": "xtask", "deps": [depends("cc", &Value::Null)]},
            ]},
        }))
    }

    #[test]
    fn what_is_linked_is_listed_and_nothing_else() {
        let resolved = resolved();
        let parts = resolved.parts().unwrap();
        let names = Vec::from_iter(parts.iter().map(|part| part.text("name")));
        // What openssl-src itself runs is said to be linked: too much is better than too little.
        assert_eq!(names, ["cc", "gpu-harness", "openssl-src", "ssh2"]);
        assert_eq!(parts[3].below, [parts[2].package]);
    }
}
