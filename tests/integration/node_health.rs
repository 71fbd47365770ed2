//! Numbers of a node that is not well are shown and judge nothing: a GPU in trouble, and a node slower than such nodes are.

use std::fs;
use std::path::Path;
use std::process::Command;

use gpu_harness_tests::project::{Finished, Project};
use gpu_suites::event::Event;
use gpu_suites::outcome::Outcome;
use serde_json::Value;

/// A case that measures the next line of a file; the GPU is as another file says, and the case waits until it was looked at.
const SUITE: &str = r#"
suite: s
cases:
  - name: rate
    command:
      run:
        - sh
        - -c
        - |
          seen=$(wc -c < $NVML_STAND_IN.looks)
          while [ $(wc -c < $NVML_STAND_IN.looks) -lt $((seen + 2)) ]; do sleep 0.02; done
          echo "{\"items_per_second\": $(cat $RATE)}" > $GPU_HARNESS_METRICS
          exit $(cat $CODE)
"#;

/// A node with one GPU, whose driver's library stands in (fixtures/nvml).
struct WithGpu {
    project: Project,
}

impl WithGpu {
    fn new() -> Self {
        let project = Project::with_suite(SUITE);
        let library = project.path().join("libnvidia-ml.so.1");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/nvml/nvml.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(made.expect("Rust needs a C compiler to link").success());
        fs::write(project.path().join("nvml.looks"), "").unwrap();
        let path = |name: &str| project.path().join(name).display().to_string();
        let [folder, nvml, rate, code] = ["", "nvml", "rate", "code"].map(path);
        let libraries = format!("{folder}:{}", std::env::var("LD_LIBRARY_PATH").unwrap_or_default());
        let project = project.env("LD_LIBRARY_PATH", libraries).env("NVML_STAND_IN", nvml);
        Self { project: project.env("RATE", rate).env("CODE", code) }
    }

    fn night(&self, rate: &str, gpu: &str, code: &str) -> Finished {
        for (name, content) in [("rate", rate), ("nvml", gpu), ("code", code)] {
            fs::write(self.project.path().join(name), content).unwrap();
        }
        self.project.run(&["--history", "history"])
    }
}

#[test]
fn what_a_gpu_in_trouble_measures_is_shown_and_judges_nothing() {
    let node = WithGpu::new();
    for rate in ["100", "101", "99", "100.5", "99.5", "100", "101", "99", "100.5", "99.5"] {
        assert_eq!(node.night(rate, "throttle=0x4\n", "0").code(), 0);
    }
    let hot = node.night("80", "throttle=0x40\n", "0");
    assert_eq!(hot.code(), 0, "{hot:?}");
    assert!(hot.stdout.contains("degraded node, its figures judge nothing"), "{}", hot.stdout);
    assert!(hot.stdout.contains("slowed itself down: hw thermal slowdown"), "{}", hot.stdout);
    assert!(hot.junit().contains("history.degraded=GPU 0 (NVIDIA L4) slowed itself down"), "{}", hot.junit());
    let said = node.project.gpu_harness(&["history", "--history", "history", "--json"]);
    let entries: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(entries[0]["values"][10]["healthy"], false, "{entries:#}");

    // The same figure on a GPU that is well is the code's.
    let slow = node.night("80", "throttle=0x4\n", "0");
    assert_eq!(slow.code(), 1, "{slow:?}");

    // A test that fails on a GPU that breaks says nothing of the code.
    let broken = node.night("100", "ecc=0\n", "1");
    assert_eq!((broken.code(), broken.outcome("rate").0), (1, Outcome::Failed), "{broken:?}");
    let broken = node.night("100", "xid=79\n", "1");
    assert_eq!((broken.code(), broken.outcome("rate").0), (3, Outcome::Errored), "{broken:?}");
    assert!(broken.stdout.contains("it has fallen off the bus"), "{}", broken.stdout);
}

/// A case of the worker, so that libtorch is there for a canary.
const THROUGHPUT: &str = r"
suite: s
cases:
  - name: forward
    device: cpu
    throughput:
      { model: { builtin: unet, width: 4 }, input: [3, 32, 32], measure: 300ms, windows: 1, batch: 1, others: 100% }
    checks: { rate: [{ at-least: 0.01 }] }
";

fn with_libtorch(settings: &str) -> Project {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    Project::with_suite(THROUGHPUT).env("LIBTORCH", libtorch).file("gpu-harness.yaml", settings)
}

fn started(run: &Finished) -> Vec<String> {
    let records = run.events();
    let cases = records.iter().filter_map(|record| match &record.event {
        Event::CaseStarted(started) => Some(started.case.to_string()),
        _ => None,
    });
    cases.collect()
}

#[test]
fn a_run_that_is_judged_by_a_history_begins_with_a_canary() {
    let project = with_libtorch("history: history\n");
    let first = project.run(&[]);
    assert_eq!(first.code(), 0, "{first:?}");
    assert_eq!(started(&first), ["node::canary", "s::forward"]);
    let said = project.gpu_harness(&["history", "node::*"]).stdout;
    assert!(said.contains("fp32/ceiling_gflops") && said.contains("fp32/ceiling_copy_gbps"), "{said}");
    let quiet = with_libtorch("history: history\ncanary: off\n");
    assert_eq!(started(&quiet.run(&[])), ["s::forward"]);
}

#[test]
fn a_canary_tells_a_slow_node_by_its_own_nights_once_it_is_sure() {
    // A shorter one than the run would bring along.
    let node = "suite: node\ncases: [{ name: canary, canary: { measure: 400ms } }]\n";
    let project = with_libtorch("history: history\nmetrics: { \"*\": ignore }\n");
    let project = project.file("suites/node.yaml", node);
    let first = project.run(&[]);
    assert_eq!((first.code(), started(&first).len()), (0, 2), "{first:?}");

    // Ten nights on which such nodes were a thousand times as fast.
    let history = project.path().join("history");
    let object = fs::read_dir(&history).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&object).unwrap();
    let run = object.file_stem().unwrap().to_str().unwrap().to_owned();
    fs::remove_file(&object).unwrap();
    for night in 0..10 {
        let id = format!("2026010{night}-000000-1");
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let is_ceiling = line["metric"].as_str().is_some_and(|metric| metric.contains("ceiling_"));
            if let Some(value) = line["value"].as_f64().filter(|_| is_ceiling && line["suite"] == "node") {
                line["value"] = (value * 1000.0).into();
            }
            line.to_string().replace(&run, &id) + "\n"
        });
        fs::write(history.join(format!("{id}.ndjson")), lines.collect::<String>()).unwrap();
    }
    let slow = project.run(&[]);
    assert_eq!(slow.code(), 0, "{slow:?}");
    let junit = slow.junit();
    assert_eq!(
        junit.matches("history.degraded=fp32/ceiling_").count(),
        2,
        "the canary's and the case's: {junit}"
    );
    // What looked worse was measured again on the same node, before anything was said.
    assert_eq!(started(&slow).iter().filter(|case| *case == "node::canary").count(), 3, "{slow:?}");
}
