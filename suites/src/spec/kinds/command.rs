//! `command`: any program, which writes its metrics to `$GPU_HARNESS_METRICS`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::{Checks, ExitStatus};
use crate::spec::{Case, InputPath};
use crate::violations::Violations;

use super::Kind;

/// Any program: a Python training script, pytest, cargo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Command {
    /// The program and its arguments; no shell is involved.
    #[schemars(extend("minItems" = 1))]
    pub run: Vec<String>,
    /// Files that go along, under the same relative names in the working folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputPath>,
    /// Files and folders that it leaves in its working folder and that are brought back, as artifacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring: Vec<InputPath>,
    /// JUnit reports that it leaves there: they are brought back, and their tests become part of the run's report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub junit: Vec<InputPath>,
    /// Environment variables for the program. Never put a secret here: this file is not a place for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "pattern": "^(?!GPU_HARNESS_)[^=]+$" }))]
    pub env: BTreeMap<String, String>,
}

impl Command {
    /// Everything below its working folder that is brought back, without a path that leads out of it.
    pub fn brought(&self) -> impl Iterator<Item = PathBuf> {
        self.bring
            .iter()
            .chain(&self.junit)
            .filter(|path| path.in_cache().is_none())
            .filter_map(InputPath::on_node)
    }
}

impl Kind for Command {
    fn needs_worker(&self) -> bool {
        false
    }

    fn inputs(&self) -> Vec<(String, &InputPath)> {
        self.files.iter().enumerate().map(|(index, file)| (format!("files[{index}]"), file)).collect()
    }

    fn checks(&self) -> Checks {
        Checks { exit_status: Some(ExitStatus::default()), ..Checks::default() }
    }

    fn startable(&self, violations: &mut Violations<'_>) {
        if self.run.first().is_none_or(String::is_empty) {
            let hint = "write the program and its arguments: [python3, train.py]";
            violations.add("run", "no program is named", hint);
        }
        if self.run.iter().any(|part| part.contains('\0')) {
            violations.add("run", "a NUL character in an argument", "no program can be given one: remove it");
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                let message = format!("`{name}` cannot be an environment variable");
                violations.add(format!("env.{name}"), message, "use letters, digits and _");
            }
        }
    }

    fn rules(&self, _: &Case, violations: &mut Violations<'_>) {
        self.startable(violations);
        for (key, paths) in [("bring", &self.bring), ("junit", &self.junit)] {
            let out = |path: &InputPath| path.in_cache().is_some() || path.on_node().is_none();
            for (index, path) in paths.iter().enumerate().filter(|(_, path)| out(path)) {
                let message = format!("`{path}` is not in the working folder");
                let hint = "name a file or folder below the working folder, without `..`";
                violations.add(format!("{key}[{index}]"), message, hint);
            }
        }
        for name in
            self.env.keys().filter(|name| name.starts_with("GPU_HARNESS_") && !name.contains(['=', '\0']))
        {
            let hint = "choose a name that does not begin with GPU_HARNESS_";
            violations.add(format!("env.{name}"), format!("`{name}` is set by gpu-harness"), hint);
        }
    }
}
