//! What it costs to be one test of many on a shared node: a list of 2,000 cases, and a trivial test of its own process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use gpu_harness_tests::fixture::Fixture;
use gpu_harness_tests::project::Project;
use gpu_harness_tests::proxy::Proxy;
use gpu_harness_tests::sshd::Sshd;

use crate::overhead::middle;
use crate::table::Table;

/// How many cases are listed.
const CASES: usize = 2_000;
/// Tells when each of the test processes begins, and when the last has ended, in nanoseconds.
const LOOP: &str = r#"i=0; while [ $i -le "$1" ]; do date +%s%N; "$0" --exact s::trivial --nocapture >/dev/null 2>&1 || exit 1; i=$((i + 1)); done; date +%s%N"#;

/// Measures both, `runs` times each, and prints the figures.
pub(crate) fn run(runs: u64) {
    let mut table = Table::new(["figure", "measured", "wanted"]);
    let cases = (0..CASES).map(|n| format!("  - {{ name: c{n}, command: {{ run: [\"true\"] }} }}\n"));
    let project = Project::with_suite(&format!("suite: s\ncases:\n{}", cases.collect::<String>()));
    let program = Fixture { project: &project }.program(&[]).get_program().to_owned();
    let listings = (0..runs).map(|_| {
        let mut list = std::process::Command::new(&program);
        list.args(["--list", "--format", "terse"])
            .env("FIXTURE_PROJECT", project.path())
            .stdout(Stdio::null());
        let begun = Instant::now();
        assert!(list.status().expect("it starts").success());
        begun.elapsed().as_secs_f64()
    });
    let listing = middle(listings.collect::<Vec<_>>().into_iter());
    table.row([&format!("{CASES} cases listed"), &ms(listing), "< 200 ms"]);

    let sshd = Sshd::start();
    let mut at_zero = 0.0;
    for round_trip in [0, 40] {
        let proxy = Proxy::with_round_trip(sshd.port(), Duration::from_millis(round_trip));
        sshd.trust(proxy.port());
        let project =
            Project::with_suite("suite: s\ncases:\n  - { name: trivial, command: { run: [\"true\"] } }\n")
                .env("HOME", sshd.client_home().display().to_string());
        let node = sshd.address_at(proxy.port());
        let mut command = project.command(&["run", "--node", &node, "--", "sh", "-c", LOOP]);
        command.arg(&program).arg(runs.to_string()).env("FIXTURE_PROJECT", project.path());
        let said = command.stderr(Stdio::null()).output().expect("gpu-harness starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        let text = String::from_utf8(said.stdout).expect("numbers");
        let times = text.lines().map(|line| line.parse::<u64>().expect("nanoseconds")).collect::<Vec<_>>();
        let lasted = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9);
        // The first has the node brought up.
        let test = middle(lasted.skip(1));
        if round_trip == 0 {
            at_zero = test;
            table.row(["a trivial test, all of its process, at 0 ms round trip", &ms(test), "< 100 ms"]);
        } else {
            let more = (test - at_zero) / (round_trip as f64 / 1e3);
            table.row([
                &format!("the same at {round_trip} ms"),
                &format!("{}, {more:.1} round trips more", ms(test)),
                "",
            ]);
        }
    }
    println!(
        "medians of {runs}; cargo's profile is {}\n",
        if cfg!(debug_assertions) { "dev" } else { "release" }
    );
    table.print();
}

fn ms(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}
