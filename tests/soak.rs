//! The hardships that a run must withstand, at their full counts: `cargo xtask soak NAME [COUNT] [SEED]`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is for whoever develops this project"
)]

use std::process::ExitCode;
use std::time::Instant;

use gpu_harness_tests::ec2::Weather;
use gpu_harness_tests::{big_binary, corrupt, cuts, evil, kills, leaks, reaps, resumes};

/// As many hosts as two cores bear.
const LEAKS_AT_ONCE: u64 = 6;

struct Soak {
    name: &'static str,
    about: &'static str,
    count: u64,
    /// By count and seed; gives what was seen, and panics where the promise does not hold.
    check: fn(u64, u64) -> String,
}

const SOAKS: [Soak; 9] = [
    Soak {
        name: "binary",
        about: "a test binary of so many MiB on a node: sent once for all its tests",
        count: 1024,
        check: |mib, seed| format!("{:?}", big_binary::check(mib, seed)),
    },
    Soak {
        name: "corrupt",
        about: "a pipeline over images of which a tenth is damaged",
        count: 10_000,
        check: |images, seed| format!("{:?}", corrupt::check(images, seed)),
    },
    Soak {
        name: "cuts",
        about: "cuts the connection at random bytes, several times a run",
        count: 200,
        check: |cuts, seed| format!("{:?}", cuts::check(cuts, seed)),
    },
    Soak {
        name: "evil",
        about: "a node that means harm: every COUNTth of its tricks, from the SEEDth on",
        count: 1,
        check: |every, seed| format!("{:?}", evil::check(every, seed)),
    },
    Soak {
        name: "kills",
        about: "kills gpu-harness at random moments",
        count: 200,
        check: |rounds, seed| format!("{:?}", kills::check(rounds, seed)),
    },
    Soak {
        name: "leaks",
        about: "kills gpu-harness on nodes from the test EC2 at every step, six at once: nothing may be left",
        count: 500,
        check: |rounds, seed| format!("{:?}", leaks::check(rounds, seed, LEAKS_AT_ONCE, weather(seed))),
    },
    Soak {
        name: "pipeline",
        about: "kills a pipeline at random moments and starts it again",
        count: 100,
        check: |rounds, seed| format!("{:?}", resumes::check(rounds, seed)),
    },
    Soak {
        name: "reap",
        about: "reaps beside twenty live runs and others that leave things behind",
        count: 1000,
        check: |rounds, seed| format!("{:?}", reaps::check(rounds, seed, weather(seed))),
    },
    Soak {
        name: "workers",
        about: "two pipelines at once on one store, one of them killed",
        count: 100,
        check: |rounds, seed| format!("{:?}", resumes::check_two_at_once(rounds, seed)),
    },
];

/// What runs on the test EC2 has it as hard as this.
fn weather(seed: u64) -> Weather {
    Weather::of_the_environment().unwrap_or(Weather::Seed(seed))
}

fn main() -> ExitCode {
    let arguments = Vec::from_iter(std::env::args().skip(1));
    let number = |place: usize, default: u64| match arguments.get(place) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let soak = SOAKS.iter().find(|soak| arguments.first().is_some_and(|name| name == soak.name));
    let asked = soak.and_then(|soak| Some((soak, number(1, soak.count)?, number(2, 1)?)));
    let Some((soak, count, seed)) = asked else {
        eprintln!("usage: cargo xtask soak NAME [COUNT] [SEED=1]");
        for Soak { name, about, count, .. } in &SOAKS {
            eprintln!("  {name:10} {about} [COUNT={count}]");
        }
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let seen = (soak.check)(count, seed);
    println!("{}: held in {:.0} s: {seen}", soak.name, begun.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
