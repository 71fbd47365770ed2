//! The promise that a test binary is sent to a node once, however large it is and however many tests it has.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::proxy::{Direction, Network, Proxy};
use crate::theirs::{COUNT, Crate, said};

/// The most that may go over the wire beside the binary: the agent, and each test's plan.
const BESIDE: u64 = 40 << 20;
/// The most that goes over the wire where the node has everything.
const NOTHING: u64 = 1 << 20;

#[derive(Debug, Clone, Copy)]
pub struct Tally {
    pub bytes: u64,
    /// What went to the node in the first run, in bytes.
    pub sent: u64,
    /// What went there in the second one.
    pub again: u64,
    /// How long the first run of all tests took.
    pub first: Duration,
    /// How long the second one did.
    pub second: Duration,
}

/// Runs the tests of a binary of so many MiB and a little, twice, each test in a process of its own.
pub fn check(mib: u64, seed: u64) -> Tally {
    let theirs = Crate::new();
    let proxy = Proxy::to(theirs.sshd.port(), Network::default());
    theirs.sshd.trust(proxy.port());
    let address = theirs.sshd.address_at(proxy.port());
    let built = theirs.cargo_at(&address, &[], &["test", "--no-run"]);
    assert!(built.status.success(), "{}", said(&built));
    // What stands behind the last section of an ELF file is no concern of the loader's; this does not compress.
    let binary = theirs.binary();
    let mut file = OpenOptions::new().append(true).open(&binary).expect("the binary");
    let mut random = StdRng::seed_from_u64(seed);
    let mut block = vec![0; 1 << 20];
    for _ in 0..mib {
        random.fill(&mut block[..]);
        file.write_all(&block).expect("room for the binary");
    }
    let bytes = file.metadata().expect("the binary").len();
    drop(file);
    let run = || {
        let (begun, before) = (Instant::now(), proxy.delivered(Direction::Up));
        let run = theirs.cargo_at(&address, &[], &["nextest", "run", "--profile", "patient"]);
        let told = said(&run);
        assert!(run.status.success() && told.contains(&format!("{COUNT} passed")), "{told}");
        (proxy.delivered(Direction::Up) - before, begun.elapsed())
    };
    let ((sent, first), (again, second)) = (run(), run());
    assert!((mib << 20..bytes + BESIDE).contains(&sent), "{sent} bytes went there for {bytes}");
    assert!(again < NOTHING, "{again} bytes went there for what the node has");
    Tally { bytes, sent, again, first, second }
}
