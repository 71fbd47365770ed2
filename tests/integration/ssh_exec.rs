//! A command over ssh behaves as one on this machine: streams, exit code, signal, and several at once.

use std::time::Duration;

use gpu_harness::text::explained;
use gpu_harness::transport::{Command, Exec, ExitStatus, Transport, TransportError};
use gpu_harness_tests::process::within;
use gpu_harness_tests::sshd::{Sshd, bytes_of, output_of};
use sha2::{Digest as _, Sha256};

const MIB: usize = 1 << 20;

async fn shell(transport: &Transport, line: &str) -> Exec {
    transport.exec(Command::shell(line)).await.unwrap()
}

#[tokio::test]
async fn an_exit_code_and_a_signal_are_told_apart() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    for code in [0, 1, 42, 137, 255] {
        let status = shell(&node, &format!("exit {code}")).await.wait().await.unwrap();
        assert_eq!(status, ExitStatus::Code(code));
    }
    for signal in ["KILL", "SEGV", "TERM"] {
        let argv = ["sh", "-c", &format!("kill -{signal} $$; sleep 9")].map(String::from).to_vec();
        let status = node.exec(Command::argv(argv, Vec::new())).await.unwrap().wait().await.unwrap();
        assert_eq!(status, ExitStatus::Signal(signal.into()));
    }
}

#[tokio::test]
async fn arguments_and_variables_arrive_as_they_were_given() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let argv = ["sh", "-c", "printf '%s|' \"$@\" \"$GREETING\"", "sh", "two words", "it's $HOME", ""];
    let env = vec![("GREETING".to_owned(), "a 'b' \"c\"".to_owned())];
    let mut exec = node.exec(Command::argv(argv.map(String::from).to_vec(), env)).await.unwrap();
    let said = output_of(&mut exec).await;
    assert_eq!(said, "two words|it's $HOME||a 'b' \"c\"|");
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(0));
}

#[tokio::test]
async fn the_node_has_a_home_of_its_own() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut exec = shell(&node, "printf '%s %s' \"$HOME\" \"$GPU_HARNESS_CACHE\"").await;
    let expected = format!("{} {}", sshd.node_home().display(), sshd.node_cache().display());
    assert_eq!(output_of(&mut exec).await, expected);
}

#[tokio::test]
async fn bytes_that_are_no_text_come_through_unchanged() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let mut exec = shell(&node, "cat").await;
    exec.stdin.write(bytes.clone()).await.unwrap();
    exec.stdin.close();
    assert_eq!(bytes_of(&mut exec).await, bytes);
    let mut exec = shell(&node, "printf '\\377\\376 oops' >&2; exit 7").await;
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(7));
    assert_eq!(exec.stderr_text(), "\u{fffd}\u{fffd} oops");
}

#[tokio::test]
async fn only_the_end_of_standard_error_is_kept() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut exec = shell(&node, "seq 1 1000000 >&2; echo the end >&2").await;
    exec.wait().await.unwrap();
    let kept = exec.stderr_text();
    assert!(kept.ends_with("999999\n1000000\nthe end\n"), "{kept}");
    assert!((8 << 10..=16 << 10).contains(&kept.len()), "{}", kept.len());
}

/// Bytes that do not compress and differ everywhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

async fn echo(node: &Transport, length: usize) {
    let sent = noise(length);
    let expected = Sha256::digest(&sent);
    let mut exec = shell(node, "cat").await;
    let mut stdin = exec.take_stdin();
    let writing = tokio::spawn(async move {
        for chunk in sent.chunks(200_001) {
            stdin.write(chunk).await.unwrap();
        }
    });
    let mut received = Sha256::new();
    let mut count = 0;
    while let Some(chunk) = exec.stdout.recv().await {
        let chunk = chunk.unwrap();
        count += chunk.len();
        received.update(&chunk);
    }
    writing.await.unwrap();
    assert_eq!(count, length);
    assert_eq!(received.finalize(), expected);
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(0));
}

#[tokio::test]
async fn much_data_goes_both_ways_at_once() {
    let sshd = Sshd::start();
    echo(&sshd.connect().await, 64 * MIB).await;
}

#[tokio::test]
async fn keys_are_exchanged_anew_in_the_midst_of_much_data() {
    let sshd = Sshd::with(&["RekeyLimit 3M"]);
    let node = sshd.connect().await;
    tokio::join!(echo(&node, 16 * MIB), echo(&node, 16 * MIB));
}

#[tokio::test]
async fn many_commands_run_at_once_on_one_connection() {
    let sshd = Sshd::start();
    let node = std::sync::Arc::new(sshd.connect().await);
    let running: Vec<_> = (0..32_usize)
        .map(|index| {
            let node = std::sync::Arc::clone(&node);
            tokio::spawn(async move { echo(&node, 100_000 * (index % 5) + index).await })
        })
        .collect();
    for one in running {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_command_that_blocks_holds_up_no_other() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut silent = shell(&node, "sleep 600").await;
    // Its output is not read, so that it stands still; so is its input.
    let full = shell(&node, "cat /dev/zero").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shell(&node, "exit 5").await.wait().await.unwrap(), ExitStatus::Code(5));
    assert!(tokio::time::timeout(Duration::ZERO, silent.wait()).await.is_err(), "it goes on meanwhile");
    drop((silent, full));
    assert_eq!(shell(&node, "exit 6").await.wait().await.unwrap(), ExitStatus::Code(6));
}

#[tokio::test]
async fn a_slow_reader_slows_the_command_down_and_memory_stays_bounded() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let before = resident();
    let progress = sshd.node_home().join("progress");
    // Counts the blocks that it could get rid of.
    let line = format!(
        "i=0; while head -c 1048576 /dev/zero; do i=$((i+1)); echo $i > {}; done",
        progress.display()
    );
    let mut exec = shell(&node, &line).await;
    exec.stdout.recv().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let blocks: usize = std::fs::read_to_string(&progress).unwrap().trim().parse().unwrap();
    assert!(blocks < 16, "{blocks} MiB were sent to a reader that does not read");
    assert!(resident() < before + 32 * MIB, "{} MiB more", (resident() - before) / MIB);
    // It goes on when the reader does.
    for _ in 0..1000 {
        exec.stdout.recv().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_slow_command_slows_the_writer_down() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut exec = shell(&node, "sleep 60").await;
    let mut written = 0;
    let chunk = vec![0; 64 << 10];
    while tokio::time::timeout(Duration::from_millis(500), exec.stdin.write(chunk.clone())).await.is_ok() {
        written += chunk.len();
        assert!(written < 16 * MIB, "16 MiB were taken for a command that does not read");
    }
}

#[tokio::test]
async fn a_command_that_ends_early_stops_its_writer() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut exec = shell(&node, "head -c 10 > /dev/null; exit 3").await;
    let writing = async { while exec.stdin.write(vec![0; MIB]).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), writing).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3));
}

#[tokio::test]
async fn output_may_end_long_before_the_input_does() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let file = sshd.node_home().join("late");
    let mut exec = shell(&node, &format!("exec >&- 2>&-; cat > {}", file.display())).await;
    assert!(exec.stdout.recv().await.is_none());
    tokio::time::sleep(Duration::from_millis(100)).await;
    exec.stdin.write(b"late words".as_slice()).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(0));
    assert_eq!(std::fs::read(file).unwrap(), b"late words");
}

#[tokio::test]
async fn dropping_a_command_closes_its_streams() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let file = sshd.node_home().join("ended");
    let exec = shell(&node, &format!("echo up; cat > /dev/null; echo gone > {}", file.display())).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(exec);
    within(Duration::from_secs(60), "the command ends", || file.exists());
}

#[tokio::test]
async fn a_command_outlives_the_transport_that_started_it() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    let mut exec = shell(&node, "cat; exit 9").await;
    drop(node);
    exec.stdin.write(b"still here".as_slice()).await.unwrap();
    exec.stdin.close();
    assert_eq!(bytes_of(&mut exec).await, b"still here");
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(9));
}

#[tokio::test]
async fn an_idle_connection_serves_again() {
    let sshd = Sshd::start();
    let node = sshd.connect().await;
    for code in 0..3 {
        assert_eq!(shell(&node, &format!("exit {code}")).await.wait().await.unwrap(), ExitStatus::Code(code));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn commands_that_a_connection_may_not_have_get_one_of_their_own() {
    let sshd = Sshd::with(&["MaxSessions 1"]);
    let node = sshd.connect().await;
    let mut first = shell(&node, "cat").await;
    let mut others = Vec::new();
    for code in 1..=3 {
        others.push((code, shell(&node, &format!("exit {code}")).await));
    }
    for (code, mut other) in others {
        assert_eq!(other.wait().await.unwrap(), ExitStatus::Code(code));
    }
    first.stdin.write(b"still here".as_slice()).await.unwrap();
    first.stdin.close();
    assert_eq!(bytes_of(&mut first).await, b"still here");
    assert_eq!(first.wait().await.unwrap(), ExitStatus::Code(0));
}

#[tokio::test]
async fn a_server_that_allows_no_command_says_so() {
    let sshd = Sshd::with(&["MaxSessions 0"]);
    let error = shell(&sshd.connect().await, "true").await.wait().await.unwrap_err();
    assert!(matches!(error, TransportError::OpenChannel { .. }) && !error.is_transient(), "{error:?}");
    assert!(explained(&error).contains("MaxSessions"), "{error}");
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
