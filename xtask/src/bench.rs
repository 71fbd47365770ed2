//! The figures of docs/benchmarks.md, each measured by one entry of [`BENCHES`].

use std::process::ExitCode;

use anyhow::Result;

use crate::{Entry, python, rig, setup};

/// What `cargo xtask bench NAME` can measure.
const BENCHES: &[Entry] = &[
    Entry {
        name: "overhead",
        about: "a trivial case on a warm ssh node against `ssh host true`, at 0 and 40 ms [RUNS=15]",
        run: |arguments| rig::run("bench", "overhead", arguments),
    },
    Entry {
        name: "upload",
        about: "a file into a node's store at 40 ms round trip against scp [MIB=128]",
        run: |arguments| rig::run("bench", "upload", arguments),
    },
    Entry {
        name: "flood",
        about: "100,000 log lines and metrics a second: loss and memory [SECONDS=60]",
        run: |arguments| rig::run("bench", "flood", arguments),
    },
    Entry {
        name: "holder",
        about: "a list of 2,000 cases, and one test of many on a shared node, at 0 and 40 ms [RUNS=20]",
        run: |arguments| rig::run("bench", "holder", arguments),
    },
    Entry {
        name: "launch",
        about: "calls before a launch, the harness's own time after it, and the way to confirmed gone [RUNS=5]",
        run: |arguments| rig::run("bench", "launch", arguments),
    },
    Entry {
        name: "pipeline",
        about: "images on S3 to Parquet: gpu-worker against a DataLoader and Ray Data; decoding, memory [IMAGES=2000] [MODEL=resnet18]",
        run: crate::pipeline::run,
    },
    Entry {
        name: "regression",
        about: "what the rule for regressions finds on simulated nights, beside others and Apache Otava [HISTORIES=2000] [SEED]",
        run: regression,
    },
    Entry {
        name: "step",
        about: "an overfit step in gpu-worker against Python's eager torch [STEPS=40]",
        run: crate::step::run,
    },
    Entry {
        name: "verdicts",
        about: "seeded faults against the checks that have to catch them, and sound versions [SEEDS=100]",
        run: |arguments| rig::run_as_tested("bench", "verdicts", arguments, &[]),
    },
];

/// Measures `name`.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<ExitCode> {
    crate::dispatch("bench", BENCHES, name, arguments)
}

fn regression(arguments: &[String]) -> Result<ExitCode> {
    let python = python::find(&setup::cache_folder()?, &python::OTAVA)?;
    rig::run_as_tested("bench", "regression", arguments, &[(python::OTAVA.variable(), &python)])
}
