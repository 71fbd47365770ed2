//! The figures of docs/benchmarks.md that are about whole programs: `cargo xtask bench NAME`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

mod flood;
mod holder;
mod launch;
mod overhead;
mod pytest;
mod regression;
mod table;
mod upload;
mod verdicts;

use std::process::ExitCode;

struct Bench {
    name: &'static str,
    about: &'static str,
    /// How much of it, unless it is said.
    count: u64,
    /// By count and seed.
    run: fn(u64, Option<u64>) -> ExitCode,
}

const BENCHES: [Bench; 8] = [
    Bench {
        name: "overhead",
        about: "a trivial case on a warm ssh node against `ssh host true`, at 0 and 40 ms, so many runs",
        count: 15,
        run: |runs, _| {
            overhead::run(runs);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "upload",
        about: "a file of so many MiB into a node's store at 40 ms round trip against scp",
        count: 128,
        run: |mib, _| {
            upload::run(mib);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "flood",
        about: "100,000 log lines and metrics a second for so many seconds: loss and memory",
        count: 60,
        run: |seconds, _| {
            flood::run(seconds);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "holder",
        about: "a list of 2,000 cases, and one test of many on a shared node, at 0 and 40 ms, so many runs",
        count: 20,
        run: |runs, _| {
            holder::run(runs);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "pytest",
        about: "a session of `pytest --gpu-remote` against `exec -- pytest`, of 1 and 1,000 tests, so many runs",
        count: 5,
        run: |runs, _| {
            pytest::run(runs);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "launch",
        about: "calls before a launch, the harness's own time after it, the way to confirmed gone, so many runs",
        count: 5,
        run: |runs, _| {
            launch::run(runs);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "regression",
        about: "what the rule for regressions finds on simulated nights, beside others and Apache Otava [SEED]",
        count: 2_000,
        run: |histories, seed| {
            regression::run(histories, seed);
            ExitCode::SUCCESS
        },
    },
    Bench {
        name: "verdicts",
        about: "seeded faults against the checks that have to catch them, and sound versions, so many seeds",
        count: 100,
        run: |seeds, _| if verdicts::run(seeds) { ExitCode::SUCCESS } else { ExitCode::FAILURE },
    },
];

fn main() -> ExitCode {
    let arguments = Vec::from_iter(std::env::args().skip(1));
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse().ok());
    let Some(bench) = BENCHES.iter().find(|bench| arguments.first().is_some_and(|name| name == bench.name))
    else {
        eprintln!("usage: cargo xtask bench NAME [COUNT] [SEED]");
        for Bench { name, about, count, .. } in &BENCHES {
            eprintln!("  {name:10} {about} [COUNT={count}]");
        }
        return ExitCode::from(2);
    };
    (bench.run)(number(1).unwrap_or(bench.count), number(2))
}
