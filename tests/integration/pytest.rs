//! `pytest --gpu-remote`: tests of any Python project run on a node, in one report with the others, by the real pytest.
//!
//! The promises are the tests in python/tests, a file each for a kind of them. They run here with the oldest and the newest
//! pytest that the plugin is for, against a node that is reached by ssh.

use std::process::{Command, Stdio};

use gpu_harness_tests::project::program;
use gpu_harness_tests::pytest::{NEWEST, OLDEST, package, python};
use gpu_harness_tests::sshd::Sshd;

/// Passes the tests of a file with this version of pytest.
fn pass(version: u8, file: &str) {
    let sshd = Sshd::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(python(version));
    command.args(["-m", "pytest", "-p", "no:cacheprovider", file]);
    command.arg("--basetemp").arg(folder.path().join("projects"));
    command.current_dir(package().join("tests")).stdin(Stdio::null());
    command.env("HOME", sshd.client_home()).env("GPU_HARNESS_NODE", sshd.address());
    command.env("GPU_HARNESS_CACHE", folder.path().join("cache"));
    command.env("GPU_HARNESS_BIN", program("gpu-harness")).env("PYTHONDONTWRITEBYTECODE", "1");
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
            $(
                #[test]
                fn $promise() {
                    super::pass(super::OLDEST, $file);
                }
            )*
        }

        mod newest {
            $(
                #[test]
                fn $promise() {
                    super::pass(super::NEWEST, $file);
                }
            )*
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
    let names = std::fs::read_dir(package().join("tests")).expect("the folder of the tests").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files = Vec::from_iter(names.filter(|name| name.starts_with("test_")));
    files.sort();
    let mut run = Vec::from_iter(FILES.iter().map(|file| (*file).to_owned()));
    run.sort();
    assert_eq!(files, run);
}
