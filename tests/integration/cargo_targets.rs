//! No test of cargo's runs on this machine without a word: whatever names the target, the runner or the environment.

use std::path::Path;
use std::process::{Command, Output};

use gpu_harness_tests::project::program;
use tempfile::TempDir;

/// A crate whose test passes on a node alone, and builds into a folder of its own.
fn tiny(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let usual = [
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n"),
        (
            "src/lib.rs",
            "#[test] fn on_a_node() { assert!(std::env::var_os(\"GPU_HARNESS_CASE\").is_some(), \"not the node\"); }\n",
        ),
        (".gitignore", "target/\ncache/\n"),
    ];
    for (name, text) in usual.iter().chain(files) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }
    assert!(
        Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().expect("git").success()
    );
    folder
}

fn cargo_by(own: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(own);
    command.args(["cargo", "--node", "local"]).args(arguments).current_dir(folder);
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("GPU_HARNESS_CACHE", folder.join("cache")).env_remove("GPU_HARNESS_NODE");
    for name in ["CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "GITHUB_ACTIONS"] {
        command.env_remove(name);
    }
    // The nextest that runs this test has a profile of its own.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NEXTEST")) {
        command.env_remove(name);
    }
    command.output().expect("it starts")
}

fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    cargo_by(&program("gpu-harness"), folder, arguments)
}

fn said(done: &Output) -> String {
    [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// This machine's target: cargo treats it otherwise where it is named.
fn host() -> String {
    let said = Command::new("rustc").arg("-vV").output().expect("rustc").stdout;
    let said = String::from_utf8(said).expect("text");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

#[test]
fn a_target_that_the_project_names_runs_on_the_node_as_well() {
    let host = host();
    let named = format!("[build]\ntarget = \"{host}\"\n");
    let folder = tiny(&[(".cargo/config.toml", &named)]);
    let done = cargo(folder.path(), &["test", "--lib"]);
    assert!(done.status.success() && said(&done).contains("1 passed"), "{}", said(&done));
    let done = cargo(folder.path(), &["test", "--lib", "--target", &host]);
    assert!(done.status.success() && said(&done).contains("1 passed"), "{}", said(&done));
}

#[test]
fn a_runner_of_the_users_own_is_not_used_without_a_word() {
    let runners = format!(
        "[target.{}]\nrunner = \"no-such-runner\"\n[target.'cfg(unix)']\nrunner = [\"no-such\", \"one either\"]\n",
        host()
    );
    let folder = tiny(&[(".cargo/config.toml", &runners)]);
    let done = cargo(folder.path(), &["test", "--lib"]);
    let told = said(&done);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
    assert!(
        told.contains("not used, since the tests run on the node") && told.contains("no-such-runner"),
        "{told}"
    );
    let mine = format!("target.{}.runner=\"env\"", host());
    let done = cargo(folder.path(), &["--config", &mine, "test", "--lib"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("would run the tests on this machine"), "{}", said(&done));
}

#[test]
fn a_path_with_a_blank_is_one_path() {
    let folder = tiny(&[]);
    let tools = folder.path().join("target/my tools");
    std::fs::create_dir_all(&tools).expect("writable");
    for name in ["gpu-harness", "gpu-agent"] {
        std::fs::hard_link(program(name), tools.join(name))
            .or_else(|_| std::fs::copy(program(name), tools.join(name)).map(drop))
            .expect("writable");
    }
    let done = cargo_by(&tools.join("gpu-harness"), folder.path(), &["test", "--lib"]);
    assert!(done.status.success() && said(&done).contains("1 passed"), "{}", said(&done));
}

#[test]
fn what_cargo_says_of_the_environment_and_the_files_holds_there_too() {
    let tests = r#"
        use std::{env, fs, path::Path};
        #[test] fn env_of_config() { assert_eq!(env::var("MODEL_SIZE").as_deref(), Ok("small")); }
        #[test] fn a_path_of_config() { assert_eq!(fs::read_to_string(Path::new(&env::var("DATA").unwrap()).join("n.txt")).unwrap(), "7"); }
        #[test] fn manifest() { assert!(Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("Cargo.toml").exists()); }
        #[test] fn temporary() { let file = env::temp_dir().join(format!("gpu-harness-{}", std::process::id())); fs::write(&file, "x").unwrap(); fs::remove_file(file).unwrap(); }
        #[test] fn itself() { assert!(std::process::Command::new(env::current_exe().unwrap()).arg("--list").output().unwrap().status.success()); }
        #[test] fn links() { for f in ["tests/n.txt", "tests/data/n.txt"] { assert_eq!(fs::read_to_string(f).unwrap(), "7"); } }
        /// ```
        /// assert!(std::env::var_os("GPU_HARNESS_CASE").is_some());
        /// ```
        pub fn documented() {}
    "#;
    let config = "[env]\nMODEL_SIZE = \"small\"\nDATA = { value = \"data\", relative = true }\n";
    let folder = tiny(&[
        ("src/lib.rs", tests),
        (".cargo/config.toml", config),
        ("data/n.txt", "7"),
        ("tests/x.txt", ""),
    ]);
    std::os::unix::fs::symlink("../data", folder.path().join("tests/data")).expect("writable");
    std::os::unix::fs::symlink("../data/n.txt", folder.path().join("tests/n.txt")).expect("writable");
    let done = cargo(folder.path(), &["test"]);
    let told = said(&done);
    assert!(done.status.success() && told.contains("6 passed") && told.contains("1 passed"), "{told}");
}

#[test]
fn a_program_has_its_own_arguments_and_what_ran_nowhere_is_told() {
    let program = "fn main() { assert!(std::env::var_os(\"GPU_HARNESS_CASE\").is_some()); println!(\"{:?}\", std::env::args().nth(1)); }";
    let folder = tiny(&[("src/main.rs", program)]);
    let done = cargo(folder.path(), &["run", "-q", "--", "--list"]);
    assert!(done.status.success() && said(&done).contains("Some(\"--list\")"), "{}", said(&done));
    let done = cargo(folder.path(), &["test", "--benches"]);
    assert!(
        said(&done).contains("1 passed") || said(&done).contains("nothing was run on the node"),
        "{}",
        said(&done)
    );
    let done = cargo(folder.path(), &["test", "--examples"]);
    assert!(done.status.success() && said(&done).contains("nothing was run on the node"), "{}", said(&done));
    let done = cargo(folder.path(), &["test", "--no-run"]);
    assert!(done.status.success() && !said(&done).contains("nothing was run"), "{}", said(&done));
}

#[test]
fn what_a_run_writes_meanwhile_disturbs_no_test_of_nextest() {
    let tests =
        (0..8).map(|n| format!("#[test] fn t{n}() {{ for i in 0..5000 {{ println!(\"step {{i}}\"); }} }}\n"));
    let folder = tiny(&[("src/lib.rs", &tests.collect::<String>()), (".gitignore", "/target\n")]);
    let done = cargo(folder.path(), &["nextest", "run", "--no-fail-fast"]);
    assert!(done.status.success() && said(&done).contains("8 passed"), "{}", said(&done));
}
