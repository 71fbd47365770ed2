//! The test EC2 keeps what it promises: its own tests in Python pass, and it ends with the test that started it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use gpu_harness_tests::ec2;

/// Passes the tests of one Python file of fixtures/ec2/tests.
fn passes(module: &str) {
    let mut python = ec2::python();
    let output = python.args(["-m", "unittest", &format!("tests.{module}")]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{python:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Nothing may be left out: there is root here.
    assert!(said.lines().last() == Some("OK"), "{said}");
}

/// A test for each file, so that they run at the same time, and a list of all.
macro_rules! files {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                passes(stringify!($name));
            }
        )*
        const FILES: &[&str] = &[$(stringify!($name)),*];
    };
}

files! {
    test_host
    test_host_faults
    test_host_gpus
    test_host_metadata
    test_host_traces
    test_user_data
}

#[test]
fn no_file_of_python_tests_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures").join("ec2/tests");
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".py")?.to_owned()));
    let mut found: Vec<String> = names.filter(|name| name.starts_with("test_")).collect();
    found.sort();
    assert_eq!(found, FILES);
}
