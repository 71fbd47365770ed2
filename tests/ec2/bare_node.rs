//! A node that has nothing: what its cases need is put there before the first of them, from an index on its network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_harness_tests::index::{Index, Weather};
use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::sshd::Sshd;
use gpu_harness_tests::xml;
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;

/// Two cases, of which one needs libtorch.
const SUITE: &str = "
suite: s
cases:
  - name: plain
    command: { run: [\"true\"] }
  - name: trained
    train:
      model: { builtin: unet, width: 4 }
      data: { image: leaf.jpg, boxes: boxes.csv, task: segment, size: 32 }
      steps: 6
      learning-rate: 0.01
    limits: { threads: 1 }
    skip-checks:
      initial-loss: short
      loss-drop: short
      metric: short
      grad-norm-drop: short
      zeroed-image: short
      mixed-precision: short
      memory-flat: short
      export-parity: short
      resume-parity: short
      gradients: short
";

fn overfit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("suites").join("overfit-one-image.yaml")
}

/// A project whose node is bare, with these settings.
fn project(node: &Sshd, settings: &str) -> Project {
    let cache =
        gpu_harness::files::cache::folder(&gpu_harness::here::Env::of_process()).expect("a cache folder");
    let address = node.address();
    Project::with_suite(SUITE)
        .file("leaf.jpg", include_bytes!("../rig/leaf.jpg"))
        .file("boxes.csv", "xmin,ymin,xmax,ymax\n4,4,20,20\n")
        .file(
            "gpu-harness.yaml",
            format!(
                "nodes:\n  bare: {{ provider: ssh, address: {address:?}, environment: {{ {settings} }} }}\n"
            ),
        )
        .env("HOME", node.client_home().display().to_string())
        .env("GPU_HARNESS_CACHE", cache.display().to_string())
}

/// What the run tells of making the node ready: how often of progress, and what came of it.
fn told(run: &Finished) -> (usize, Vec<Event>) {
    let events = Vec::from_iter(run.events().into_iter().map(|record| record.event));
    let progress = events.iter().filter(|event| matches!(event, Event::EnvironmentProgress(_))).count();
    let ended = |event: &Event| matches!(event, Event::EnvironmentReady(_) | Event::EnvironmentFailed(_));
    (progress, events.into_iter().filter(ended).collect())
}

#[test]
fn a_bare_node_runs_the_main_suite() {
    let (node, index) = (Sshd::bare(), Index::start(Weather::Fair));
    let project = project(&node, &format!("index: {:?}", index.address()));
    // Its other cases take long, or a Python that such a node does not have.
    let cases = ["--case", "torchscript-model", "--case", "frozen-head"];
    let suite = overfit();
    let run = project.run(&[&[suite.to_str().expect("UTF-8"), "--node", "bare"], cases.as_slice()].concat());
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);
    let cases = xml::cases(&run.junit());
    assert!(cases.len() == 2 && cases.values().all(|outcome| outcome == "passed"), "{cases:?}");
    let (progress, ended) = told(&run);
    let [Event::EnvironmentReady(ready)] = ended.as_slice() else { panic!("{ended:?}") };
    assert!(progress >= 1 && ready.bytes > 100 << 20 && ready.bytes < 130 << 20, "{ready:?}");
    assert!(run.stdout.contains("libtorch 2.11.0+cpu is on the node"), "{}", run.stdout);
    // What is there is found, and nobody is asked for it again.
    let asked = index.asked();
    let again = project.run(&["--node", "bare"]);
    assert_eq!(again.code(), 0, "{}\n{}", again.stdout, again.stderr);
    assert_eq!((told(&again), index.asked()), ((0, vec![]), asked));
}

#[test]
fn an_index_that_cuts_every_connection_is_asked_for_the_rest() {
    let (node, index) = (Sshd::bare(), Index::start(Weather::Cuts(5 << 20)));
    let project = project(&node, &format!("index: {:?}", index.address()));
    let run = project.run(&["--node", "bare"]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);
    assert!(index.sent() < 140 << 20, "{} bytes were sent", index.sent());
}

#[test]
fn what_cannot_be_put_there_errs_the_cases_that_need_it_and_no_other() {
    let node = Sshd::bare();
    let slow = Index::start(Weather::Slow(Duration::from_secs(2)));
    for (settings, why) in [
        // Nobody listens on the port of the discard protocol.
        ("index: 'http://127.0.0.1:9/simple'".to_owned(), "6 times in a row"),
        ("index: 'ftp://127.0.0.1/simple'".to_owned(), "is no index"),
        (format!("index: {:?}, timeout: 3s", slow.address()), "it was not there after 3s"),
        ("libtorch: off".to_owned(), "was not found on the node"),
    ] {
        let project = project(&node, &settings);
        let run = project.run(&["--node", "bare"]);
        assert_eq!(run.code(), 3, "{settings}: {}\n{}", run.stdout, run.stderr);
        assert_eq!(run.outcome("plain").0, Outcome::Passed, "{settings}");
        let (outcome, reason) = run.outcome("trained");
        assert_eq!(outcome, Outcome::Errored, "{settings}: {reason}");
        assert!(reason.contains(why), "{settings}: {reason}");
        assert!(
            settings.contains("off") || reason.starts_with("environment: libtorch 2.11.0+cpu"),
            "{reason}"
        );
    }
}
