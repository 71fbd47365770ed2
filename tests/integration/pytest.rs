//! `pytest --gpu-remote`: tests of any Python project run on a node, in one report with the others, by the real pytest.
//!
//! The promises are the tests in python/tests, a file each for a kind of them. They run here with the oldest and the newest
//! pytest that the plugin is for, against a node that is reached by ssh.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gpu_harness_tests::project::program;
use gpu_harness_tests::sshd::Sshd;

/// The folder of the tests.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("python").join("tests")
}

/// A Python that has this version of pytest.
fn python(version: u8) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_the_cache = || {
        let cache = set("GPU_HARNESS_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("gpu-harness")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/gpu-harness")))?;
        Some(cache.join(format!("pytest-{version}/current/bin/python"))).filter(|python| python.exists())
    };
    let named = set(&format!("GPU_HARNESS_PYTEST_{version}")).or_else(in_the_cache);
    named.unwrap_or_else(|| panic!("pytest {version} is not set up: run the tests by `cargo xtask test`"))
}

/// Passes the tests of a file with this version of pytest.
fn pass(version: u8, file: &str) {
    let sshd = Sshd::start();
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(python(version));
    command
        .args(["-m", "pytest", "-p", "no:cacheprovider", file])
        .arg("--basetemp")
        .arg(cache.path().join("projects"));
    command.current_dir(folder()).stdin(Stdio::null());
    command.env("HOME", sshd.client_home()).env("GPU_HARNESS_NODE", sshd.address());
    command
        .env("GPU_HARNESS_CACHE", cache.path().join("cache"))
        .env("GPU_HARNESS_BIN", program("gpu-harness"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let ended = command.output().expect("python starts");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains(" passed"), "{said}");
}

/// A kind of promise a row: it is kept with each version.
macro_rules! rows {
    ($($promise:ident: $file:literal,)*) => {
        const FILES: &[&str] = &[$($file),*];

        mod oldest {
            $(#[test] fn $promise() { super::pass(7, $file); })*
        }

        mod newest {
            $(#[test] fn $promise() { super::pass(9, $file); })*
        }
    };
}

rows! {
    what_comes_back_is_what_pytest_would_say_of_the_test_here: "test_reports.py",
    marked_tests_run_on_the_node_and_the_others_here: "test_choice.py",
    a_session_is_one_node_whatever_happens_to_either_side: "test_session.py",
    workers_of_xdist_share_the_node: "test_xdist.py",
    files_that_can_be_imported_on_the_node_alone_are_collected_there: "test_elsewhere.py",
}

#[test]
fn every_file_of_promises_is_run() {
    let names = std::fs::read_dir(folder()).expect("the folder of the tests").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files = Vec::from_iter(names.filter(|name| name.starts_with("test_")));
    files.sort();
    let mut run = Vec::from_iter(FILES.iter().map(|file| (*file).to_owned()));
    run.sort();
    assert_eq!(files, run);
}
