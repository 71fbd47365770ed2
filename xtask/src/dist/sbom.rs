//! What is in the programs, as CycloneDX: every crate whose code is linked, by what cargo resolved.
//!
//! <https://cyclonedx.org/docs/1.6/json/>

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::programs::{TARGET, rustflags};
use super::release::Release;
use crate::cargo;

/// The packages whose programs are released.
const ROOTS: [&str; 3] = ["gpu-harness", "gpu-agent", "gpu-worker"];

/// Writes it into `folder`.
pub(crate) fn write(folder: &Path, release: &Release) -> Result<()> {
    let path = folder.join(format!("gpu-harness-{}.cdx.json", release.version));
    fs::write(&path, text(release)?).with_context(|| format!("failed to write {}", path.display()))
}

/// Its text.
pub(crate) fn text(release: &Release) -> Result<String> {
    let metadata = cargo::metadata_with(&["--locked", "--filter-platform", TARGET], |command| {
        command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rustflags());
    })?;
    let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).context("failed to read Cargo.lock")?;
    Ok(format!("{:#}\n", document(&metadata, &checksums(&lock), release)?))
}

fn document(metadata: &Value, checksums: &HashMap<(&str, &str), &str>, release: &Release) -> Result<Value> {
    let packages = list(&metadata["packages"])?;
    let packages: BTreeMap<&str, &Value> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes = list(&metadata["resolve"]["nodes"])?;
    let nodes: HashMap<&str, &Value> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let roots = packages.iter().filter(|(_, package)| ROOTS.iter().any(|root| package["name"] == *root));
    let mut waiting = Vec::from_iter(roots.map(|(id, _)| *id));
    let mut linked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        if linked.contains_key(id) {
            continue;
        }
        let below = nodes.get(id).map(|node| list(&node["deps"])).transpose()?.unwrap_or(&[]);
        let below = below.iter().filter(|dependency| is_linked(dependency)).filter_map(|d| d["pkg"].as_str());
        let below = BTreeSet::from_iter(below.filter(|id| packages.get(id).is_some_and(|p| !is_macro(p))));
        waiting.extend(&below);
        linked.insert(id, below);
    }
    let purl = |id: &str| packages.get(id).map(|package| purl(package));
    let components =
        linked.keys().filter_map(|id| packages.get(id)).map(|package| component(package, checksums));
    let dependencies = linked.iter().map(|(id, below)| {
        json!({"ref": purl(id), "dependsOn": below.iter().filter_map(|id| purl(id)).collect::<Vec<_>>()})
    });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "release",
                "name": "gpu-harness",
                "version": release.version,
                "description": release.description,
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
                "properties": [{"name": "commit", "value": release.commit}],
            },
        },
        "components": Vec::from_iter(components),
        "dependencies": Vec::from_iter(dependencies),
    }))
}

fn list(value: &Value) -> Result<&[Value]> {
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

/// <https://github.com/package-url/purl-spec>
fn purl(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version").replace('+', "%2B"))
}

fn component(package: &Value, checksums: &HashMap<(&str, &str), &str>) -> Value {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": text("name"),
        "version": text("version"),
        "purl": purl(package),
    });
    if let Some(license) = package["license"].as_str() {
        // An old way to write it, which is no SPDX.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(sum) = checksums.get(&(text("name"), text("version"))) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    component
}

/// The checksums of Cargo.lock by name and version; a crate of this repository has none.
fn checksums(lock: &str) -> HashMap<(&str, &str), &str> {
    let mut found = HashMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(sum)) = (value("name"), value("version"), value("checksum")) {
            found.insert((name, version), sum);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(id: &str, kind: &str) -> Value {
        json!({"id": id, "name": id, "version": "1.0.0+z", "license": "MIT/Apache-2.0", "targets": [{"kind": [kind]}]})
    }

    fn depends(on: &str, kind: &Value) -> Value {
        json!({"name": on.replace('-', "_"), "pkg": on, "dep_kinds": [{"kind": kind}]})
    }

    #[test]
    fn what_is_linked_is_listed_and_nothing_else() {
        let metadata = json!({
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
        });
        let lock =
            "[[package]]\nname = \"ssh2\"\nversion = \"1.0.0+z\"\nsource = \"x\"\nchecksum = \"abcd\"\n";
        let release =
            Release { version: "1.2.3".into(), description: "d".into(), commit: "c".into(), time: 0 };
        let document = document(&metadata, &checksums(lock), &release).unwrap();
        let names = |list: &Value| {
            Vec::from_iter(list.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()))
        };
        // What openssl-src itself runs is said to be linked: too much is better than too little.
        assert_eq!(names(&document["components"]), ["cc", "gpu-harness", "openssl-src", "ssh2"]);
        let ssh2 = &document["components"][3];
        assert_eq!(ssh2["purl"], "pkg:cargo/ssh2@1.0.0%2Bz");
        assert_eq!(ssh2["hashes"][0]["content"], "abcd");
        assert_eq!(ssh2["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(document["dependencies"][1]["dependsOn"], json!(["pkg:cargo/ssh2@1.0.0%2Bz"]));
    }
}
