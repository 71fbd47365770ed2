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
mod regression;
mod table;
mod upload;
mod verdicts;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = arguments.get(1).and_then(|text| text.parse().ok());
    match arguments.first().map(String::as_str) {
        Some("overhead") => overhead::run(number.unwrap_or(15)),
        Some("upload") => upload::run(number.unwrap_or(128)),
        Some("flood") => flood::run(number.unwrap_or(60)),
        Some("holder") => holder::run(number.unwrap_or(20)),
        Some("launch") => launch::run(number.unwrap_or(5)),
        Some("verdicts") if !verdicts::run(number.unwrap_or(100)) => return ExitCode::FAILURE,
        Some("verdicts") => {}
        Some("regression") => {
            regression::run(number.unwrap_or(2_000), arguments.get(2).and_then(|text| text.parse().ok()));
        }
        _ => {
            eprintln!(
                "usage: cargo xtask bench overhead [RUNS=15] | upload [MIB=128] | flood [SECONDS=60] | launch [RUNS=5] | holder [RUNS=20] | \
                 verdicts [SEEDS=100] | regression [HISTORIES=2000] [SEED]"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
