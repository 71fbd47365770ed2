//! A rate is measured under rules: what is slow fails, what was measured in company is an error, and the record tells all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_harness_tests::project::{Finished, Project};
use gpu_harness_tests::xml;
use gpu_suites::outcome::Outcome;
use serde_json::Value;

/// On whatever else these tests run beside: `others: 100%` puts up with all of it.
const SMALL: &str = "model: { builtin: unet, width: 4 }, input: [3, 32, 32], measure: 1s, windows: 3";

fn measured(cases: &str) -> (Project, Finished) {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let project = Project::with_suite(&format!("suite: s\ncases:\n{cases}")).env("LIBTORCH", libtorch);
    let run = project.run(&[]);
    (project, run)
}

/// The figures of a case by name, the last value of each.
fn figures(run: &Finished, case: &str) -> serde_json::Map<String, Value> {
    let mut all = serde_json::Map::new();
    for record in run.events() {
        let event = serde_json::to_value(&record).expect("an event is JSON");
        if event["kind"] == "metrics" && event["case"] == format!("s::{case}") {
            all.extend(event["values"].as_object().expect("values").clone());
        }
    }
    all
}

#[test]
fn a_rate_is_measured_with_everything_that_makes_it_worth_something() {
    let (_project, run) = measured(&format!(
        "  - name: forward\n    device: cpu\n    throughput: {{ {SMALL}, others: 100%, batch: [1, 4] }}\n    checks: {{ rate: [{{ at-least: 0.1, memory: 4 GiB }}, {{ batch: 4, of-ceiling: 0.001% }}] }}\n\
         \x20 - name: step\n    device: cpu\n    throughput: {{ {SMALL}, others: 100%, mode: training-step, batch: auto }}\n    checks: {{ rate: [{{ at-least: 0.1 }}] }}\n\
         \x20 - name: slow\n    device: cpu\n    throughput: {{ {SMALL}, others: 100%, batch: 2 }}\n    checks: {{ rate: [{{ at-least: 1e12 }}] }}\n"
    ));
    assert_eq!(run.code(), 1, "{}\n{}", run.stdout, run.stderr);
    let cases = xml::cases(&run.junit());
    assert_eq!(cases["forward"], "passed", "{}", run.stdout);
    assert_eq!(cases["step"], "passed", "{}", run.stdout);
    assert_eq!(cases["slow"], "failure");
    let reason = run.outcome("slow").1;
    assert!(reason.contains("items/s, wanted at least"), "{reason}");

    let forward = figures(&run, "forward");
    let number = |name: &str| forward[name].as_f64().unwrap_or_else(|| panic!("{name}: {forward:?}"));
    let fastest = number("fp32/batch-1/items_per_second").max(number("fp32/batch-4/items_per_second"));
    assert!((number("fp32/items_per_second") - fastest).abs() < 1e-9);
    for name in [
        "spread",
        "share_of_ceiling",
        "latency_p50_ms",
        "memory_peak_bytes",
        "gflop_per_item",
        "measured_seconds",
    ] {
        assert!(number(&format!("fp32/{name}")) >= 0.0);
    }
    assert!(number("fp32/ceiling_gflops") > 1.0 && number("fp32/ceiling_copy_gbps") > 0.1);
    assert_eq!(forward["fp32/short"], true, "a second is too short to compare");
    assert!(figures(&run, "step")["fp32/batch"].as_f64().is_some_and(|batch| batch >= 1.0));

    let path = run.run_dir.as_ref().expect("a run").join("cases/s.forward/artifacts/throughput.json");
    let record: Value =
        serde_json::from_slice(&std::fs::read(path).expect("the record is there")).expect("JSON");
    let windows = record["dtypes"][0]["points"][0]["windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 3);
    assert!(windows.iter().all(|window| window["iterations"].as_u64().is_some_and(|count| count > 0)));
    for (fact, value) in [("libtorch", "2.11.0"), ("name", "cpu")] {
        assert_eq!(record["device"][fact], value);
    }
}

#[test]
fn a_measurement_in_company_is_an_error_and_never_slow() {
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let company = Vec::from_iter((0..cores).map(|_| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    }));
    let (_project, run) = measured(&format!(
        "  - name: crowded\n    device: cpu\n    throughput: {{ {SMALL}, others: 1%, batch: 2 }}\n    checks: {{ rate: [{{ at-least: 1e12 }}] }}\n"
    ));
    stop.store(true, Ordering::Relaxed);
    for thread in company {
        thread.join().expect("it only spins");
    }
    assert_eq!(run.code(), 3, "{}\n{}", run.stdout, run.stderr);
    let (outcome, reason) = run.outcome("crowded");
    assert_eq!(outcome, Outcome::Errored);
    assert!(reason.contains("other processes took") && reason.contains("0 of 3 windows"), "{reason}");
    let figures = figures(&run, "crowded");
    let said = BTreeSet::from_iter(figures.keys().map(String::as_str));
    assert!(said.contains("fp32/batch-2/invalid_items_per_second"), "what was seen is kept: {said:?}");
    assert!(!said.contains("fp32/items_per_second"), "and is no rate: {said:?}");
}

#[test]
fn a_dtype_that_the_device_lacks_is_left_out_and_alone_it_is_an_error() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if flags.contains("avx512_fp16") || flags.contains("amx_fp16") {
        return;
    }
    let (_project, run) = measured(&format!(
        "  - name: both\n    device: cpu\n    throughput: {{ {SMALL}, others: 100%, batch: 2, dtypes: [fp16, fp32] }}\n    checks: {{ rate: [{{ at-least: 0.1 }}] }}\n\
         \x20 - name: alone\n    device: cpu\n    throughput: {{ {SMALL}, others: 100%, batch: 2, dtypes: [fp16] }}\n"
    ));
    assert_eq!(run.code(), 3, "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.outcome("both").0, Outcome::Passed, "{}", run.stdout);
    let (outcome, reason) = run.outcome("alone");
    assert_eq!(outcome, Outcome::Errored);
    assert!(reason.contains("no half-precision instructions"), "{reason}");
}
