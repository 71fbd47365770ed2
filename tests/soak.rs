//! The hardships that a run must withstand, at their full counts: `cargo xtask soak NAME [COUNT] [SEED]`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

use std::process::ExitCode;
use std::time::Instant;

use gpu_harness_tests::ec2::Weather;
use gpu_harness_tests::{big_binary, corrupt, cuts, kills, leaks, reaps, resumes};

/// As many hosts as two cores bear.
const LEAKS_AT_ONCE: u64 = 6;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("", String::as_str);
    let number = |place: usize, default: u64| match arguments.get(place) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(seed), begun) = (number(2, 1), Instant::now()) else { return usage() };
    // What runs on the test EC2 has it as hard as this.
    let weather = || Weather::of_the_environment().unwrap_or(Weather::Seed(seed));
    let seen = match (name, number(1, count(name))) {
        ("binary", Some(mib)) => format!("{:?}", big_binary::check(mib, seed)),
        ("corrupt", Some(images)) => format!("{:?}", corrupt::check(images, seed)),
        ("cuts", Some(places)) => format!("{:?}", cuts::check(places, seed)),
        ("kills", Some(rounds)) => format!("{:?}", kills::check(rounds, seed)),
        ("leaks", Some(rounds)) => {
            format!("{:?}", leaks::check(rounds, seed, LEAKS_AT_ONCE, weather()))
        }
        ("pipeline", Some(rounds)) => format!("{:?}", resumes::check(rounds, seed)),
        ("workers", Some(rounds)) => format!("{:?}", resumes::check_two_at_once(rounds, seed)),
        ("reap", Some(rounds)) => format!("{:?}", reaps::check(rounds, seed, weather())),
        _ => return usage(),
    };
    println!("{name}: held in {:.0} s: {seen}", begun.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// The full count.
fn count(name: &str) -> u64 {
    match name {
        "binary" => 1024,
        "corrupt" => 10_000,
        "leaks" => 500,
        "pipeline" | "workers" => 100,
        "reap" => 1000,
        _ => 200,
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: cargo xtask soak binary|corrupt|cuts|kills|leaks|pipeline|reap|workers [COUNT=200, of binary 1024, of corrupt 10000, of \
         leaks 500, of pipeline and workers 100, of reap 1000] [SEED=1]"
    );
    eprintln!("  cuts   cuts the connection at random bytes until COUNT cuts were made");
    eprintln!("  kills  kills gpu-harness at random moments, COUNT times");
    eprintln!(
        "  leaks  kills gpu-harness on nodes from the test EC2 at every step, COUNT times: nothing may be left"
    );
    ExitCode::from(2)
}
