//! Commands on this machine.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::exec::{FarSide, Nudge, Tail, pair};
use super::{Command, Exec, ExitStatus, TransportError};

const CHUNK: usize = 64 << 10;
/// How long the last words on standard error are waited for once the program has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts a program in a process group of its own, so that an interrupt from the terminal is ours to pass on. It does not
/// outlive this process, however that ends; what it detaches itself does.
pub(super) fn exec(command: &Command) -> Result<Exec, TransportError> {
    let (argv, env) = command.local_argv();
    let program = argv.first().cloned().unwrap_or_default();
    let mut starting = tokio::process::Command::new(&program);
    starting
        .args(argv.get(1..).unwrap_or_default())
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
    unsafe {
        // The signal comes when the thread ends that starts the child: it is one of the runtime's, which lives as long.
        starting.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have ended before that.
            match rustix::process::getppid() {
                Some(now) if now == parent => Ok(()),
                _ => Err(std::io::ErrorKind::NotConnected.into()),
            }
        });
    }
    let mut child =
        starting.spawn().map_err(|source| TransportError::Spawn { program: program.clone(), source })?;
    // The tasks of a local command wait on channels of their own: nobody has to be nudged.
    let nudge: Nudge = Arc::new(|| ());
    let (exec, FarSide { stdin, stdout, stderr, ended, .. }) = pair(&nudge);
    if let Some(input) = child.stdin.take() {
        tokio::spawn(feed(input, stdin));
    }
    if let (Some(output), Some(stdout)) = (child.stdout.take(), stdout) {
        tokio::spawn(pass_on(output, stdout));
    }
    let words = child.stderr.take().map(|from| tokio::spawn(keep_tail(from, stderr)));
    tokio::spawn(async move {
        let mut ended = ended;
        tokio::select! {
            status = child.wait() => {
                if let Some(words) = words {
                    let _ = tokio::time::timeout(LAST_WORDS, words).await;
                }
                let _ = ended.send(status.map(status_of).map_err(|source| TransportError::Wait { program, source }));
            }
            () = ended.closed() => end(child).await,
        }
    });
    Ok(exec)
}

/// Kills what was started, with the processes that it started itself and that did not leave its group.
async fn end(mut child: Child) {
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait().await;
}

async fn feed(mut into: ChildStdin, mut from: mpsc::Receiver<Vec<u8>>) {
    while let Some(chunk) = from.recv().await {
        if into.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

async fn pass_on(mut from: ChildStdout, into: mpsc::Sender<Result<Vec<u8>, TransportError>>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        // Unwanted output is read all the same: the program must not stop at a full pipe.
        let _ = into.send(Ok(buffer[..read].to_vec())).await;
    }
}

async fn keep_tail(mut from: impl AsyncRead + Unpin, tail: Tail) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        tail.push(&buffer[..read]);
    }
}

fn status_of(status: std::process::ExitStatus) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal_name(signal.unwrap_or_default())),
    }
}

/// The name that ssh gives the signal too (RFC 4254, 6.10): without `SIG`.
fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| number.to_string(), |signal| signal.as_str().trim_start_matches("SIG").to_owned())
}

#[cfg(test)]
mod tests {
    use gpu_suites::process::Stat;

    use super::*;

    fn shell(line: &str) -> Exec {
        exec(&Command::shell(line)).unwrap()
    }

    async fn all(exec: &mut Exec) -> Vec<u8> {
        let mut output = Vec::new();
        while let Some(chunk) = exec.stdout.recv().await {
            output.extend(chunk.unwrap());
        }
        output
    }

    #[tokio::test]
    async fn a_code_and_a_signal_are_told_apart() {
        assert_eq!(shell("exit 137").wait().await.unwrap(), ExitStatus::Code(137));
        assert_eq!(shell("kill -KILL $$").wait().await.unwrap(), ExitStatus::Signal("KILL".into()));
    }

    #[tokio::test]
    async fn input_comes_back_as_output_with_the_end_of_standard_error() {
        let mut exec = shell("cat; echo oops >&2; exit 3");
        exec.stdin.write(b"one \xff two".as_slice()).await.unwrap();
        exec.stdin.close();
        assert_eq!(all(&mut exec).await, b"one \xff two");
        assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3));
        assert_eq!(exec.stderr_text(), "oops\n");
        assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3), "and once more");
    }

    #[tokio::test]
    async fn an_end_is_told_although_nobody_reads_the_output() {
        let mut exec = shell("head -c 5000000 /dev/zero; exit 4");
        assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(4));
    }

    #[tokio::test]
    async fn dropping_ends_the_program_and_what_it_started() {
        let mut exec = shell("sleep 1000 & echo $!; wait");
        let line = exec.stdout.recv().await.unwrap().unwrap();
        let pid: i32 = String::from_utf8(line).unwrap().trim().parse().unwrap();
        drop(exec);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while Stat::of(pid).is_ok_and(|stat| stat.lives()) {
            assert!(tokio::time::Instant::now() < deadline, "process {pid} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = exec(&Command::argv(vec!["/no/such/program".into()], Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), "start `/no/such/program` on this machine");
        assert!(!error.is_transient());
    }
}
