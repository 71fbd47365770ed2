//! The hardships that a run must withstand, at their full counts: `cargo xtask soak NAME [COUNT] [SEED]`.

use std::process::ExitCode;
use std::time::Instant;

use gpu_harness_tests::{cuts, kills};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("", String::as_str);
    let number = |place: usize, default: u64| match arguments.get(place) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(seed), begun) = (number(2, 1), Instant::now()) else { return usage() };
    let seen = match (name, number(1, 200)) {
        ("cuts", Some(places)) => format!("{:?}", cuts::check(places, seed)),
        ("kills", Some(rounds)) => format!("{:?}", kills::check(rounds, seed)),
        _ => return usage(),
    };
    println!("{name}: held in {:.0} s: {seen}", begun.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo xtask soak cuts|kills [COUNT=200] [SEED=1]");
    eprintln!("  cuts   cuts the connection at random bytes until COUNT cuts were made");
    eprintln!("  kills  kills gpu-harness at random moments, COUNT times");
    ExitCode::from(2)
}
