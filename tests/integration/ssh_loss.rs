//! A connection that is lost is told as lost: soon, with the reason, and never as a command's end.

use std::time::Duration;

use gpu_harness::transport::{Command, ExitStatus, LostCause, SshOptions, Transport, TransportError};
use gpu_harness_tests::proxy::{Cut, Direction, How, Network, Proxy};
use gpu_harness_tests::sshd::Sshd;

/// How a loss is told that nothing but silence shows.
const SILENCE: &str = "no answer for";

/// What a command with known output, input and end comes to.
async fn attempt(address: &str, options: SshOptions) -> Result<(), TransportError> {
    let node = Transport::ssh(address, options).await?;
    let mut exec = node.exec(Command::shell("seq 1 2000; cat; exit 5")).await?;
    let _ = exec.stdin.write(b"and this".as_slice()).await;
    exec.stdin.close();
    let mut output = Vec::new();
    while let Some(chunk) = exec.stdout.recv().await {
        output.extend(chunk?);
    }
    let status = exec.wait().await?;
    let expected: String = (1..=2000).map(|i| format!("{i}\n")).chain(["and this".to_owned()]).collect();
    assert_eq!(status, ExitStatus::Code(5), "after {} bytes", output.len());
    assert_eq!(output, expected.as_bytes());
    Ok(())
}

#[tokio::test]
async fn a_cut_at_any_byte_is_never_taken_for_an_end() {
    const PLACES: u64 = 60;
    let sshd = Sshd::start();
    let whole = Proxy::to(sshd.port(), Network::default());
    sshd.trust(whole.port());
    attempt(&sshd.address_at(whole.port()), sshd.ssh_options()).await.unwrap();
    let all = whole.delivered(Direction::Both);
    let cuts = (0..PLACES).map(|place| Cut {
        // Odd steps: the places differ from packet borders.
        after: 1 + place * all / PLACES,
        counting: Direction::Both,
        how: if place % 2 == 0 { How::Reset } else { How::Fin },
    });
    let proxy = Proxy::to(sshd.port(), Network { cuts: cuts.clone().collect(), ..Network::default() });
    sshd.trust(proxy.port());
    for cut in cuts {
        match attempt(&sshd.address_at(proxy.port()), sshd.ssh_options()).await {
            // Only the last bytes, of the farewell, may be missing.
            Ok(()) => assert!(cut.after > all * 9 / 10, "{cut:?} of {all}"),
            Err(error) => {
                assert!(error.is_transient(), "{cut:?} of {all}: {error:?}");
                assert!(!error.to_string().contains(SILENCE), "{cut:?} was waited for: {error}");
            }
        }
    }
    assert!(proxy.cuts() > PLACES * 8 / 10, "{}", proxy.cuts());
    // And once there is none left:
    attempt(&sshd.address_at(proxy.port()), sshd.ssh_options()).await.unwrap();
}

#[tokio::test]
async fn a_dead_peer_is_noticed_within_the_limit() {
    let sshd = Sshd::start();
    let proxy = Proxy::to(sshd.port(), Network::default());
    sshd.trust(proxy.port());
    let silence_limit = Duration::from_secs(4);
    let options = SshOptions { silence_limit, ..sshd.ssh_options() };
    let node = Transport::ssh(&sshd.address_at(proxy.port()), options).await.unwrap();
    let mut exec = node.exec(Command::shell("echo up; sleep 60")).await.unwrap();
    let mut other = node.exec(Command::shell("cat")).await.unwrap();
    exec.stdout.recv().await.unwrap().unwrap();
    // A command that says nothing for long is no dead peer.
    assert!(tokio::time::timeout(silence_limit * 3 / 2, exec.stdout.recv()).await.is_err());
    proxy.black_hole(true);
    let error = exec.stdout.recv().await.unwrap().unwrap_err();
    let TransportError::ConnectionLost(lost) = &error else { panic!("{error:?}") };
    assert_eq!(lost.cause, LostCause::Silent(silence_limit));
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains(&format!(": {SILENCE} 4.0 s, "))
            && text.ends_with("after it was made, while running `echo up; sleep 60`"),
        "{text}"
    );
    assert!(matches!(exec.wait().await, Err(TransportError::ConnectionLost(_))));
    assert!(matches!(other.wait().await, Err(TransportError::ConnectionLost(_))));
    let mut late = node.exec(Command::shell("true")).await.unwrap();
    assert!(matches!(late.wait().await, Err(TransportError::ConnectionLost(_))));
}

#[tokio::test]
async fn a_node_that_dies_is_noticed_at_once_and_a_new_connection_works() {
    let sshd = Sshd::start();
    let mut node = Transport::ssh(&sshd.address(), sshd.ssh_options()).await.unwrap();
    let mut exec = node.exec(Command::shell("echo up; sleep 60")).await.unwrap();
    exec.stdout.recv().await.unwrap().unwrap();
    sshd.kill_connections();
    let error = exec.wait().await.unwrap_err();
    let TransportError::ConnectionLost(lost) = &error else { panic!("{error:?}") };
    assert!(matches!(lost.cause, LostCause::Closed(_)), "{lost}");
    node.reconnect().await.unwrap();
    assert_eq!(node.exec(Command::shell("exit 8")).await.unwrap().wait().await.unwrap(), ExitStatus::Code(8));
}

#[tokio::test]
async fn an_idle_connection_that_died_is_noticed_by_the_next_command() {
    let sshd = Sshd::start();
    let mut node = Transport::ssh(&sshd.address(), sshd.ssh_options()).await.unwrap();
    node.exec(Command::shell("true")).await.unwrap().wait().await.unwrap();
    sshd.kill_connections();
    let error = node.exec(Command::shell("true")).await.unwrap().wait().await.unwrap_err();
    assert!(matches!(error, TransportError::ConnectionLost(_)), "{error:?}");
    node.reconnect().await.unwrap();
    node.exec(Command::shell("true")).await.unwrap().wait().await.unwrap();
}

#[tokio::test]
async fn a_slow_wire_is_no_dead_one() {
    let sshd = Sshd::start();
    let network = Network { one_way: Duration::from_millis(50), rate: Some(200_000), ..Network::default() };
    let proxy = Proxy::to(sshd.port(), network);
    sshd.trust(proxy.port());
    let options = SshOptions { silence_limit: Duration::from_secs(3), ..sshd.ssh_options() };
    let node = Transport::ssh(&sshd.address_at(proxy.port()), options).await.unwrap();
    let mut exec = node.exec(Command::shell("head -c 1000000 | wc -c")).await.unwrap();
    for _ in 0..10 {
        exec.stdin.write(vec![7; 100_000]).await.unwrap();
    }
    exec.stdin.close();
    assert_eq!(exec.stdout.recv().await.unwrap().unwrap(), b"1000000\n");
}
