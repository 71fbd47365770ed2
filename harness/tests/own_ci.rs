//! This project's own CI files: the action does what its steps promise, and the pipeline is what CI can read.
//!
//! The action's shell is run for real, against a stub of `gpu-harness`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::Value;

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every shell script of a file, wherever it stands.
fn scripts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    (Some("run"), Value::String(script)) => found.push(script.clone()),
                    (Some("script" | "after-script"), Value::Sequence(lines)) => {
                        let lines = lines.iter().filter_map(Value::as_str);
                        found.push(lines.collect::<Vec<_>>().join("\n"));
                    }
                    _ => scripts(value, found),
                }
            }
        }
        Value::Sequence(list) => list.iter().for_each(|value| scripts(value, found)),
        _ => {}
    }
}

/// The oldest Rust is said in Cargo.toml alone; what has to say it too follows.
#[test]
fn whoever_is_told_a_version_of_rust_is_told_one_that_builds() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    assert!(readme.contains(&format!("Rust ({oldest} or newer")), "README.md: Rust {oldest}");
    let image = read("bitbucket-pipelines.yml")["image"].as_str().unwrap().to_owned();
    let minor = |version: &str| version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
    let (has, needs) = (image.strip_prefix("rust:").and_then(minor), minor(oldest));
    assert!(has.is_some() && has >= needs, "bitbucket-pipelines.yml: {image}, not Rust {oldest} or newer");
}

#[test]
fn every_script_is_shell() {
    for name in [
        "bitbucket-pipelines.yml",
        "action.yml",
        ".github/workflows/ci.yml",
        ".github/workflows/fuzz.yml",
        ".github/workflows/gpu.yml",
        ".github/workflows/release.yml",
    ] {
        let mut found = Vec::new();
        scripts(&read(name), &mut found);
        assert!(!found.is_empty(), "{name}");
        for script in found {
            let checked = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
            assert!(
                checked.status.success(),
                "{name}: {}\n{script}",
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
}

#[test]
fn the_pipeline_runs_what_ci_runs_and_reaps_after_its_gpu_step() {
    let mut found = Vec::new();
    scripts(&read("bitbucket-pipelines.yml"), &mut found);
    assert!(found.iter().any(|script| script == ".ci/run"));
    assert!(found.iter().any(|script| script.contains("gpu-harness reap --run \"$run\"")));
    for script in found {
        for line in script.lines().filter(|line| line.contains("OIDC_TOKEN")) {
            assert!(line.contains("umask 077") && line.contains('>'), "the token is never printed: {line}");
        }
    }
}

/// The action's step of that name, run in a folder with a stub of gpu-harness.
struct Action {
    folder: tempfile::TempDir,
}

impl Action {
    fn new(exit: u8, starts: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let started =
            if starts { "mkdir -p gpu-harness-runs; ln -sfn run-1 gpu-harness-runs/latest" } else { "" };
        let stub = format!(
            "#!/bin/bash\nprintf '%s|' \"$@\" >> calls; echo >> calls\n[ \"$1\" = run ] || exit 0\n{started}\nexit {exit}\n"
        );
        let path = folder.path().join("gpu-harness");
        fs::write(&path, stub).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("gpu-harness")
    }

    fn step(&self, name: &str, variables: &[(&str, &str)]) -> Output {
        let action = read("action.yml");
        let steps = action["runs"]["steps"].as_sequence().unwrap();
        let step = steps.iter().find(|step| step["name"].as_str() == Some(name)).unwrap();
        // As GitHub runs `shell: bash`.
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
        bash.current_dir(self.folder.path())
            .env("PROGRAM", self.program())
            .env("RUNNER_TEMP", self.folder.path().join("runner"));
        bash.envs(variables.iter().copied());
        bash.output().unwrap()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

#[test]
fn the_action_ends_as_the_run_did_and_reaps_it_whatever_that_was() {
    let inputs =
        [("JUNIT", "out/a b.xml"), ("SUITES", "suites/a.yaml suites/*.yaml"), ("ARGUMENTS", "--retries 1")];
    for exit in [0, 1, 3] {
        let action = Action::new(exit, true);
        let run = action.step("Run the suites", &inputs);
        assert_eq!(run.status.code(), Some(i32::from(exit)));
        assert!(action.step("Give back what is left", &[]).status.success());
        assert_eq!(
            action.calls(),
            "run|--junit|out/a b.xml|--retries|1|suites/a.yaml|suites/*.yaml|\nreap|--run|run-1|\n"
        );
    }
}

#[test]
fn the_action_installs_the_wheel_that_it_is_told_and_none_other() {
    let action = Action::new(0, false);
    let untold = action.step("Install gpu-harness", &[("WHEEL", "")]);
    assert_eq!(untold.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&untold.stdout).starts_with("::error::the input `wheel` is missing"));
    let folder = action.folder.path();
    // A Python whose environments have a pip that says what it was asked for.
    let python = "#!/bin/bash\nmkdir -p \"$3/bin\"\nprintf '#!/bin/bash\\necho \"$@\" > \"$RUNNER_TEMP/asked\"\\n' > \
                  \"$3/bin/pip\"\nchmod +x \"$3/bin/pip\"\n";
    fs::write(folder.join("python3"), python).unwrap();
    fs::set_permissions(folder.join("python3"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let wheel = "https://git.example.com/a.whl#sha256=$(touch oops)";
    let installed = action.step("Install gpu-harness", &[("WHEEL", wheel), ("PATH", &path)]);
    assert!(installed.status.success(), "{installed:?}");
    assert_eq!(
        fs::read_to_string(folder.join("runner/asked")).unwrap(),
        format!("install --no-deps {wheel}\n")
    );
    assert!(!folder.join("oops").exists());
}

#[test]
fn an_input_is_never_a_part_of_the_script_and_without_a_run_nothing_is_reaped() {
    let action = Action::new(2, false);
    let run = action
        .step("Run the suites", &[("JUNIT", "$(touch oops)"), ("SUITES", "; touch oops"), ("ARGUMENTS", "")]);
    assert_eq!(run.status.code(), Some(2));
    let end = action.step("Give back what is left", &[]);
    assert!(String::from_utf8_lossy(&end.stdout).contains("no run was started"));
    assert!(!action.folder.path().join("oops").exists());
    assert_eq!(action.calls(), "run|--junit|$(touch oops)|;|touch|oops|\n");
}
