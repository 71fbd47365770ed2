//! What is in the programs, as CycloneDX.
//!
//! <https://cyclonedx.org/docs/1.6/json/>

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::parts::{Part, Resolved};
use super::release::Release;
use crate::cargo;

/// Its text.
pub(crate) fn text(release: &Release, resolved: &Resolved) -> Result<String> {
    let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).context("failed to read Cargo.lock")?;
    Ok(format!("{:#}\n", document(&resolved.parts()?, &checksums(&lock), release)))
}

fn document(parts: &[Part], checksums: &HashMap<(&str, &str), &str>, release: &Release) -> Value {
    let components = parts.iter().map(|part| component(part, checksums));
    let dependencies = parts.iter().map(|part| {
        let below = Vec::from_iter(part.below.iter().map(|package| purl(package)));
        json!({"ref": purl(part.package), "dependsOn": below})
    });
    json!({
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
    })
}

/// <https://github.com/package-url/purl-spec>
fn purl(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version").replace('+', "%2B"))
}

fn component(part: &Part, checksums: &HashMap<(&str, &str), &str>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(part.package),
        "name": part.text("name"),
        "version": part.text("version"),
        "purl": purl(part.package),
    });
    if let Some(license) = part.package["license"].as_str() {
        // An old way to write it, which is no SPDX.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(sum) = checksums.get(&(part.text("name"), part.text("version"))) {
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
    use crate::dist::parts::tests::resolved;

    #[test]
    fn each_part_has_its_address_licence_and_sum() {
        let lock =
            "[[package]]\nname = \"ssh2\"\nversion = \"1.0.0+z\"\nsource = \"x\"\nchecksum = \"abcd\"\n";
        let release =
            Release { version: "1.2.3".into(), description: "d".into(), commit: "c".into(), time: 0 };
        let resolved = resolved();
        let document = document(&resolved.parts().unwrap(), &checksums(lock), &release);
        let ssh2 = &document["components"][3];
        assert_eq!(ssh2["purl"], "pkg:cargo/ssh2@1.0.0%2Bz");
        assert_eq!(ssh2["hashes"][0]["content"], "abcd");
        assert_eq!(ssh2["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let openssl = json!(["pkg:cargo/openssl-src@1.0.0%2Bz"]);
        assert_eq!(document["dependencies"][3], json!({"ref": ssh2["bom-ref"], "dependsOn": openssl}));
    }
}
