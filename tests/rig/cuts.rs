//! The promise that a cut connection loses no event, at as many random places as one likes.

use std::time::Duration;

use gpu_suites::event::{Event, Record, Stream};
use gpu_suites::outcome::Outcome;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::project::{Finished, Project};
use crate::proxy::{Cut, Direction, How, Network, Proxy};
use crate::sshd::Sshd;

/// Lines and steps that the case writes, slowly enough that cuts fall into it.
const STEPS: u64 = 300;

const SCRIPT: &str = r#"
import os, sys, time
metrics = open(os.environ["GPU_HARNESS_METRICS"], "w")
for step in range(300):
    print("line", step, "x" * (step % 97), flush=True)
    print('{"step": %d, "loss": %f}' % (step, 1 / (step + 1)), file=metrics, flush=True)
    if step % 10 == 0:
        time.sleep(0.01)
open(os.path.join(os.environ["GPU_HARNESS_ARTIFACTS"], "result.txt"), "w").write("done\n")
print('{"@artifact": "result.txt"}', file=metrics, flush=True)
"#;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub rounds: usize,
    pub cuts: u64,
    /// Runs that were cut more than once.
    pub several: usize,
}

/// Runs a case over a connection that is cut at random bytes until `places` cuts have been made, and checks every run.
pub fn check(places: u64, seed: u64) -> Tally {
    let sshd = Sshd::start();
    let project = Project::with_suite(
        "suite: s\ncases:\n  - name: writes\n    command: { run: [python3, writes.py], files: [writes.py] }\n    checks: { loss-drop: {} }\n",
    )
    .file("writes.py", SCRIPT)
    .env("HOME", sshd.client_home().display().to_string());
    // Without a cut first: what a run looks like, how many bytes it is, and a node that has all files.
    let mut length = 0;
    for _ in 0..2 {
        let (run, proxy) = run_over(&project, &sshd, Vec::new());
        verify(&run, "without a cut");
        length = proxy.delivered(Direction::Both);
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut seen = Tally::default();
    while seen.cuts < places {
        let cuts: Vec<Cut> = (0..random.random_range(1..=5)).map(|_| any_cut(&mut random, length)).collect();
        let (run, proxy) = run_over(&project, &sshd, cuts.clone());
        verify(&run, &format!("seed {seed}, round {}, cuts {cuts:?}", seen.rounds));
        seen.rounds += 1;
        seen.cuts += proxy.cuts();
        seen.several += usize::from(proxy.cuts() > 1);
    }
    seen
}

fn any_cut(random: &mut StdRng, length: u64) -> Cut {
    let counting = [Direction::Up, Direction::Down, Direction::Both][random.random_range(0..3)];
    let how = if random.random() { How::Fin } else { How::Reset };
    // Half of them early, in the handshake and the first words; the rest anywhere.
    let after = if random.random() { random.random_range(0..6_000) } else { random.random_range(0..length) };
    Cut { after, counting, how }
}

fn run_over(project: &Project, sshd: &Sshd, cuts: Vec<Cut>) -> (Finished, Proxy) {
    let network = Network { one_way: Duration::ZERO, rate: None, cuts };
    let proxy = Proxy::to(sshd.port(), network);
    sshd.trust(proxy.port());
    let run = project.run(&["--node", &sshd.address_at(proxy.port())]);
    (run, proxy)
}

/// Every event once, in order; the same log, the same metrics, the same verdict, the artifact.
fn verify(run: &Finished, how: &str) {
    assert_eq!(run.status.code(), Some(0), "{how}: {run:?}");
    let events = run.events();
    assert!(
        events.iter().enumerate().all(|(i, record)| record.seq == i as u64),
        "{how}: a gap in events.ndjson"
    );
    let node: Vec<&Record> = events.iter().filter(|record| record.from.is_some()).collect();
    let numbers = node.iter().filter_map(|record| record.from.as_ref()).map(|from| from.seq);
    assert!(numbers.eq(0..node.len() as u64), "{how}: a gap in the node's journal");
    assert!(matches!(node.last().map(|record| &record.event), Some(Event::RunFinished(_))), "{how}: no end");
    let log: String = node
        .iter()
        .filter_map(|record| match &record.event {
            Event::Log(log) if log.stream == Stream::Stdout => Some(log.text.as_str()),
            _ => None,
        })
        .collect();
    let lines = (0..STEPS).map(|step| format!("line {step} {}\n", "x".repeat((step % 97) as usize)));
    let wanted = lines.collect::<Vec<_>>().concat();
    assert_eq!(log, wanted, "{how}: the log");
    let steps = node.iter().filter_map(|record| match &record.event {
        Event::Metrics(metrics) => metrics.step,
        _ => None,
    });
    assert!(steps.eq(0..STEPS), "{how}: the metrics");
    assert_eq!(run.outcome("writes").0, Outcome::Passed, "{how}");
    let artifact = run.folder().join("cases/s.writes/artifacts/result.txt");
    assert_eq!(std::fs::read_to_string(&artifact).unwrap_or_default(), "done\n", "{how}: the artifact");
}
