//! What `pytest --gpu-remote` costs beside `gpu-harness exec -- pytest`, which brings no report: for a session, and for a test.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gpu_harness_tests::project::{Project, program};
use gpu_harness_tests::proxy::Proxy;
use gpu_harness_tests::pytest::{NEWEST, package, python};
use gpu_harness_tests::sshd::Sshd;

use crate::overhead::middle;
use crate::table::Table;

/// How many tests a long session has.
const MANY: u32 = 1_000;

/// Measures both in turn, `runs` times for each number of tests and round trip time, and prints the figures.
pub(crate) fn run(runs: u64) {
    let sshd = Sshd::start();
    let python = python(NEWEST).display().to_string();
    let mut table =
        Table::new(["round trip", "tests", "`exec -- pytest`", "`pytest --gpu-remote`", "more", "a test"]);
    for round_trip in [0, 40] {
        let proxy = Proxy::with_round_trip(sshd.port(), Duration::from_millis(round_trip));
        sshd.trust(proxy.port());
        let address = sshd.address_at(proxy.port());
        let mut of_one = 0.0;
        for tests in [1, MANY] {
            let project = project(tests).env("HOME", sshd.client_home().display().to_string());
            let exec = || {
                let words = ["exec", "-q", "--sync", "--node", &address, "--", &python, "-m", "pytest", "-q"];
                seconds(project.command(&words))
            };
            let plugin = || {
                // With the same environment, which names the cache folder and the keys.
                let mut command = Command::new(&python);
                for (name, value) in project.command(&[]).get_envs() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.args(["-m", "pytest", "-q", "-p", "gpu_harness.pytest_plugin"]);
                command.arg(format!("--gpu-remote={address}")).arg(format!("--gpu-python={python}"));
                command.current_dir(project.path()).stdin(Stdio::null());
                command.env("PYTHONPATH", package()).env("GPU_HARNESS_BIN", program("gpu-harness"));
                seconds(command)
            };
            // The first of each warms up: the agent and the tree go to the node.
            exec();
            plugin();
            let pairs: Vec<(f64, f64)> = (0..runs).map(|_| (exec(), plugin())).collect();
            let (theirs, ours) =
                (middle(pairs.iter().map(|pair| pair.0)), middle(pairs.iter().map(|pair| pair.1)));
            let more = ours - theirs;
            let each = if tests == 1 {
                of_one = more;
                "-".to_owned()
            } else {
                format!("{:.2} ms", (more - of_one) * 1e3 / f64::from(tests - 1))
            };
            let ms = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
            table.row([
                &ms(round_trip as f64 / 1e3),
                &tests.to_string(),
                &ms(theirs),
                &ms(ours),
                &ms(more),
                &each,
            ]);
        }
    }
    println!("medians of {runs} pairs, run in turn\n");
    table.print();
}

/// A project with so many tests that do nothing.
fn project(tests: u32) -> Project {
    let text = format!(
        "import pytest\n@pytest.mark.gpu\n@pytest.mark.parametrize('n', range({tests}))\ndef test_it(n): pass\n"
    );
    let project = Project::new().file("test_it.py", text).file(".gitignore", "cache/\ngpu-harness-runs/\n");
    let made = Command::new("git").args(["init", "-q"]).current_dir(project.path()).status();
    assert!(made.expect("git starts").success());
    project.file("pytest.ini", "[pytest]\nmarkers = gpu\n")
}

fn seconds(mut command: Command) -> f64 {
    let begun = Instant::now();
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(ended.success(), "{command:?}");
    begun.elapsed().as_secs_f64()
}
