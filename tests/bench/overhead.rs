//! What a run costs beside its case: a trivial case on a warm ssh node, against `ssh host true`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use gpu_harness_tests::project::Project;
use gpu_harness_tests::proxy::Proxy;
use gpu_harness_tests::sshd::Sshd;

use crate::table::Table;

/// Measures both in turn, `runs` times at each round trip time, and prints the figures.
pub(crate) fn run(runs: u64) {
    let sshd = Sshd::start();
    let project =
        Project::with_suite("suite: s\ncases:\n  - { name: trivial, command: { run: [\"true\"] } }\n")
            .env("HOME", sshd.client_home().display().to_string());
    let mut table =
        Table::new(["round trip", "`ssh host true`", "`gpu-harness run`", "difference", "in round trips"]);
    let mut at_zero = 0.0;
    for round_trip in [0, 40] {
        let proxy = Proxy::with_round_trip(sshd.port(), Duration::from_millis(round_trip));
        sshd.trust(proxy.port());
        let address = sshd.address_at(proxy.port());
        let ours = || {
            let mut command = project.command(&["run", "-q", "--node", &address]);
            seconds(|| assert!(command.stdout(Stdio::null()).status().expect("gpu-harness starts").success()))
        };
        let theirs = || {
            let mut command = sshd.ssh(proxy.port(), "true");
            seconds(|| assert!(command.stdout(Stdio::null()).status().expect("ssh starts").success()))
        };
        // The first of each warms up: the agent goes to the node.
        ours();
        theirs();
        let pairs: Vec<(f64, f64)> = (0..runs).map(|_| (theirs(), ours())).collect();
        let ssh = middle(pairs.iter().map(|pair| pair.0));
        let harness = middle(pairs.iter().map(|pair| pair.1));
        let more = harness - ssh;
        let trips = if round_trip == 0 {
            at_zero = more;
            "-".to_owned()
        } else {
            let one = round_trip as f64 / 1e3;
            format!("{:.1} in all; {:.1} beyond the difference at 0 ms", more / one, (more - at_zero) / one)
        };
        let ms = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
        table.row([&format!("{round_trip} ms"), &ms(ssh), &ms(harness), &ms(more), &trips]);
    }
    println!("medians of {runs} pairs, run in turn\n");
    table.print();
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

pub(crate) fn middle(values: impl Iterator<Item = f64>) -> f64 {
    gpu_suites::statistics::median(&Vec::from_iter(values)).expect("something was measured")
}
