//! Figures of the ssh transport against the OpenSSH programs, on a wire with a round trip of 40 ms.
//!
//! Both are promises of docs/benchmarks.md; here they hold with some slack for a busy machine.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gpu_harness::transport::{Command, ExitStatus, SshOptions, Transport};
use gpu_harness_tests::proxy::Proxy;
use gpu_harness_tests::sshd::Sshd;

const ROUND_TRIP: Duration = Duration::from_millis(40);
const MIB: usize = 1 << 20;

async fn connect(sshd: &Sshd, proxy: &Proxy) -> Transport {
    let options = SshOptions::below(sshd.client_home(), sshd.client_config());
    Transport::ssh(&sshd.address_at(proxy.port()), options).await.unwrap()
}

fn wire(sshd: &Sshd) -> Proxy {
    let proxy = Proxy::with_round_trip(sshd.port(), ROUND_TRIP);
    sshd.trust(proxy.port());
    proxy
}

/// The quickest of some tries, in round trips.
fn round_trips(times: &[Duration]) -> f64 {
    times.iter().min().unwrap().as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

#[tokio::test]
async fn a_first_command_costs_no_more_round_trips_than_that_of_openssh() {
    let sshd = Sshd::start();
    let proxy = wire(&sshd);
    let (mut theirs, mut ours, mut connected) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let started = Instant::now();
        assert!(sshd.ssh(proxy.port(), "true").stderr(Stdio::null()).status().unwrap().success());
        theirs.push(started.elapsed());

        let started = Instant::now();
        let node = connect(&sshd, &proxy).await;
        connected.push(started.elapsed());
        // The first word of ours goes with the request, and its answer comes with the command's first one.
        let mut exec = node.exec(Command::shell("head -n 1")).await.unwrap();
        exec.stdin.write(b"hello\n".as_slice()).await.unwrap();
        assert_eq!(exec.stdout.recv().await.unwrap().unwrap(), b"hello\n");
        assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(0));
        ours.push(started.elapsed());
    }
    let (theirs, connected, ours) = (round_trips(&theirs), round_trips(&connected), round_trips(&ours));
    println!("round trips of 40 ms: ssh true {theirs:.1}, ours {ours:.1} (connected after {connected:.1})");
    assert!(ours < theirs + 1.0, "ours {ours:.1}, ssh {theirs:.1}");
}

/// Sends `data` as one command's input a stripe, all at once on one connection.
async fn upload(node: &Transport, data: &[u8], folder: &Path, stripes: usize) {
    let mut running = tokio::task::JoinSet::new();
    for (index, part) in data.chunks(data.len().div_ceil(stripes)).enumerate() {
        let line = format!("cat > {}", folder.join(format!("part-{index}")).display());
        let mut exec = node.exec(Command::shell(line)).await.unwrap();
        let part = part.to_vec();
        running.spawn(async move {
            for chunk in part.chunks(256 << 10) {
                exec.stdin.write(chunk).await.unwrap();
            }
            assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(0));
        });
    }
    while let Some(one) = running.join_next().await {
        one.unwrap();
    }
}

#[tokio::test]
async fn an_upload_is_at_least_twice_as_fast_as_scp() {
    let size = 128 * MIB;
    let sshd = Sshd::start();
    let proxy = wire(&sshd);
    let data = vec![b'x'; size];
    let file = sshd.client_home().join("data");
    std::fs::write(&file, &data).unwrap();
    let mib = |elapsed: Duration| (size / MIB) as f64 / elapsed.as_secs_f64();

    let started = Instant::now();
    assert!(sshd.scp(proxy.port(), &file, &sshd.node_home().join("copy")).status().unwrap().success());
    let theirs = mib(started.elapsed());
    let mut best: f64 = 0.0;
    for stripes in [1, 2, 4, 8] {
        let started = Instant::now();
        let node = connect(&sshd, &proxy).await;
        upload(&node, &data, &sshd.node_home(), stripes).await;
        let ours = mib(started.elapsed());
        println!("MiB/s at 40 ms, connecting included: scp {theirs:.1}, ours {ours:.1} in {stripes} stripes");
        best = best.max(ours);
    }
    let sent: usize =
        (0..8).map(|part| std::fs::read(sshd.node_home().join(format!("part-{part}"))).unwrap().len()).sum();
    assert_eq!(sent, size);
    assert!(best > 2.0 * theirs, "ours {best:.1} MiB/s, scp {theirs:.1} MiB/s");
}
