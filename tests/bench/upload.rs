//! How fast a file gets into a node's store at 40 ms round trip, against the scp program.

use std::time::{Duration, Instant};

use gpu_harness_tests::project::Project;
use gpu_harness_tests::proxy::Proxy;
use gpu_harness_tests::sshd::Sshd;
use gpu_suites::event::Event;
use rand::Rng as _;

use crate::overhead::middle;
use crate::table::Table;

const RUNS: usize = 5;

/// Sends `mib` MiB that do not compress, a fresh file each time, and prints the figures.
pub(crate) fn run(mib: u64) {
    let sshd = Sshd::start();
    let proxy = Proxy::with_round_trip(sshd.port(), Duration::from_millis(40));
    sshd.trust(proxy.port());
    let address = sshd.address_at(proxy.port());
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    // The first round warms up.
    for round in 0..=RUNS {
        let mut content = vec![0; usize::try_from(mib << 20).expect("it fits into memory")];
        rand::rng().fill_bytes(&mut content);
        let project = Project::with_suite(
            "suite: s\ncases:\n  - { name: reads, command: { run: [\"true\"], files: [big.bin] } }\n",
        )
        .file("big.bin", content)
        .env("HOME", sshd.client_home().display().to_string());
        let run = project.run(&["-q", "--node", &address]);
        assert_eq!(run.code(), 0, "{run:?}");
        let upload = run.events().into_iter().find_map(|record| match record.event {
            Event::Upload(upload) => Some(upload.seconds),
            _ => None,
        });
        let begun = Instant::now();
        let mut scp =
            sshd.scp(proxy.port(), &project.path().join("big.bin"), &sshd.node_home().join("big.bin"));
        assert!(scp.status().expect("scp starts").success());
        let scp = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        assert!(sshd.ssh(proxy.port(), "true").status().expect("ssh starts").success());
        // Connecting is no part of our figure, so it must not be one of scp's.
        let scp = scp - begun.elapsed().as_secs_f64();
        if round > 0 {
            ours.push(upload.expect("something was uploaded"));
            theirs.push(scp);
        }
    }
    let (ours, theirs) = (middle(ours.into_iter()), middle(theirs.into_iter()));
    let rate = |seconds: f64| format!("{:.1} MiB/s", mib as f64 / seconds);
    let mut table = Table::new(["what", "rate", "against scp"]);
    table.row(["scp", &rate(theirs), "1.00×"]);
    table.row(["gpu-harness, verified by sha256", &rate(ours), &format!("{:.2}×", theirs / ours)]);
    println!("{mib} MiB that do not compress, 40 ms round trip, medians of {RUNS}; connecting not counted\n");
    table.print();
}
