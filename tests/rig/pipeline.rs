//! A folder in which gpu-worker runs a pipeline by itself, as often as one likes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gpu_shards::{Cell, Table};
use serde_json::{Map, Value, json};

use crate::project::program;

/// A small JPEG.
pub const LEAF: &[u8] = include_bytes!("leaf.jpg");
/// Where images lie in the folder.
pub const IMAGES: &str = "in";
/// Where shards lie in the folder.
pub const SHARDS: &str = "out";

pub struct Pipeline {
    folder: tempfile::TempDir,
    spec: Map<String, Value>,
    env: Vec<(String, String)>,
}

pub struct Ran {
    pub output: Output,
    pub figures: Map<String, Value>,
    /// What it said that it cannot go on for, and what to do.
    pub error: Option<(String, String)>,
}

impl Pipeline {
    /// A pipeline with a small model, from the folder `in` to the folder `out`.
    #[expect(clippy::new_without_default, reason = "a new one is a new folder on disk")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures").join("pipeline");
        for entry in fs::read_dir(models).expect("the fixtures are there").flatten() {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("the folder is writable");
        }
        fs::create_dir(folder.path().join(IMAGES)).expect("the folder is writable");
        let at = |name: &str| format!("file://{}/", folder.path().join(name).display());
        let spec = json!({
            "model": { "torchscript": "leaves.pt" },
            "images": { "from": at(IMAGES) },
            "to": at(SHARDS),
            "output": "classify",
            "top": 2,
            "size": 32,
            "calibrate": "0s",
        });
        let Value::Object(spec) = spec else { unreachable!("it is written as an object") };
        Self { folder, spec, env: Vec::new() }
    }

    /// The same over so many leaves, `0.jpg` and on, so many of them in a shard.
    pub fn of_leaves(images: usize, rows_per_shard: usize) -> Self {
        let mut pipeline = Self::new();
        pipeline.set("rows-per-shard", rows_per_shard);
        for number in 0..images {
            pipeline.image(&format!("{number}.jpg"), LEAF);
        }
        pipeline
    }

    /// Sets a key of the case's `pipeline`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.spec.insert(key.to_owned(), value.into());
    }

    /// Leaves a key of the case's `pipeline` out.
    pub fn unset(&mut self, key: &str) {
        self.spec.remove(key);
    }

    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds an image.
    pub fn image(&self, key: &str, bytes: &[u8]) {
        let path = self.path().join(IMAGES).join(key);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is writable");
        fs::write(path, bytes).expect("the folder is writable");
    }

    /// The worker, not started yet; what it measures goes to a file.
    pub fn worker(&self) -> Command {
        let case = json!({ "id": "s::c", "spec": { "name": "c", "device": "cpu", "pipeline": self.spec } });
        fs::write(self.path().join("case.json"), case.to_string()).expect("the folder is writable");
        let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
        let mut command = Command::new(program("gpu-worker"));
        command.arg("case.json").current_dir(self.path()).stdin(Stdio::null());
        command.env("LD_LIBRARY_PATH", Path::new(&libtorch).join("lib")).env("GOMP_SPINCOUNT", "3000");
        command.env("GPU_HARNESS_METRICS", self.metrics()).env("GPU_HARNESS_ARTIFACTS", self.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn metrics(&self) -> PathBuf {
        self.path().join("metrics.ndjson")
    }

    /// Runs the worker to its end.
    pub fn run(&self) -> Ran {
        self.ran(&mut self.worker())
    }

    /// Runs the worker, which has to succeed.
    pub fn succeed(&self) -> Ran {
        let ran = self.run();
        assert!(ran.output.status.success(), "{}", ran.said());
        ran
    }

    /// Runs a command that becomes the worker.
    pub fn ran(&self, command: &mut Command) -> Ran {
        let _ = fs::remove_file(self.metrics());
        let output = command.output().expect("gpu-worker starts");
        let text = fs::read_to_string(self.metrics()).unwrap_or_default();
        let mut figures = Map::new();
        let mut error = None;
        for line in text.lines() {
            let Ok(Value::Object(line)) = serde_json::from_str(line) else { continue };
            if let Some(said) = line.get("@error") {
                let part = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
                error = Some((part("what"), part("hint")));
            }
            figures.extend(line.into_iter().filter(|(name, _)| !name.starts_with('@')));
        }
        Ran { output, figures, error }
    }

    /// The tables of every shard, by name.
    pub fn tables(&self) -> BTreeMap<String, Table> {
        let entries = fs::read_dir(self.path().join(SHARDS)).into_iter().flatten().flatten();
        let shards =
            entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "parquet"));
        shards
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let bytes = fs::read(entry.path()).expect("a shard can be read");
                (name, gpu_shards::read(&bytes).expect("a shard is whole"))
            })
            .collect()
    }

    /// Every row: key and error, sorted by key.
    pub fn rows(&self) -> Vec<(String, Option<String>)> {
        let mut rows = Vec::new();
        for table in self.tables().values() {
            let (key, error) = (table.column("key").expect("keys"), table.column("error").expect("errors"));
            for row in &table.rows {
                let Cell::Text(key) = &row[key] else { panic!("a key is a text") };
                let error = match &row[error] {
                    Cell::Text(error) => Some(error.clone()),
                    _ => None,
                };
                rows.push((key.clone(), error));
            }
        }
        rows.sort();
        rows
    }
}

impl Ran {
    /// A figure that was measured.
    pub fn figure(&self, name: &str) -> f64 {
        let found = self.figures.get(name).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("{name} among {:?}; {}", self.figures, self.said()))
    }

    /// Why it could not go on, and what to do; it has to say so.
    pub fn refusal(self) -> (String, String) {
        assert_eq!(self.output.status.code(), Some(70), "{}", self.said());
        self.error.expect("an error")
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}
